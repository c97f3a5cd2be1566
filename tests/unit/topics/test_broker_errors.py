"""The table of error codes against Kafka's own list and aiokafka's, and single codes that went wrong elsewhere."""

from __future__ import annotations

import pytest
from aiokafka import errors
from aiokafka.errors import KafkaError

from topics import broker_errors
from topics.broker_errors import (
    Advice,
    BrokerRefusalError,
    advice_for,
    advice_for_code,
    code_of,
    explain_error,
    name_of,
)

KAFKA_4_1 = {
    -1: "UNKNOWN_SERVER_ERROR",
    1: "OFFSET_OUT_OF_RANGE",
    2: "CORRUPT_MESSAGE",
    3: "UNKNOWN_TOPIC_OR_PARTITION",
    4: "INVALID_FETCH_SIZE",
    5: "LEADER_NOT_AVAILABLE",
    6: "NOT_LEADER_OR_FOLLOWER",
    7: "REQUEST_TIMED_OUT",
    8: "BROKER_NOT_AVAILABLE",
    9: "REPLICA_NOT_AVAILABLE",
    10: "MESSAGE_TOO_LARGE",
    11: "STALE_CONTROLLER_EPOCH",
    12: "OFFSET_METADATA_TOO_LARGE",
    13: "NETWORK_EXCEPTION",
    14: "COORDINATOR_LOAD_IN_PROGRESS",
    15: "COORDINATOR_NOT_AVAILABLE",
    16: "NOT_COORDINATOR",
    17: "INVALID_TOPIC_EXCEPTION",
    18: "RECORD_LIST_TOO_LARGE",
    19: "NOT_ENOUGH_REPLICAS",
    20: "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
    21: "INVALID_REQUIRED_ACKS",
    22: "ILLEGAL_GENERATION",
    23: "INCONSISTENT_GROUP_PROTOCOL",
    24: "INVALID_GROUP_ID",
    25: "UNKNOWN_MEMBER_ID",
    26: "INVALID_SESSION_TIMEOUT",
    27: "REBALANCE_IN_PROGRESS",
    28: "INVALID_COMMIT_OFFSET_SIZE",
    29: "TOPIC_AUTHORIZATION_FAILED",
    30: "GROUP_AUTHORIZATION_FAILED",
    31: "CLUSTER_AUTHORIZATION_FAILED",
    32: "INVALID_TIMESTAMP",
    33: "UNSUPPORTED_SASL_MECHANISM",
    34: "ILLEGAL_SASL_STATE",
    35: "UNSUPPORTED_VERSION",
    36: "TOPIC_ALREADY_EXISTS",
    37: "INVALID_PARTITIONS",
    38: "INVALID_REPLICATION_FACTOR",
    39: "INVALID_REPLICA_ASSIGNMENT",
    40: "INVALID_CONFIG",
    41: "NOT_CONTROLLER",
    42: "INVALID_REQUEST",
    43: "UNSUPPORTED_FOR_MESSAGE_FORMAT",
    44: "POLICY_VIOLATION",
    45: "OUT_OF_ORDER_SEQUENCE_NUMBER",
    46: "DUPLICATE_SEQUENCE_NUMBER",
    47: "INVALID_PRODUCER_EPOCH",
    48: "INVALID_TXN_STATE",
    49: "INVALID_PRODUCER_ID_MAPPING",
    50: "INVALID_TRANSACTION_TIMEOUT",
    51: "CONCURRENT_TRANSACTIONS",
    52: "TRANSACTION_COORDINATOR_FENCED",
    53: "TRANSACTIONAL_ID_AUTHORIZATION_FAILED",
    54: "SECURITY_DISABLED",
    55: "OPERATION_NOT_ATTEMPTED",
    56: "KAFKA_STORAGE_ERROR",
    57: "LOG_DIR_NOT_FOUND",
    58: "SASL_AUTHENTICATION_FAILED",
    59: "UNKNOWN_PRODUCER_ID",
    60: "REASSIGNMENT_IN_PROGRESS",
    61: "DELEGATION_TOKEN_AUTH_DISABLED",
    62: "DELEGATION_TOKEN_NOT_FOUND",
    63: "DELEGATION_TOKEN_OWNER_MISMATCH",
    64: "DELEGATION_TOKEN_REQUEST_NOT_ALLOWED",
    65: "DELEGATION_TOKEN_AUTHORIZATION_FAILED",
    66: "DELEGATION_TOKEN_EXPIRED",
    67: "INVALID_PRINCIPAL_TYPE",
    68: "NON_EMPTY_GROUP",
    69: "GROUP_ID_NOT_FOUND",
    70: "FETCH_SESSION_ID_NOT_FOUND",
    71: "INVALID_FETCH_SESSION_EPOCH",
    72: "LISTENER_NOT_FOUND",
    73: "TOPIC_DELETION_DISABLED",
    74: "FENCED_LEADER_EPOCH",
    75: "UNKNOWN_LEADER_EPOCH",
    76: "UNSUPPORTED_COMPRESSION_TYPE",
    77: "STALE_BROKER_EPOCH",
    78: "OFFSET_NOT_AVAILABLE",
    79: "MEMBER_ID_REQUIRED",
    80: "PREFERRED_LEADER_NOT_AVAILABLE",
    81: "GROUP_MAX_SIZE_REACHED",
    82: "FENCED_INSTANCE_ID",
    83: "ELIGIBLE_LEADERS_NOT_AVAILABLE",
    84: "ELECTION_NOT_NEEDED",
    85: "NO_REASSIGNMENT_IN_PROGRESS",
    86: "GROUP_SUBSCRIBED_TO_TOPIC",
    87: "INVALID_RECORD",
    88: "UNSTABLE_OFFSET_COMMIT",
    89: "THROTTLING_QUOTA_EXCEEDED",
    90: "PRODUCER_FENCED",
    91: "RESOURCE_NOT_FOUND",
    92: "DUPLICATE_RESOURCE",
    93: "UNACCEPTABLE_CREDENTIAL",
    94: "INCONSISTENT_VOTER_SET",
    95: "INVALID_UPDATE_VERSION",
    96: "FEATURE_UPDATE_FAILED",
    97: "PRINCIPAL_DESERIALIZATION_FAILURE",
    98: "SNAPSHOT_NOT_FOUND",
    99: "POSITION_OUT_OF_RANGE",
    100: "UNKNOWN_TOPIC_ID",
    101: "DUPLICATE_BROKER_REGISTRATION",
    102: "BROKER_ID_NOT_REGISTERED",
    103: "INCONSISTENT_TOPIC_ID",
    104: "INCONSISTENT_CLUSTER_ID",
    105: "TRANSACTIONAL_ID_NOT_FOUND",
    106: "FETCH_SESSION_TOPIC_ID_ERROR",
    107: "INELIGIBLE_REPLICA",
    108: "NEW_LEADER_ELECTED",
    109: "OFFSET_MOVED_TO_TIERED_STORAGE",
    110: "FENCED_MEMBER_EPOCH",
    111: "UNRELEASED_INSTANCE_ID",
    112: "UNSUPPORTED_ASSIGNOR",
    113: "STALE_MEMBER_EPOCH",
    114: "MISMATCHED_ENDPOINT_TYPE",
    115: "UNSUPPORTED_ENDPOINT_TYPE",
    116: "UNKNOWN_CONTROLLER_ID",
    117: "UNKNOWN_SUBSCRIPTION_ID",
    118: "TELEMETRY_TOO_LARGE",
    119: "INVALID_REGISTRATION",
    120: "TRANSACTION_ABORTABLE",
    121: "INVALID_RECORD_STATE",
    122: "SHARE_SESSION_NOT_FOUND",
    123: "INVALID_SHARE_SESSION_EPOCH",
    124: "FENCED_STATE_EPOCH",
    125: "INVALID_VOTER_KEY",
    126: "DUPLICATE_VOTER",
    127: "VOTER_NOT_FOUND",
    128: "INVALID_REGULAR_EXPRESSION",
    129: "REBOOTSTRAP_REQUIRED",
    130: "STREAMS_INVALID_TOPOLOGY",
    131: "STREAMS_INVALID_TOPOLOGY_EPOCH",
    132: "STREAMS_TOPOLOGY_FENCED",
    133: "SHARE_SESSION_LIMIT_REACHED",
}
"""org.apache.kafka.common.protocol.Errors of kafka-clients 4.1.0, all but NONE."""

