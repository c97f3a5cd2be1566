"""Ask a Headrace fleet from Python: publish requests to Kafka, await or iterate over their answers, stream and cancel them.

`Headrace` is the client; what it raises is in `errors`, what it returns are `Answer`, `Published` and `Stream`. It knows the
fleet by its contract alone. Answers are believed by the place of their request on the log (`matching` says why).
"""

from headrace_client.answers import Answer, Status, Usage
from headrace_client.client import Headrace
from headrace_client.connection import KafkaOptions
from headrace_client.errors import (
    AnswerError,
    Cancelled,
    Closed,
    Diverged,
    Expired,
    Failed,
    HeadraceError,
    NoAnswer,
    NotPublished,
    ProviderError,
    Rejected,
    TopicMissing,
    Unreachable,
)
from headrace_client.follower import Delta, Restarted, StreamEvent
from headrace_client.names import PRIORITIES, Priority, Topics
from headrace_client.options import RequestOptions
from headrace_client.partitioner import contract_partitioner, partition_for
from headrace_client.publisher import Published
from headrace_client.records import Cache
from headrace_client.stream import Stream

__all__ = [
    "PRIORITIES",
    "Answer",
    "AnswerError",
    "Cache",
    "Cancelled",
    "Closed",
    "Delta",
    "Diverged",
    "Expired",
    "Failed",
    "Headrace",
    "HeadraceError",
    "KafkaOptions",
    "NoAnswer",
    "NotPublished",
    "Priority",
    "ProviderError",
    "Published",
    "Rejected",
    "RequestOptions",
    "Restarted",
    "Status",
    "Stream",
    "StreamEvent",
    "TopicMissing",
    "Topics",
    "Unreachable",
    "Usage",
    "contract_partitioner",
    "partition_for",
]
