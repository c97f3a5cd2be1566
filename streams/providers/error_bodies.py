"""What a provider says went wrong, in the shapes in which providers and gateways say it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class Said:
    """`codes` are in lower case: whatever names the kind of error (`code`, `type`, `status`). `status`: an HTTP status in the
    body; `retry_after_s`: a wait in the body.
    """

    message: str = ""
    codes: tuple[str, ...] = ()
    status: int | None = None
    retry_after_s: float | None = None


def read_error(body: bytes) -> Said:
    """What the body says; never the rest of it, which may quote the prompt."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return Said()
    return read_error_value(found.get("error") if type(found) is dict else None)


def read_error_value(error: Any) -> Said:
    """What an `error` value says."""
    if type(error) is str:
        return Said(error)
    if type(error) is not dict:
        return Said()
    message = error.get("message")
    codes = [each.lower() for name in ("code", "type", "status") if type(each := error.get(name)) is str]
    status = error.get("code")
    return Said(
        message if type(message) is str else "",
        tuple(codes),
        status if type(status) is int and 400 <= status <= 599 else None,
    )
