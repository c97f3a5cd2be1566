"""[topics] and [requests]: where requests travel, and how large they may be."""

from collections.abc import Iterable
from functools import lru_cache
from typing import Annotated, Self

from pydantic import AfterValidator, PrivateAttr

from schemas import limits
from schemas.json_nodes import MOST_NODES
from streams.settings.base import Section, setting
from streams.settings.units import Bytes, Count, Seconds
from topics.names import TopicNames, prefix_fault


def _prefix(value: str) -> str:
    if not value.startswith("agent.responses.") or not all(c.isascii() and (c.isalnum() or c in "._-") for c in value):
        raise ValueError('"agent.responses." or longer, of letters, digits, ".", "_" and "-"')
    return value


def _fleet_prefix(value: str) -> str:
    if (fault := prefix_fault(value)) is not None:
        raise ValueError(fault)
    return value


@lru_cache(maxsize=64)
def _names(prefix: str, tenants: tuple[str, ...]) -> TopicNames:
    return TopicNames.behind(prefix, tenants)


class Topics(Section):
    """What topics are called, and how they are created."""

    prefix: Annotated[str, AfterValidator(_fleet_prefix)] = setting(
        "",
        "In front of the name of every topic, and of `kafka.group_id` where that is not set, so that fleets share a cluster.",
    )
    partitions: Count = setting(
        12, "Partitions of the request, response and dead-letter topics; at least the largest fleet.", ge=1, le=1000
    )
    replication_factor: Count = setting(1, "Copies of every partition; 3 in production.", ge=1, le=32767)
    reply_prefix: Annotated[str, AfterValidator(_prefix)] = setting(
        "agent.responses.", "Topics that a request may name as its `reply_to` begin so, behind `topics.prefix`."
    )
    reply_patience: Seconds = setting(
        "30s",
        "How long answers wait for a caller's own reply topic that takes none; then their requests become dead letters.",
        ge=1,
        le=3600,
    )

    _tenants: tuple[str, ...] = PrivateAttr(())

    def with_tenants(self, tenants: Iterable[str]) -> Self:
        """The same with topics for these tenants."""
        changed = self.model_copy()
        object.__setattr__(changed, "_tenants", tuple(tenants))
        return changed

    @property
    def names(self) -> TopicNames:
        """What the fleet's topics are called."""
        return _names(self.prefix, self._tenants)

    @property
    def reply_to_prefixes(self) -> tuple[str, ...]:
        """How the whole names of callers' own reply topics begin: of the common callers', and of each tenant's."""
        return (self.prefix + self.reply_prefix, *(each.reply_to_prefix for each in self.names.tenants.values()))


class Requests(Section):
    """What a request and its answer may weigh."""

    max_bytes: Bytes = setting(
        "1MiB", "Largest value of a request; a larger one is a dead letter.", ge=1024, le=limits.REQUEST_VALUE_BYTES
    )
    max_nodes: Count = setting(
        MOST_NODES,
        "Most arrays, objects and keys of a request's value; one with more is a dead letter, as it costs more than it weighs.",
        ge=1000,
    )
    max_timeout: Seconds = setting(
        "1h",
        "Longest time that a request may ask for by `timeout_s` or `deadline`; what is longer is cut to it.",
        gt=0,
        le=limits.TIMEOUT_S,
    )
    max_answer_bytes: Bytes = setting(
        "1984KiB",
        "Largest answer of a provider that is passed on; with its envelope it fits the response topic.",
        ge=1024,
        le=limits.ANSWER_PAYLOAD_BYTES,
    )
