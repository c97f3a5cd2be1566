"""What to do about an error of a broker: one table for all codes of the protocol, which everybody who asks a broker uses.

The advice says who can help, not how bad it is. What a client makes itself (no connection, no answer in time) has a place in it,
too. Two rules hold for every caller: a code that nobody knows is asked again later, and an answer that carries an error says
nothing else: never that there are no commits, no records or no such topic.

Codes and names: https://kafka.apache.org/41/design/protocol/#protocol_error_codes. aiokafka knows those up to 72, and 79.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from typing import Final

from aiokafka.errors import (
    AuthenticationFailedError,
    AuthenticationMethodNotSupported,
    BrokerResponseError,
    IncompatibleBrokerVersion,
    KafkaConnectionError,
    KafkaError,
    NoBrokersAvailable,
    NodeNotReadyError,
    RequestTimedOutError,
    StaleMetadata,
    UnrecognizedBrokerVersion,
    UnsupportedCodecError,
)


class Advice(Enum):
    """Who can help."""

    ELSEWHERE = auto()
    """Another broker: look up the leader or coordinator again, and ask that one now."""
    LATER = auto()
    """The same broker, after a back-off."""
    RECORD = auto()
    """Nobody: the broker never takes this record (or this commit) as it is. Others go on."""
    PARTITION = auto()
    """Whoever mends this topic or partition, or the reader's position in it. Others go on."""
    PROCESS = auto()
    """Whoever mends what this process is, may or wants: nothing that it asks in this way succeeds until then."""


_ELSEWHERE, _LATER, _RECORD, _PARTITION, _PROCESS = Advice

