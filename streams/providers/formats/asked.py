"""What of a request its answer is checked against. Pure."""

from __future__ import annotations

from schemas.request import Request
from streams.providers.formats.wire import Asked

_CHAT = Asked("chat.completions")


def asked_of(request: Request) -> Asked:
    """A chat, or the number of texts (or of lists of tokens) that are to be embedded."""
    if request.operation != "embeddings":
        return _CHAT
    given = request.payload["input"]
    return Asked("embeddings", len(given) if type(given) is list and type(given[0]) in (str, list) else 1)
