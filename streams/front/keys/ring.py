"""All keys, from their records. Pure.

Who may write to `agent.keys` makes keys: its ACL is what protects the front. What a record may do beyond that is bounded: it is
believed only if every field is in bounds, and records beyond the most that are kept are left out, so that they cost no memory.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from pydantic import ValidationError

from schemas.front_key import FrontKey
from streams.front.keys.rate import MinuteRate
from streams.front.keys.secret import hash_of, is_hash

MOST_KEYS: Final = 10_000
MOST_VALUE_BYTES: Final = 8_192
"""Of one record: more than 64 names of models that are in use."""
MOST_BYTES: Final = 16_777_216
"""Of the values of all keys together."""

Fault = Literal["unreadable", "full"]


@dataclass(slots=True)
class Held:
    """A key, and what was asked for with it here."""

    hash: str
    key: FrontKey
    rate: MinuteRate
    value_bytes: int


@dataclass(slots=True)
class KeyRing:
    """The keys by their hashes. The newest record of a hash counts, as on a compacted topic."""

    most: int = MOST_KEYS
    most_bytes: int = MOST_BYTES
    _held: dict[str, Held] = field(default_factory=dict)
    _bytes: int = 0

    def __len__(self) -> int:
        return len(self._held)

    def note(self, record_key: bytes | None, value: bytes | None) -> Fault | None:
        """Take a record; why it is not believed, or None.

        A record that cannot be read takes away the key that was there: so it would be after compaction, too.
        """
        if record_key is None or not is_hash(record_key):
            return "unreadable"
        hashed = record_key.decode()
        before = self._held.pop(hashed, None)
        if before is not None:
            self._bytes -= before.value_bytes
        if value is None:
            return None
        key = _read(value)
        if key is None:
            return "unreadable"
        if len(self._held) >= self.most or self._bytes + len(value) > self.most_bytes:
            return "full"
        rate = MinuteRate() if before is None else before.rate  # a change of a key gives it no new minute
        self._held[hashed] = Held(hashed, key, rate, len(value))
        self._bytes += len(value)
        return None

    def find(self, credential: str) -> Held | None:
        """The key that this credential is, whether it may be used or not; None where there is none."""
        hashed = hash_of(credential)
        return None if hashed is None else self._held.get(hashed)

    def clear(self) -> None:
        """Forget all: the topic was made anew."""
        self._held.clear()
        self._bytes = 0


def _read(value: bytes) -> FrontKey | None:
    if len(value) > MOST_VALUE_BYTES:
        return None
    try:
        return FrontKey.model_validate_json(value)
    except (ValidationError, RecursionError):
        return None
