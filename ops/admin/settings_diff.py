"""The settings that a running process works by, read from its /settings."""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import Any, Final

import orjson

from streams.errors import HeadraceError
from streams.settings.changes import Flat, Value

_WITHIN_S: Final = 5.0
_MOST_BYTES: Final = 4_000_000


class NotToldError(HeadraceError):
    """Why the settings of a process are not known here."""


def in_force_at(address: str) -> Flat:
    """What is in force in the process at URL or HOST:PORT. Raises NotToldError."""
    url = address if "://" in address else f"http://{address}"
    if not url.startswith(("http://", "https://")):
        raise NotToldError(f"--running {address}: an http:// URL or HOST:PORT, as the process's `ready` line names it")
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/settings", timeout=_WITHIN_S) as answer:  # noqa: S310
            said: dict[str, dict[str, Any]] = orjson.loads(answer.read(_MOST_BYTES))
        return {place: Value(each["key"], each["value"], None, each["endpoint"]) for place, each in said.items()}
    except (OSError, urllib.error.URLError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise NotToldError(
            f"--running {address}: no process of Headrace tells its settings there ({error}); its `ready` line names its "
            "address as `http`"
        ) from error
