"""From a validation error to one line that may be shown: what is wrong and where, never the value itself."""

from pydantic import ValidationError

from schemas.limits import ERROR_MESSAGE_BYTES


def explain(error: ValidationError) -> str:
    """Say which fields are wrong and why, in at most 1 KB.

    The offending input is left out: it may be a prompt or a secret.

    >>> from schemas.request import Request
    >>> try:
    ...     Request.model_validate_json(b'{"agent_id": 7, "payload": {"model": "m", "messages": [{}]}}')
    ... except ValidationError as error:
    ...     explain(error)
    'agent_id: Input should be a valid string'
    """
    lines = []
    for detail in error.errors(include_url=False, include_context=False, include_input=False):
        where = ".".join(str(part) for part in detail["loc"])
        lines.append(f"{where}: {detail['msg']}" if where else detail["msg"])
    return clip("; ".join(lines))


def clip(text: str, max_bytes: int = ERROR_MESSAGE_BYTES) -> str:
    """Cut a text to `max_bytes` of UTF-8 without splitting a character; what UTF-8 cannot carry becomes `?`.

    >>> clip("añb", 2)
    'a'
    """
    raw = text.encode("utf-8", "replace")
    if len(raw) <= max_bytes:
        return raw.decode()
    return raw[:max_bytes].decode("utf-8", "ignore")
