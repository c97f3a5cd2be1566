"""What one worker paid in one minute: a record on `costs.windows`, which a later one of the same key replaces.

The record's key is the worker and the minute (`cost_window_key`), so that a record that comes twice, or late, counts once, and
one that tells more of a minute takes the place of one that told less.
"""

from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import Field, TypeAdapter, model_validator

from schemas.cost import AmountText
from schemas.limits import MODEL_CHARS
from schemas.message import Count, Identifier, Instant, Message, Tally

MOST_ROWS: Final = 500
MOST_BYTES: Final = 512 * 1024
"""Of a window's names, as JSON: half of what a record may weigh."""
OTHERS: Final = "(others)"
"""In place of names beyond those that a minute tells apart."""
_NAME_CHARS: Final = 600
"""A tenant or a key is `tenant/name` at most; an agent has 256 characters."""

Name = Annotated[str, Field(max_length=_NAME_CHARS)]


@dataclass(frozen=True, slots=True)
class CostRow:
    """Of one tenant, key, agent, model and provider. An empty name: there was none."""

    tenant: Name
    key: Name
    """The front's key that a request came with, where the front has proved it."""
    agent: Name
    model: Annotated[str, Field(max_length=MODEL_CHARS)]
    provider: Name
    requests: Tally
    """Requests that called a provider: hits in the cache and joined ones cost nothing, and are not here."""
    calls: Tally
    cost: AmountText
    """US dollars, exact."""
    unknown: Tally = 0
    """Requests whose model has no known price."""
    estimated: Tally = 0
    """Requests of which a part is the most that a failed call may have cost."""
    prompt_tokens: Tally = 0
    completion_tokens: Tally = 0
    folded: Tally = 0
    """Of a row of others: how many names are in it, 10,000 at most."""


class CostWindow(Message):
    """One worker's minute so far."""

    worker_id: Identifier
    minute: Instant = Field(description="When the minute began, by the broker's clock.")
    seq: Count = Field(description="Rises with each record of a worker; of one key the highest counts.")
    rows: Annotated[list[CostRow], Field(max_length=2 * MOST_ROWS + 1)]

    @model_validator(mode="after")
    def _whole_minute(self) -> "CostWindow":
        if self.minute.timestamp() % 60:
            raise ValueError("minute is not the start of one")
        return self


COST_WINDOW: TypeAdapter[CostWindow] = TypeAdapter(CostWindow)


def cost_window_key(worker_id: str, minute: int) -> bytes:
    """The key of a record; `minute` in Unix seconds.

    >>> cost_window_key("pod-1-7-0a1b2c3d", 1_767_225_600)
    b'pod-1-7-0a1b2c3d@1767225600'
    """
    return f"{worker_id}@{minute}".encode()
