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
    retention_s: Mapping[str, float] = MappingProxyType({}),
) -> tuple[TopicSpec, ...]:
    """The topics in the order in which a request meets them.

    `partitions` is P, for requests, responses and dead letters alike. Each partition costs CPU at every fetch, and
    fewer than the largest fleet leaves workers without work: hence 12 for a fleet of up to 10. `front_lanes`: partitions of
    the fronts' topic, and of the deltas that they read beside it. `retention_s`: of topics that keep records for another time
    than the contract says, by name.

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
            **_kept_for(retention_s.get(name)),
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
    responses = (topic(name, ("response",), "agent_id", None, 1, answer, **clock) for name in names.all_responses)
    dead_letters = (
        topic(name, ("dead_letter",), "the original key", None, 14, answer) for name in names.all_dead_letters
    )
    return (
        *requests,
        *responses,
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
            **clock,
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
        *dead_letters,
        # An hour: no request may ask for more time, as `requests.max_timeout` has it. In segments as short, so that it goes.
        # A broker bounds batches by `max.message.bytes`: of clients that go away together many cancels come in one. A single one
        # is bounded by its readers (`limits.CANCEL_RECORD_BYTES`).
        topic(
            names.cancels,
            ("cancel",),
            "request_id",
            1,
            1,
            control,
            **clock,
            retention_ms=str(_HOUR_MS),
            segment_ms=str(_HOUR_MS),
        ),
        topic(names.admin, ("admin_action", "admin_outcome"), "action_id", 1, 30, limits.ADMIN_RECORD_BYTES, **clock),
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
            **clock,
        ),
        topic(names.leases, ("lease",), "provider", 1, 1, control, **clock),
        # A state is written every hour of entries and a minute after the last one: a week is for fleets that stand still.
        topic(names.budget_ledger, ("budget",), "worker id", 1, 7, control, **clock),
        topic(
            names.budget_state,
            ("budget_state",),
            "slot and part",
            1,
            1,
            control,
            cleanup_policy="compact",
            segment_ms=str(_DAY_MS),
            **clock,
        ),
        # As long as an invoice may take to come. A worker tells a minute several times: the last record of each is left.
        topic(
            names.cost_windows,
            ("cost_window",),
            "worker id and minute",
            1,
            62,
            control,
            cleanup_policy="compact,delete",
            segment_ms=str(6 * _HOUR_MS),  # only closed segments are compacted, and whoever sums reads the rest
            **clock,
        ),
        topic(names.metric_samples, ("metric_sample",), "worker id or `fleet`", 1, 1, control, **clock),
        topic(names.metric_windows, ("metric_window",), "worker id or `fleet`", 1, 7, control, **clock),
        topic(names.scaling_decisions, ("scaling_decision",), "`workers`", 1, 30, control, **clock),
        topic(names.scaling_events, ("scaling_event",), "`workers`", 1, 30, control, **clock),
    )


def _kept_for(seconds: float | None) -> Mapping[str, str]:
    """Settings with which records go after this time and at most an eighth of it more (10 minutes at least, a day at most):
    brokers delete closed segments alone, and close one after a week where nobody says otherwise.
    """
    if seconds is None:
        return {}
    segment_ms = min(_DAY_MS, max(_HOUR_MS // 6, round(seconds * 1000 / 8)))
    return {"retention.ms": str(round(seconds * 1000)), "segment.ms": str(segment_ms)}
