"""Where messages travel: names and settings of topics, the partition of a key, the headers of records.

Knows the messages (schemas/) and nothing of the pipeline; asks no broker. Read in this order:
    names          what the topics are called, with a prefix or without
    catalogue      the topics of the contract with their settings; asyncapi: the same as a document
    partitioner    the partition of a key, the same in every language (golden_vectors.json)
    headers        what travels beside a record's value
    plan           what differs between the catalogue and a broker's topics; access: which ACLs are missing
    broker_errors  what to do about each error of a broker
Making and comparing topics on a broker: streams/kafka/provision.py.
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
