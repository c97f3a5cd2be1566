"""One arrival of a trace, whatever its format."""

from dataclasses import dataclass

from streams.errors import HeadraceError


class TraceError(HeadraceError, ValueError):
    """A trace that cannot be read; the message has the file, the line and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class TraceRow:
    """One arrival: seconds since the trace's first, and the sizes of its prompt and answer."""

    at_s: float
    prompt_tokens: int
    completion_tokens: int
    blocks: tuple[int, ...] = ()
    """What its prompt begins with, 512 tokens each: prompts with the same first blocks share that prefix."""
