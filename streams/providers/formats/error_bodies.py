"""What a provider says went wrong, in the shapes in which providers and gateways say it. Pure.

The shapes, and who uses them:
`{"error": {"message", "type", "code", "status"}}` OpenAI and most; `{"error": "..."}` Ollama; `[{"error": {...}}]` Gemini;
`{"object": "error", "message", "code"}` vLLM, Mistral; `{"detail": "..."}` and `{"detail": [{"loc", "msg"}]}` FastAPI;
`{"errors": [...]}` Cloudflare; `{"title", "detail", "status"}` RFC 9457; `{"fault": {"faultstring"}}` Apigee;
`{"__type", "Message"}` AWS; `{"base_resp": {"status_code", "status_msg"}}` MiniMax; a text that holds the upstream's JSON
(LiteLLM), `metadata.raw` (OpenRouter); an HTML page's title; one line of text. Of google.rpc's details `ErrorInfo` is a code and
`RetryInfo` a wait.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from streams.providers.formats.json_body import parse_leniently


@dataclass(frozen=True, slots=True)
class Said:
    """`codes` are in lower case: whatever names the kind of error (`code`, `type`, `status`). `status`: an HTTP status in the
    body; `retry_after_s`: a wait in the body.
    """

    message: str = ""
    codes: tuple[str, ...] = ()
    status: int | None = None
    retry_after_s: float | None = None


_MOST_DEPTH: Final = 6
_MOST_CHARS: Final = 600
"""Of a message: a reason, not a document."""
_MOST_TEXT_BYTES: Final = 900
"""So that what stands before it still fits into an error's message."""
_MOST_WORD: Final = 128
_MOST_BYTES: Final = 64 * 1024
"""Of a page that are searched for its title."""
_MOST_PARTS: Final = 3
"""Of a list of reasons."""

_MESSAGES: Final = (
    *("message", "msg", "error_description", "error_message", "errorMessage", "error_msg", "Message", "faultstring"),
    *("status_msg", "detail", "details", "title", "description"),
)  # fmt: skip
_CODES: Final = (
    *("code", "type", "status", "error_code", "errorCode", "errorcode", "error_type", "errorType", "__type", "Code", "reason"),
)  # fmt: skip
_STATUSES: Final = ("code", "status", "status_code", "statusCode", "http_status", "error_code", "errorCode")
_INNER: Final = ("error", "errors", "fault", "innererror", "inner_error", "detail", "base_resp", "Error")
"""Objects that say more, the most telling first."""

_CODE: Final = re.compile(r"[\w.:/#-]{1,100}")
_STATUS_IN_TEXT: Final = re.compile(r"(?:error code|status(?: code)?)[:=]? ?([45]\d\d)\b", re.IGNORECASE)
_SECONDS: Final = re.compile(r"(\d{1,7}(?:\.\d{1,9})?)s")
_TITLE: Final = re.compile(r"<(title|h1)\b[^>]{0,200}>(.{1,400}?)</\1", re.IGNORECASE | re.DOTALL)
_TERMINAL: Final = re.compile(r"\x1b\[[0-9;]{0,20}[A-Za-z]")
_UNSEEN: Final = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]+")
_SECRETS: Final = re.compile(
    r"\b(bearer\s+|(?:api[-_]?key|key|token)=)[\w.~+/-]{8,}=*|\b(?:sk|pk|rk|gsk|xai|pplx|hf|nvapi|r8)[-_][\w-]{8,}|\bAIza[\w-]{20,}",
    re.IGNORECASE,
)

_MINIMAX: Final[dict[int, str]] = {
    1002: "rate_limit_exceeded",
    1004: "invalid_api_key",
    1008: "insufficient_balance",
    1026: "content_filter",
    1027: "content_filter",
    1039: "tokens_per_minute_exceeded",
    2049: "invalid_api_key",
}
"""https://platform.minimax.io/docs/api-reference/errorcode"""


def read_error(body: bytes) -> Said:
    """What the body of a failed call says; never the rest of it, which may quote the prompt."""
    try:
        return said_of(parse_leniently(body))
    except ValueError:
        return _tidy(_of_text(body[:_MOST_BYTES].decode("utf-8", "replace").removeprefix("\ufeff"), 0, whole=True))


def read_error_value(error: Any) -> Said:
    """What an `error` value says."""
    return said_of({"error": error})


def said_of(given: Any) -> Said:
    """What a body that was parsed says."""
    return _tidy(_of(given, 0))


def _of(given: Any, depth: int) -> Said:
    if depth > _MOST_DEPTH:
        return Said()
    if type(given) is str:
        return _of_text(given, depth)
    if type(given) is list:
        return _of_list(given, depth)
    return _of_object(given, depth) if type(given) is dict else Said()


def _of_list(given: list[Any], depth: int) -> Said:
    """The first few reasons as one."""
    said = [_of(each, depth + 1) for each in given[:_MOST_PARTS]]
    joined = "; ".join(dict.fromkeys(each.message for each in said if each.message))
    return replace(_and(*said), message=joined)


