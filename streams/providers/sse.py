"""Server-sent events, as they come in pieces of any length. Pure.

Format: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream. Of an event only its data is
given: both wire formats repeat the event's name in it.
"""

from __future__ import annotations

from collections.abc import Iterator


class EventDecoder:
    """Gives the data of each event that is whole. What stands behind the last empty line is no event yet, and never one if the
    stream ends there.
    """

    def __init__(self) -> None:
        self._rest = b""

    @property
    def pending_bytes(self) -> int:
        """Bytes of the event that is not whole yet."""
        return len(self._rest)

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        text = self._rest + chunk
        if b"\r" in text:
            held = text.endswith(b"\r")  # the line feed may come with the next piece
            text = text.removesuffix(b"\r").replace(b"\r\n", b"\n").replace(b"\r", b"\n") + (b"\r" if held else b"")
        *whole, self._rest = text.split(b"\n\n")
        for event in whole:
            lines = [
                line[6:] if line.startswith(b"data: ") else line[5:]
                for line in event.split(b"\n")
                if line.startswith(b"data:")
            ]
            if lines:
                yield lines[0] if len(lines) == 1 else b"\n".join(lines)
