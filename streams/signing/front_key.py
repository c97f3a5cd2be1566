"""Which key of the front a request came with, as the front proves it to the workers.

    front_key: <sig of streams/signing/signature.py> <name of the key, TENANT/NAME where it has one>

Whoever may write to a request topic could name any key, and spend its budget; so a name counts only with the fleet's signature
over topic, name and value. The time is of no weight: a request that is sent again, such as a dead letter, is the key's still.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from streams.signing.signature import Secret, Signature, holds, sign
from topics.headers import FRONT_KEY

_MOST_BYTES: Final = 600
_COVERED: Final = ((FRONT_KEY, b""),)


class KeyProofs:
    """Makes proofs, and checks them. `secrets`: those that hold now; the first signs. A proof costs 10 us, a check as much."""

    def __init__(self, secrets: Callable[[], Sequence[Secret]], now: Callable[[], float]) -> None:
        self._secrets = secrets
        self._now = now

    def header(self, topic: str, name: str, value: bytes) -> tuple[str, bytes]:
        """For a request of this value to this topic."""
        _, signature = sign(self._secrets()[0], topic, name.encode(), value, _COVERED, round(self._now() * 1000))
        return FRONT_KEY, signature + b" " + name.encode()

    def proved(self, topic: str, header: bytes, value: bytes) -> str:
        """The key's name; "" where nothing proves it."""
        text, _, name = header.partition(b" ")
        signature = Signature.read(text) if len(header) <= _MOST_BYTES else None
        if signature is None:
            return ""
        for secret in self._secrets():
            if secret.id == signature.secret_id and holds(secret, signature, topic, name, value, _COVERED):
                return name.decode("utf-8", "replace")
        return ""