def _of_object(given: Mapping[str, Any], depth: int) -> Said:
    codes = [each for name in _CODES if type(each := given.get(name)) is str and _CODE.fullmatch(each)]
    if type(number := given.get("status_code")) is int and number in _MINIMAX and "status_msg" in given:
        codes.append(_MINIMAX[number])
    status = next((status for name in _STATUSES if (status := _status(given.get(name))) is not None), None)
    own = _and(Said("", tuple(each.rpartition("#")[2].lower() for each in codes), status), _message_of(given, depth))
    if type(kind := given.get("error")) is str and _CODE.fullmatch(kind):
        own = replace(own, message=own.message or kind, codes=(*own.codes, kind.lower()))
        given = {**given, "error": None}
    inner = _and(*(_of(given[name], depth + 1) for name in _INNER if type(given.get(name)) in (dict, list, str)))
    first = type(given.get("error")) in (dict, list, str)
    said = _and(inner, own) if first else _and(own, inner)
    return _with_metadata(_with_details(said, given.get("details")), given.get("metadata"), depth)


def _message_of(given: Mapping[str, Any], depth: int) -> Said:
    if type(title := given.get("title")) is str and type(detail := given.get("detail")) is str:
        return Said(f"{title}: {detail}")
    for name in _MESSAGES:
        if (value := given.get(name)) and (said := _of(value, depth + 1)).message:
            where = given.get("loc")
            if type(where) is list and where:
                named = ".".join(str(each) for each in where[:8] if type(each) in (str, int))
                return replace(said, message=f"{named}: {said.message}")
            return said
    if type(errors := given.get("errors")) is dict:  # by field: RFC 9457 in ASP.NET
        return _of_list([{"loc": [name], "msg": value} for name, value in list(errors.items())[:_MOST_PARTS]], depth)
    return Said()


def _of_text(text: str, depth: int, *, whole: bool = False) -> Said:
    """A text may hold what another server said: as a page, as an event, or as JSON behind some words. Of a body that is
    none of these (`whole`) one line is given.
    """
    text = text.strip()
    if text.startswith("<") or (whole and _TITLE.search(text)):
        title = _TITLE.search(text)
        return Said(html.unescape(title[2]) if title else "")
    start = text.find("{")
    before = "" if start < 0 else text[:start]
    if start >= 0 and len(text) <= _MOST_BYTES and depth < _MOST_DEPTH:
        try:
            said = _of(parse_leniently(text[start:].encode("utf-8", "replace"), whole=False), depth + 1)
        except ValueError:
            said = Said()
        if said.message:
            words = "" if re.search(r"(?:^|\n)\s*(?:data|event|id):", before) else before.strip(" \n[('\"")
            return replace(said, message=f"{words} {said.message}".strip())
    if whole and (start >= 0 or len(text) > _MOST_CHARS or "\n" in text or "\ufffd" in text):
        return Said()
    status = _STATUS_IN_TEXT.match(text)
    return Said(text, status=int(status[1]) if status else None)


def _with_details(said: Said, details: Any) -> Said:
    """google.rpc: https://cloud.google.com/apis/design/errors#error_details."""
    for each in details if type(details) is list else ():
        if type(each) is not dict:
            continue
        if type(reason := each.get("reason")) is str and _CODE.fullmatch(reason):
            said = replace(said, codes=(*said.codes, reason.lower()))
        if type(delay := each.get("retryDelay")) is str and (seconds := _SECONDS.fullmatch(delay)):
            said = replace(said, retry_after_s=float(seconds[1]))
    return said


def _with_metadata(said: Said, metadata: Any, depth: int) -> Said:
    """OpenRouter: https://openrouter.ai/docs/api-reference/errors. What was flagged is not quoted."""
    if type(metadata) is not dict:
        return said
    if "flagged_input" in metadata or metadata.get("reasons"):
        said = replace(said, codes=("moderation", *said.codes))
    if type(kind := metadata.get("error_type")) is str and _CODE.fullmatch(kind):
        said = replace(said, codes=(*said.codes, kind.lower()))
    raw = _of(metadata.get("raw"), depth + 1)
    if not raw.message:
        return _and(said, raw)
    return replace(_and(said, raw), message=f"{said.message}: {raw.message}" if said.message else raw.message)


def _and(*said: Said) -> Said:
    """Everything that was said; what stands first counts where one thing can be said only once."""
    return Said(
        next((each.message for each in said if each.message), ""),
        tuple(dict.fromkeys(code for each in said for code in each.codes)),
        next((each.status for each in said if each.status is not None), None),
        next((each.retry_after_s for each in said if each.retry_after_s is not None), None),
    )


def _status(given: Any) -> int | None:
    if type(given) is str and len(given) == 3 and given.isascii() and given.isdigit():
        given = int(given)
    return given if type(given) is int and 400 <= given <= 599 else None


def _tidy(said: Said) -> Said:
    """Fit to be shown: one line, no secrets, cut."""
    message = _UNSEEN.sub(" ", _TERMINAL.sub("", said.message[: 4 * _MOST_CHARS])).strip()
    message = _SECRETS.sub(lambda match: f"{match[1] or ''}***", message)
    kept = message[:_MOST_CHARS]
    if len(kept.encode("utf-8", "surrogatepass")) > _MOST_TEXT_BYTES:
        kept = kept[: _MOST_TEXT_BYTES // 4]
    return replace(
        said, message=kept if kept == message and len(said.message) <= 4 * _MOST_CHARS else _whole_words(kept)
    )


def _whole_words(cut: str) -> str:
    """Without the word in whose middle it may have been cut: half of a secret is no pattern's and no key's any more."""
    space = cut.rfind(" ", max(0, len(cut) - _MOST_WORD))
    return (cut[:space] if space >= 0 else cut[:-_MOST_WORD]) + "…"
