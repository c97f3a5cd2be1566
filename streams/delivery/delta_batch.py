"""The deltas of one answer on its way: which chunks leave together, and how each delta is numbered. Pure.

The chunks up to the first that has text leave as they come, so that nobody waits for the first token; from then on they leave
when there are enough of them, or when somebody's clock says so.
"""

from __future__ import annotations

from typing import Final

from schemas.delta import encode_delta
from topics.headers import Headers, delta_headers

FULL_BYTES: Final = 4096
"""So much leaves at once. A record costs the broker and its reader as much as 4 KB of text does."""

_LARGEST_CHUNK_BYTES: Final = 512 * 1024
"""What is larger is left out: an image, a whole answer in one chunk; the answer itself brings it."""


class DeltaBatch:
    """Chunks that wait to leave, of one request. `event_id` names its record."""

    def __init__(self, event_id: bytes, request_id: str) -> None:
        self._event_id = event_id
        self._request_id = request_id
        self._chunks: list[bytes] = []
        self._size = 0
        self._epoch = self._seq = 0
        self._restart = False
        self._has_text = False
        self._upstream: bytes | None = None
        self._reached: int | None = None
        self._held = False

    def begin(self, now_ms: int, *, restart: bool, upstream: bytes | None = None, held: bool = False) -> None:
        """Another attempt: its epoch is the time, and in any case above the one before. What waits of that is dropped.

        `upstream`: where the answer is made, which its first delta says. `held`: nothing leaves before `release`.
        """
        self._epoch = max(self._epoch + 1, now_ms)
        self._restart = restart
        self._upstream, self._reached, self._held = upstream, None, held
        self._chunks.clear()
        self._size = self._seq = 0
        self._has_text = False

    def release(self, upstream: bytes) -> None:
        """From now on what waits may leave; the first delta says this of the upstream."""
        self._upstream, self._held = upstream, False

    def put(self, chunk: bytes, brought: bool, reached: int | None = None) -> bool:
        """Take a chunk; whether it is time to `take` what waits. `reached`: the upstream's event with which it came."""
        if len(chunk) > _LARGEST_CHUNK_BYTES:
            self.skip()
            return False
        self._chunks.append(chunk)
        self._size += len(chunk)
        self._reached = reached
        at_once = not self._has_text
        self._has_text = self._has_text or brought
        return at_once or self._size >= FULL_BYTES

    @property
    def waits(self) -> bool:
        """Whether there is something that `take` would give."""
        return bool(self._chunks) and not self._held

    def take(self) -> tuple[bytes, Headers] | None:
        """Value and headers of the next delta; None where nothing waits."""
        if not self._chunks or self._held:
            return None
        headers = delta_headers(
            self._event_id,
            self._request_id,
            self._epoch,
            self._seq,
            restart=self._restart,
            upstream=self._upstream if self._seq == 0 else None,
            upstream_seq=self._reached,
        )
        value = encode_delta(self._chunks)
        self._chunks.clear()
        self._size = 0
        self._seq += 1
        return value, headers

    def skip(self) -> None:
        """Leave out what waits, so that readers see that something is missing: a number is not given."""
        self._chunks.clear()
        self._size = 0
        self._seq += 1