RETRIABLE = {
    2,
    3,
    5,
    6,
    7,
    9,
    13,
    14,
    15,
    16,
    19,
    20,
    41,
    51,
    56,
    70,
    71,
    72,
    74,
    75,
    78,
    80,
    83,
    84,
    88,
    89,
    100,
    103,
    106,
    122,
    123,
    133,
}
"""Of these the exceptions are a RetriableException in Kafka's Java client."""

INVALID_METADATA = {3, 5, 6, 9, 13, 56, 72, 74, 80, 83, 84, 100, 103}
"""Of these they are an InvalidMetadataException: somebody else has to be asked."""

PASSES = (Advice.ELSEWHERE, Advice.LATER)


def test_every_code_of_kafka_has_a_place_under_its_name() -> None:
    assert {code: name_of(code) for code in KAFKA_4_1} == KAFKA_4_1
    assert set(broker_errors._CODES) == set(KAFKA_4_1)


@pytest.mark.parametrize("code", sorted(errors.kafka_errors))
def test_what_aiokafka_makes_of_a_code_has_the_advice_of_the_code(code: int) -> None:
    if code == 0:
        return
    made = errors.for_code(code)()
    if isinstance(made, errors.RequestTimedOutError):  # the client raises it where no answer came
        assert (code_of(made), advice_for(made)) == (None, Advice.LATER)
        return
    assert advice_for(made) is advice_for_code(code)
    assert code_of(made) == code
    assert explain_error(made) == KAFKA_4_1[code]


