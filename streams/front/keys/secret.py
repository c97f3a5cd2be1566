"""What a key looks like, and its hash. Pure.

A key is 256 random bits, so that one round of SHA-256 is as good as any slow hash: there is nothing to guess from.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Final

PREFIX: Final = "hr_"
"""By it scanners for leaked secrets know a key."""
SECRET_BYTES: Final = 32
ID_CHARS: Final = 12
"""Of the hash: enough to name a key for people."""

_MOST_CHARS: Final = 256
_HASH = re.compile(rb"[0-9a-f]{64}").fullmatch


def new_key(random: bytes) -> str:
    """A key. `random`: SECRET_BYTES that nobody can foresee.

    >>> new_key(bytes(32))
    'hr_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'
    """
    return PREFIX + base64.urlsafe_b64encode(random).rstrip(b"=").decode()


def hash_of(credential: str) -> str | None:
    """The hash under which a credential is known, in hex; None for what cannot be a key.

    Finding a hash in a table tells nothing of the secret by its time: who does not know the secret cannot choose the hash.
    """
    if not credential.startswith(PREFIX) or len(credential) > _MOST_CHARS:
        return None
    return hashlib.sha256(credential.encode("utf-8", "surrogatepass")).hexdigest()


def is_hash(text: bytes) -> bool:
    """Whether this may be the key of a record."""
    return _HASH(text) is not None
