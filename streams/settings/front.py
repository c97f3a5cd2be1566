"""[front]: HTTP clients with an OpenAI SDK."""

from typing import Annotated

from pydantic import AfterValidator

from streams.settings.base import Section, setting
from streams.settings.listen import listen_address
from streams.settings.units import Count, Seconds


class Front(Section):
    """A front process."""

    listen: Annotated[str, AfterValidator(listen_address)] = setting(
        "127.0.0.1:4000", "Address that HTTP clients speak to; only loopback, as long as there are no keys."
    )
    lanes: Count = setting(
        16,
        "Partitions of agent.responses.front and agent.deltas; a front reads one, so fronts beyond that share.",
        ge=1,
        le=1000,
    )
    wait: Seconds = setting(
        "10m", "Longest time that a client waits for its answer; then it gets the id.", ge=1, le=3600
    )
    max_waiting: Count = setting(
        10_000, "Most requests that wait for answers at a time; others are told to come later.", ge=1
    )
