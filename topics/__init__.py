"""Where messages travel: the catalogue of topics, the partitioner, the headers, and provisioning.

In: the contract. Out: names and settings of topics, the partition of a key, record headers, and a broker whose topics
are as the contract wants them. Knows the messages (schemas/) and nothing of the pipeline. `topics.provision` is not
imported here: only those who look at a broker's topics need its admin client.
"""

from topics.catalogue import DEFAULT_PARTITIONS, TopicSpec, catalogue
from topics.headers import (
    NO_HEADERS,
    RequestHeaders,
    read_request_headers,
    request_headers,
    response_headers,
)
from topics.names import (
    PRIORITIES,
    PRIORITY_OF,
    REPLY_TO_PREFIX,
    REQUEST_TOPICS,
    TOPIC_OF,
    Priority,
    TopicNames,
    legal_topic_name,
    valid_reply_to,
)
from topics.partitioner import contract_partitioner, jump_hash, moved_share, partition_for

__all__ = [
    "DEFAULT_PARTITIONS",
    "NO_HEADERS",
    "PRIORITIES",
    "PRIORITY_OF",
    "REPLY_TO_PREFIX",
    "REQUEST_TOPICS",
    "TOPIC_OF",
    "Priority",
    "RequestHeaders",
    "TopicNames",
    "TopicSpec",
    "catalogue",
    "contract_partitioner",
    "jump_hash",
    "legal_topic_name",
    "moved_share",
    "partition_for",
    "read_request_headers",
    "request_headers",
    "response_headers",
    "valid_reply_to",
]
