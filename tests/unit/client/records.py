"""Records as a broker hands them on, of what the client would publish."""

from dataclasses import dataclass

from headrace_client.records import Outgoing


@dataclass(frozen=True, slots=True)
class ReadRecord:
    """As much of aiokafka's ConsumerRecord as the decoder looks at."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


def record_of(record: Outgoing, offset: int = 7, timestamp: int = 1_767_225_600_000) -> ReadRecord:
    return ReadRecord(offset, timestamp, record.key, record.value, tuple(record.headers))