_CODES: Final[Mapping[int, tuple[str, Advice]]] = {
    -1: ("UNKNOWN_SERVER_ERROR", _LATER),
    1: ("OFFSET_OUT_OF_RANGE", _PARTITION),
    2: ("CORRUPT_MESSAGE", _PARTITION),
    3: ("UNKNOWN_TOPIC_OR_PARTITION", _ELSEWHERE),
    4: ("INVALID_FETCH_SIZE", _PROCESS),
    5: ("LEADER_NOT_AVAILABLE", _ELSEWHERE),
    6: ("NOT_LEADER_OR_FOLLOWER", _ELSEWHERE),
    7: ("REQUEST_TIMED_OUT", _LATER),
    8: ("BROKER_NOT_AVAILABLE", _ELSEWHERE),
    9: ("REPLICA_NOT_AVAILABLE", _ELSEWHERE),
    10: ("MESSAGE_TOO_LARGE", _RECORD),
    11: ("STALE_CONTROLLER_EPOCH", _ELSEWHERE),
    12: ("OFFSET_METADATA_TOO_LARGE", _RECORD),
    13: ("NETWORK_EXCEPTION", _ELSEWHERE),
    14: ("COORDINATOR_LOAD_IN_PROGRESS", _LATER),
    15: ("COORDINATOR_NOT_AVAILABLE", _ELSEWHERE),
    16: ("NOT_COORDINATOR", _ELSEWHERE),
    17: ("INVALID_TOPIC_EXCEPTION", _PARTITION),
    18: ("RECORD_LIST_TOO_LARGE", _RECORD),
    19: ("NOT_ENOUGH_REPLICAS", _LATER),
    20: ("NOT_ENOUGH_REPLICAS_AFTER_APPEND", _LATER),
    21: ("INVALID_REQUIRED_ACKS", _PROCESS),
    22: ("ILLEGAL_GENERATION", _PROCESS),
    23: ("INCONSISTENT_GROUP_PROTOCOL", _PROCESS),
    24: ("INVALID_GROUP_ID", _PROCESS),
    25: ("UNKNOWN_MEMBER_ID", _PROCESS),
    26: ("INVALID_SESSION_TIMEOUT", _PROCESS),
    27: ("REBALANCE_IN_PROGRESS", _LATER),
    28: ("INVALID_COMMIT_OFFSET_SIZE", _RECORD),
    29: ("TOPIC_AUTHORIZATION_FAILED", _PARTITION),
    30: ("GROUP_AUTHORIZATION_FAILED", _PROCESS),
    31: ("CLUSTER_AUTHORIZATION_FAILED", _PROCESS),
    32: ("INVALID_TIMESTAMP", _RECORD),
    33: ("UNSUPPORTED_SASL_MECHANISM", _PROCESS),
    34: ("ILLEGAL_SASL_STATE", _PROCESS),
    35: ("UNSUPPORTED_VERSION", _PROCESS),
    36: ("TOPIC_ALREADY_EXISTS", _PARTITION),
    37: ("INVALID_PARTITIONS", _PARTITION),
    38: ("INVALID_REPLICATION_FACTOR", _PARTITION),
    39: ("INVALID_REPLICA_ASSIGNMENT", _PARTITION),
    40: ("INVALID_CONFIG", _PARTITION),
    41: ("NOT_CONTROLLER", _ELSEWHERE),
    42: ("INVALID_REQUEST", _PROCESS),
    43: ("UNSUPPORTED_FOR_MESSAGE_FORMAT", _RECORD),
    44: ("POLICY_VIOLATION", _PARTITION),
    45: ("OUT_OF_ORDER_SEQUENCE_NUMBER", _PARTITION),
    46: ("DUPLICATE_SEQUENCE_NUMBER", _RECORD),
    47: ("INVALID_PRODUCER_EPOCH", _PROCESS),
    48: ("INVALID_TXN_STATE", _PROCESS),
    49: ("INVALID_PRODUCER_ID_MAPPING", _PROCESS),
    50: ("INVALID_TRANSACTION_TIMEOUT", _PROCESS),
    51: ("CONCURRENT_TRANSACTIONS", _LATER),
    52: ("TRANSACTION_COORDINATOR_FENCED", _ELSEWHERE),
    53: ("TRANSACTIONAL_ID_AUTHORIZATION_FAILED", _PROCESS),
    54: ("SECURITY_DISABLED", _PROCESS),
    55: ("OPERATION_NOT_ATTEMPTED", _LATER),
    56: ("KAFKA_STORAGE_ERROR", _ELSEWHERE),
    57: ("LOG_DIR_NOT_FOUND", _PARTITION),
    58: ("SASL_AUTHENTICATION_FAILED", _PROCESS),
    59: ("UNKNOWN_PRODUCER_ID", _PROCESS),
    60: ("REASSIGNMENT_IN_PROGRESS", _LATER),
    61: ("DELEGATION_TOKEN_AUTH_DISABLED", _PROCESS),
    62: ("DELEGATION_TOKEN_NOT_FOUND", _PROCESS),
    63: ("DELEGATION_TOKEN_OWNER_MISMATCH", _PROCESS),
    64: ("DELEGATION_TOKEN_REQUEST_NOT_ALLOWED", _PROCESS),
    65: ("DELEGATION_TOKEN_AUTHORIZATION_FAILED", _PROCESS),
    66: ("DELEGATION_TOKEN_EXPIRED", _PROCESS),
    67: ("INVALID_PRINCIPAL_TYPE", _PROCESS),
    68: ("NON_EMPTY_GROUP", _PROCESS),
    69: ("GROUP_ID_NOT_FOUND", _PROCESS),
    70: ("FETCH_SESSION_ID_NOT_FOUND", _LATER),
    71: ("INVALID_FETCH_SESSION_EPOCH", _LATER),
    72: ("LISTENER_NOT_FOUND", _ELSEWHERE),
    73: ("TOPIC_DELETION_DISABLED", _PARTITION),
    74: ("FENCED_LEADER_EPOCH", _ELSEWHERE),
    75: ("UNKNOWN_LEADER_EPOCH", _LATER),
    76: ("UNSUPPORTED_COMPRESSION_TYPE", _RECORD),
    77: ("STALE_BROKER_EPOCH", _LATER),
    78: ("OFFSET_NOT_AVAILABLE", _LATER),
    79: ("MEMBER_ID_REQUIRED", _LATER),
    80: ("PREFERRED_LEADER_NOT_AVAILABLE", _ELSEWHERE),
    81: ("GROUP_MAX_SIZE_REACHED", _PROCESS),
    82: ("FENCED_INSTANCE_ID", _PROCESS),
    83: ("ELIGIBLE_LEADERS_NOT_AVAILABLE", _LATER),
    84: ("ELECTION_NOT_NEEDED", _LATER),
    85: ("NO_REASSIGNMENT_IN_PROGRESS", _LATER),
    86: ("GROUP_SUBSCRIBED_TO_TOPIC", _PROCESS),
    87: ("INVALID_RECORD", _RECORD),
    88: ("UNSTABLE_OFFSET_COMMIT", _LATER),
    89: ("THROTTLING_QUOTA_EXCEEDED", _LATER),
    90: ("PRODUCER_FENCED", _PROCESS),
    91: ("RESOURCE_NOT_FOUND", _PARTITION),
    92: ("DUPLICATE_RESOURCE", _PARTITION),
    93: ("UNACCEPTABLE_CREDENTIAL", _PROCESS),
    94: ("INCONSISTENT_VOTER_SET", _PROCESS),
    95: ("INVALID_UPDATE_VERSION", _PROCESS),
    96: ("FEATURE_UPDATE_FAILED", _PROCESS),
    97: ("PRINCIPAL_DESERIALIZATION_FAILURE", _PROCESS),
    98: ("SNAPSHOT_NOT_FOUND", _LATER),
    99: ("POSITION_OUT_OF_RANGE", _PARTITION),
    100: ("UNKNOWN_TOPIC_ID", _ELSEWHERE),
    101: ("DUPLICATE_BROKER_REGISTRATION", _PROCESS),
    102: ("BROKER_ID_NOT_REGISTERED", _PROCESS),
    103: ("INCONSISTENT_TOPIC_ID", _ELSEWHERE),
    104: ("INCONSISTENT_CLUSTER_ID", _PROCESS),
    105: ("TRANSACTIONAL_ID_NOT_FOUND", _PROCESS),
    106: ("FETCH_SESSION_TOPIC_ID_ERROR", _LATER),
    107: ("INELIGIBLE_REPLICA", _LATER),
    108: ("NEW_LEADER_ELECTED", _ELSEWHERE),
    109: ("OFFSET_MOVED_TO_TIERED_STORAGE", _PARTITION),
    110: ("FENCED_MEMBER_EPOCH", _PROCESS),
    111: ("UNRELEASED_INSTANCE_ID", _PROCESS),
    112: ("UNSUPPORTED_ASSIGNOR", _PROCESS),
    113: ("STALE_MEMBER_EPOCH", _LATER),
    114: ("MISMATCHED_ENDPOINT_TYPE", _PROCESS),
    115: ("UNSUPPORTED_ENDPOINT_TYPE", _PROCESS),
    116: ("UNKNOWN_CONTROLLER_ID", _ELSEWHERE),
    117: ("UNKNOWN_SUBSCRIPTION_ID", _PROCESS),
    118: ("TELEMETRY_TOO_LARGE", _RECORD),
    119: ("INVALID_REGISTRATION", _PROCESS),
    120: ("TRANSACTION_ABORTABLE", _LATER),
    121: ("INVALID_RECORD_STATE", _RECORD),
    122: ("SHARE_SESSION_NOT_FOUND", _LATER),
    123: ("INVALID_SHARE_SESSION_EPOCH", _LATER),
    124: ("FENCED_STATE_EPOCH", _PROCESS),
    125: ("INVALID_VOTER_KEY", _PROCESS),
    126: ("DUPLICATE_VOTER", _PROCESS),
    127: ("VOTER_NOT_FOUND", _PROCESS),
    128: ("INVALID_REGULAR_EXPRESSION", _PROCESS),
    129: ("REBOOTSTRAP_REQUIRED", _ELSEWHERE),
    130: ("STREAMS_INVALID_TOPOLOGY", _PROCESS),
    131: ("STREAMS_INVALID_TOPOLOGY_EPOCH", _LATER),
    132: ("STREAMS_TOPOLOGY_FENCED", _PROCESS),
    133: ("SHARE_SESSION_LIMIT_REACHED", _LATER),
}

