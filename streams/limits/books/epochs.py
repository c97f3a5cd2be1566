"""Which grants count: those of the last grantor that the log names, each once, and none that came late.

Everybody reads the same log and so agrees, whatever an older grantor still sends that was paused or cut off: its epoch is
over at the moment the next claim is in the log.
"""

from __future__ import annotations

from typing import Final

from schemas.lease import LeaseClaim, LeaseGrant

_EPOCHS_AHEAD: Final = 1_000_000
_FIRST_EPOCH: Final = 1_000_000_000
"""The highest that is believed where none was read before."""


class Epochs:
    """The present grantor, as read so far."""

    def __init__(self, late_s: float) -> None:
        self._late_s = late_s
        self.epoch = -1
        self.grantor_id: str | None = None
        self._last_seq = -1

    def claim(self, claim: LeaseClaim) -> None:
        """The first claim of a higher epoch counts; the same one again says that its grantor lives."""
        if self.epoch < claim.epoch <= self._furthest:
            self._begin(claim.epoch, claim.grantor_id)

    def counts(self, grant: LeaseGrant, at: float) -> bool:
        """Whether a grant that the broker took at `at` counts. Ask once for each record, in the log's order."""
        if self.epoch < grant.epoch <= self._furthest:  # its claim is older than what was read
            self._begin(grant.epoch, grant.grantor_id)
        if (grant.epoch, grant.grantor_id) != (self.epoch, self.grantor_id) or grant.seq <= self._last_seq:
            return False
        self._last_seq = grant.seq
        return at - grant.valid_from.timestamp() <= self._late_s

    @property
    def _furthest(self) -> int:
        """Epochs rise one by one: one from far ahead would leave none for the next grantor."""
        return _FIRST_EPOCH if self.epoch < 0 else self.epoch + _EPOCHS_AHEAD

    def _begin(self, epoch: int, grantor_id: str) -> None:
        self.epoch, self.grantor_id, self._last_seq = epoch, grantor_id, -1
