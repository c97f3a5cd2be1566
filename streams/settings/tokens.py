"""Where an OAUTHBEARER token comes from: a file that somebody keeps fresh, or a command that prints one."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from streams.settings.secrets import SecretFile

_UNKNOWN_S: Final = 30.0
"""How long a token is used that does not say when it ends."""
_USED_SHARE: Final = 0.8


@dataclass(frozen=True, slots=True)
class TokenSource:
    """One of both. The file is read again for each sign-in."""

    file: SecretFile | None = field(default=None, repr=False)
    command: Sequence[str] = ()


def ends_at(token: str) -> float | None:
    """When it ends, Unix seconds, where it is a JWT that says so (RFC 7519, 4.1.4). It is not verified: the broker does that."""
    try:
        _, claims, _ = token.split(".")
        found = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["exp"]
    except (ValueError, KeyError, TypeError):
        return None
    return float(found) if isinstance(found, int | float) and 0 <= found < 1e11 else None


def use_until(token: str, now: float) -> float:
    """Until when it is used before another one is asked for: most of its time, so that a sign-in never comes too late."""
    end = ends_at(token)
    return now + (_UNKNOWN_S if end is None else max(0.0, end - now) * _USED_SHARE)
