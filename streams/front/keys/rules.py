"""What a key may ask for. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from schemas.front_key import FrontKey
from streams.patterns import matches
from topics.names import Priority

Unusable = Literal["revoked", "expired"]


def unusable(key: FrontKey, now: datetime) -> Unusable | None:
    """Why the key opens nothing now, or None."""
    if key.revoked:
        return "revoked"
    return "expired" if key.expires is not None and key.expires <= now else None


def agent_of(key: FrontKey, named: str | None) -> str | None:
    """The agent of a request: the one that it names, where the key may; else the key's name. None where it may not."""
    if named is None or named == key.name:
        return key.name
    return named if key.agents is None or matches(key.agents, named) else None


def may_class(key: FrontKey, priority: Priority) -> bool:
    """Whether requests of this class may be made with the key."""
    return key.classes is None or priority in key.classes


def may_model(key: FrontKey, model: str) -> bool:
    """Whether this model may be asked for."""
    return key.models is None or any(matches(pattern, model) for pattern in key.models)
