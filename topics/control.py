"""Topics by which the fleet is steered: which they are, and what a record on one may weigh. Their records are signed where the
fleet has a secret (streams/signing).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from schemas import limits
from topics.names import TopicNames


@dataclass(frozen=True, slots=True)
class ControlTopic:
    """What holds for the records of one topic."""

    most_bytes: int = limits.CONTROL_RECORD_BYTES
    """Of a value; what is larger is not even hashed."""
    once: bool = False
    """Whether a record that was true counts once, so that a second writing of it is refused. For topics on which an old record
    would change something, and nothing in the record says that it is old."""


def control_topics(names: TopicNames) -> Mapping[str, ControlTopic]:
    """The control topics of a fleet, by name. A new one needs a line here, and is signed and verified everywhere."""
    numbered = ControlTopic()  # epochs, numbers or times of intervals in the records say what is old
    answers = ControlTopic(limits.ANSWER_RECORD_BYTES)
    return MappingProxyType(
        {
            names.leases: numbered,
            names.metric_samples: numbered,
            names.metric_windows: numbered,
            names.scaling_decisions: ControlTopic(once=True),
            names.scaling_events: ControlTopic(once=True),
            names.cache_entries: answers,
            names.deltas: answers,
            names.front_keys: ControlTopic(once=True),
            names.front_claims: ControlTopic(once=True),
            names.admin: ControlTopic(limits.ADMIN_RECORD_BYTES, once=True),
            names.budget_ledger: ControlTopic(once=True),
            names.budget_state: numbered,
            names.cost_windows: numbered,
            names.cancels: ControlTopic(limits.CANCEL_RECORD_BYTES, once=True),
        }
    )
