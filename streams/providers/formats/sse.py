"""Server-sent events, as they come in pieces of any length. Pure.

Format: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation, with two differences. What
the standard drops at the end of a stream is given where it is whole: servers forget the last blank line (openai-node#2725).
And of an event only its data is given, because both wire formats repeat the event's name in it; an `event: error` whose data
does not is given as data that does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import orjson

_BOM: Final = b"\xef\xbb\xbf"
_EVENTS: Final = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:data|event|id|retry)?:")
_PADDING: Final = re.compile(rb"(?:\s|\xef\xbb\xbf|:[^\r\n]*[\r\n])*")


def looks_like_events(body: bytes) -> bool:
    """Whether a body begins as an event stream does."""
    return _EVENTS.match(body) is not None


def without_padding(start: bytes) -> tuple[bytes, bool]:
    """The first bytes of a body without blank lines, a byte order mark and comments, and whether what it is begins there."""
    padding = _PADDING.match(start)
    rest = start[padding.end() :] if padding else start
    return rest, bool(rest) and not rest.startswith(b":") and not _BOM.startswith(rest)


class EventDecoder:
    """Gives the data of each event that is whole; `end` what is left when the stream has ended. Work is linear in its bytes."""

    def __init__(self) -> None:
        self.pending_bytes = 0
        """Bytes of the event that is not whole yet."""
        self._line: list[bytes] = []
        """Pieces of the line that is not whole yet."""
        self._data: list[bytes] = []
        self._name = b""
        self._begun = False
        self._after_cr = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        if not self._begun:
            chunk = self._without_bom(chunk)
        if self._after_cr and chunk:
            chunk = chunk.removeprefix(b"\n")
            self._after_cr = False
        if b"\r" in chunk:
            self._after_cr = chunk.endswith(b"\r")  # it ends its line now; a line feed that follows belongs to it
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        self.pending_bytes += len(chunk)
        lines = chunk.split(b"\n")
        if len(lines) > 1 and self._line:
            lines[0] = b"".join((*self._line, lines[0]))
            self._line.clear()
        if rest := lines.pop():
            self._line.append(rest)
        data = self._data
        for line in lines:
            if not line:
                if data:
                    yield self._event()
                self._name = b""
            elif line.startswith(b"data:"):
                data.append(line[6:] if line[5:6] == b" " else line[5:])
            else:
                self._field(line)
        if lines and not data:
            self.pending_bytes = len(rest)

    def end(self) -> Iterator[bytes]:
        """The last event, if it came whole but for its end."""
        lines, self._line = [b"".join(self._line)], []
        for line in lines:
            if line.startswith(b"data:"):
                self._data.append(line[6:] if line[5:6] == b" " else line[5:])
        if self._data:
            data = self._event()
            if data.strip() == b"[DONE]" or _is_json(data):
                yield data

    def _event(self) -> bytes:
        data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
        self._data.clear()
        if self._name:
            data = _as_error(data) if self._name == b"error" else data
        return data

    def _field(self, line: bytes) -> None:
        if line == b"data":
            self._data.append(b"")
        elif line.startswith(b"event:"):
            self._name = line[6:].strip()

    def _without_bom(self, chunk: bytes) -> bytes:
        """The first bytes, once it is clear whether they are a byte order mark."""
        start = b"".join((*self._line, chunk))
        self._line.clear()
        if len(start) < len(_BOM) and _BOM.startswith(start):
            self._line.append(start)
            return b""
        self._begun = True
        return start.removeprefix(_BOM)


def _as_error(data: bytes) -> bytes:
    try:
        parsed = orjson.loads(data)
    except orjson.JSONDecodeError:
        parsed = data.decode("utf-8", "replace")
    if type(parsed) is dict and parsed.get("error") is not None:
        return data
    return orjson.dumps({"type": "error", "error": parsed})


def _is_json(data: bytes) -> bool:
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError:
        return False
    return True