_OF_THE_CLIENT: Final[tuple[tuple[type[Exception], Advice], ...]] = (
    (KafkaConnectionError, _ELSEWHERE),
    (NodeNotReadyError, _ELSEWHERE),
    (NoBrokersAvailable, _ELSEWHERE),
    (StaleMetadata, _ELSEWHERE),
    (AuthenticationFailedError, _PROCESS),
    (AuthenticationMethodNotSupported, _PROCESS),
    (IncompatibleBrokerVersion, _PROCESS),
    (UnrecognizedBrokerVersion, _PROCESS),
    (UnsupportedCodecError, _PARTITION),
)
"""aiokafka's own errors, which no broker has sent. All others are asked again later."""


class BrokerRefusalError(KafkaError):  # type: ignore[misc]
    """A broker answered with an error code."""

    def __init__(self, code: int, about: str = "") -> None:
        super().__init__(code, about)
        self.code = code
        self.about = about

    @property
    def name(self) -> str:
        return name_of(self.code)

    def __str__(self) -> str:
        return f"{self.name}: {self.about}" if self.about else self.name

    __repr__ = __str__


def name_of(code: int) -> str:
    """The protocol's name of an error code."""
    known = _CODES.get(code)
    return "NONE" if code == 0 else f"error code {code}" if known is None else known[0]


def advice_for_code(code: int) -> Advice:
    """What to do about an error code; not 0, which is none."""
    known = _CODES.get(code)
    return _LATER if known is None else known[1]


def code_of(error: BaseException) -> int | None:
    """The code that a broker has sent; None for what the client made itself.

    aiokafka's timeout has a code, too, but is raised where no answer came: it counts as the client's.
    """
    if isinstance(error, BrokerRefusalError):
        return error.code
    if isinstance(error, BrokerResponseError) and not isinstance(error, RequestTimedOutError):
        return int(error.errno)
    return None


def advice_for(error: BaseException) -> Advice:
    """What to do about an error, whoever made it."""
    code = code_of(error)
    if code is not None:
        return advice_for_code(code)
    return next((advice for kind, advice in _OF_THE_CLIENT if isinstance(error, kind)), _LATER)


def explain_error(error: BaseException) -> str:
    """The error in one line, with the protocol's name where a broker sent it."""
    code = code_of(error)
    if code is None or isinstance(error, BrokerRefusalError):
        return str(error) or type(error).__name__
    return name_of(code)
