"""[redaction]: what is taken out of dead letters, logs and shown payloads."""

import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field, model_validator

from streams.settings.base import Section, conflict, setting
from streams.settings.safe_patterns import cost_of

MOST_COST: Final = 8_192
"""Steps a character of text, of all patterns together: 64 KiB of the worst text take some 0.3 s."""
_MOST: Final = 32
_PATH: Final = re.compile(r"\$?(?:\.{0,2}(?:[A-Za-z0-9_-]+|\*)|\[\*\])+").fullmatch


def _pattern(value: str) -> str:
    cost_of(value)
    return value


def _path(value: str) -> str:
    if _PATH(value) is None or value == "$":
        raise ValueError('a path such as "payload.messages[*].content", "payload.metadata.*" or "$..password"')
    return value


class Redaction(Section):
    """Rules for what must not be kept or shown. They hold for dead letters, logs and the control room's payloads, not for what
    goes to providers and callers."""

    patterns: list[Annotated[str, Field(min_length=2, max_length=500), AfterValidator(_pattern)]] = setting(
        [],
        "Regular expressions of what is taken out; repetitions are bounded: `sk-[A-Za-z0-9]{16,64}`, not `sk-.*`.",
        max_length=_MOST,
    )
    paths: list[Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_path)]] = setting(
        [],
        "Fields of requests and answers that are taken out whole: `payload.messages[*].content`, `payload.metadata.*`, `$..ssn`.",
        max_length=_MOST,
    )
    replacement: Annotated[str, Field(min_length=1, max_length=40)] = setting("***", "What stands in its place.")

    @model_validator(mode="after")
    def _agree(self) -> "Redaction":
        if sum(map(cost_of, self.patterns)) > MOST_COST:
            raise conflict("the patterns together would take too long; make some of them shorter", "patterns")
        return self