def test_what_javas_client_tries_again_passes_here_too_but_for_a_corrupt_message() -> None:
    """A corrupt batch does not mend itself (aiokafka#321): whoever asks for it again gets it again."""
    assert {code for code in RETRIABLE if advice_for_code(code) not in PASSES} == {2}


def test_where_javas_client_looks_for_another_broker_we_do_or_wait() -> None:
    later = {code for code in INVALID_METADATA if advice_for_code(code) is Advice.LATER}
    assert later == {83, 84}  # elections that the broker itself must hold
    assert all(advice_for_code(code) in PASSES for code in INVALID_METADATA)


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        pytest.param(16, Advice.ELSEWHERE, id="librdkafka#5586: NOT_COORDINATOR is asked of the coordinator"),
        pytest.param(15, Advice.ELSEWHERE, id="FindCoordinator, protocol guide: looked up again"),
        pytest.param(14, Advice.LATER, id="apache/kafka#15043: a coordinator that loads is waited for"),
        pytest.param(74, Advice.ELSEWHERE, id="KIP-320: a fenced epoch means another leader"),
        pytest.param(75, Advice.LATER, id="KIP-320: a broker that lags behind our metadata catches up"),
        pytest.param(78, Advice.LATER, id="KIP-207: a new leader does not know its high watermark yet"),
        pytest.param(81, Advice.PROCESS, id="KIP-389: a full group takes no more members"),
        pytest.param(87, Advice.RECORD, id="KIP-467: a record that a topic refuses, such as one without a key"),
        pytest.param(32, Advice.RECORD, id="KIP-937: a timestamp outside the bounds, tulios/kafkajs#188"),
        pytest.param(88, Advice.LATER, id="KIP-447: offsets of a transaction that is under way"),
        pytest.param(56, Advice.ELSEWHERE, id="KIP-112: a broker's disk is gone, another one leads"),
        pytest.param(9999, Advice.LATER, id="a code of a broker to come"),
    ],
)
def test_single_codes(code: int, advice: Advice) -> None:
    assert advice_for_code(code) is advice
    assert advice_for(BrokerRefusalError(code)) is advice


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (errors.KafkaConnectionError("gone"), Advice.ELSEWHERE),
        (errors.NodeNotReadyError("no"), Advice.ELSEWHERE),
        (errors.StaleMetadata("no"), Advice.ELSEWHERE),
        (errors.RequestTimedOutError(), Advice.LATER),
        (errors.CorrelationIdError("mixed up"), Advice.LATER),
        (errors.AuthenticationFailedError("password"), Advice.PROCESS),
        (KafkaError("nobody knows"), Advice.LATER),
        (TimeoutError(), Advice.LATER),
    ],
)
def test_what_no_broker_has_sent(error: Exception, advice: Advice) -> None:
    assert advice_for(error) is advice
    assert code_of(error) is None


def test_a_refusal_says_the_protocols_name_and_what_it_was_about() -> None:
    assert str(BrokerRefusalError(87, "agent.responses:3")) == "INVALID_RECORD: agent.responses:3"
    assert explain_error(errors.TopicAuthorizationFailedError("t")) == "TOPIC_AUTHORIZATION_FAILED"
    assert explain_error(TimeoutError()) == "TimeoutError"
    assert name_of(9999) == "error code 9999"
