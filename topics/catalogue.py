"""The catalogue: every topic of the contract with its key, its partitions and the settings it must have."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from schemas import limits
from topics.names import V1, TopicNames

_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 24 * _HOUR_MS

DEFAULT_PARTITIONS: Final = 12
CACHE_PARTITIONS: Final = 6
FRONT_LANES: Final = 16


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """One topic: what it carries, keyed how, and how the broker must hold it."""

    name: str
    messages: tuple[str, ...]
    """Names of the messages it carries, as in `ce_type` (`headrace.<message>.v1`)."""
    key: str
    """What the record key is, in words."""
    partitions: int
    replication_factor: int
    config: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    grows: bool = False
    """Whether the partitions follow the setting `topics.partitions`."""


def catalogue(
    partitions: int = DEFAULT_PARTITIONS,
    replication_factor: int = 1,
    front_lanes: int = FRONT_LANES,
    names: TopicNames = V1,
) -> tuple[TopicSpec, ...]:
    """The topics in the order in which a request meets them.

    `partitions` is P, for requests, responses and dead letters alike. Each partition costs CPU at every fetch, and
    fewer than the largest fleet leaves workers without work: hence 12 for a fleet of up to 10. `front_lanes`: partitions of
    the fronts' topic, and of the deltas that they read beside it.

    Raises ValueError for numbers below 1.
    """
    if partitions < 1 or replication_factor < 1:
        raise ValueError(f"partitions ({partitions}) and replication_factor ({replication_factor}) must be at least 1")

    # With three replicas a write is safe when two have it: one broker may fail and neither data nor writes stop.
    durable = {"min.insync.replicas": "2"} if replication_factor >= 3 else {}

    def topic(
        name: str, messages: tuple[str, ...], key: str, count: int | None, days: float, max_bytes: int, **config: str
    ) -> TopicSpec:
        settings = {
            "cleanup.policy": "delete",
            "retention.ms": str(round(days * _DAY_MS)),
            "max.message.bytes": str(max_bytes),
            **durable,
            **{name.replace("_", "."): value for name, value in config.items()},
        }
        return TopicSpec(
            name=name,
            messages=messages,
            key=key,
            partitions=count or partitions,
            replication_factor=replication_factor,
            config=MappingProxyType(settings),
            grows=count is None,
        )

    # LogAppendTime: a request's time limits run from the record's timestamp, and the broker's clock is the one clock. Samples
    # and leases are held against it too: a worker whose clock is ahead must not close everybody's windows.
    clock = {"message_timestamp_type": "LogAppendTime"}
    answer, control = limits.ANSWER_RECORD_BYTES, limits.CONTROL_RECORD_BYTES
    requests = tuple(
        topic(name, ("request",), "agent_id", None, 1, limits.REQUEST_RECORD_BYTES, **clock) for name in names.requests
    )
    return (
        *requests,
        topic(names.responses, ("response",), "agent_id", None, 1, answer, **clock),
        topic(names.front_responses, ("response",), "agent_id", front_lanes, 1, answer, **clock),
        # Never deleted by age: a key holds until it is revoked. Short segments, so that what was revoked long ago is read once.
        topic(
            names.front_keys,
            ("front_key",),
            "SHA-256 of the secret, in hex",
            1,
            1,
            control,
            cleanup_policy="compact",
            segment_ms=str(_DAY_MS),
        ),
        # As long as the answers that claims lead to. In short segments: a starting front reads all that is left.
        topic(
            names.front_claims,
            ("claim",),
            "SHA-256 of the caller and its Idempotency-Key, in hex",
            1,
            1,
            control,
            segment_ms=str(_HOUR_MS),
            **clock,
        ),
        topic(
            names.deltas,
            ("delta",),
            "request_id",
            front_lanes,
            1 / 24,
            answer,
            segment_ms=str(_HOUR_MS // 6),  # only closed segments are deleted
            **clock,
        ),
        topic(names.dead_letters, ("dead_letter",), "the original key", None, 14, answer),
        # An hour: no request may ask for more time, as `requests.max_timeout` has it. In segments as short, so that it goes.
        topic(
            names.cancels,
            ("cancel",),
            "request_id",
            1,
            1,
            limits.CANCEL_RECORD_BYTES,
            **clock,
            retention_ms=str(_HOUR_MS),
            segment_ms=str(_HOUR_MS),
        ),
        topic(
            names.cache_entries,
            ("cache_entry",),
            "entry key",
            CACHE_PARTITIONS,
            1,
            answer,
            cleanup_policy="compact,delete",
            # The broker cleans closed segments only, and a starting worker reads all that is left: without this a week
            # of entries would stay in the open segment.
            segment_ms=str(_HOUR_MS),
        ),
        topic(names.leases, ("lease",), "provider", 1, 1, control, **clock),
        topic(names.metric_samples, ("metric_sample",), "worker id or `fleet`", 1, 1, control, **clock),
        topic(names.metric_windows, ("metric_window",), "worker id or `fleet`", 1, 7, control),
        topic(names.scaling_decisions, ("scaling_decision",), "`workers`", 1, 30, control),
        topic(names.scaling_events, ("scaling_event",), "`workers`", 1, 30, control),
    )
