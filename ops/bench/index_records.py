"""Records for an index at a size: requests with the sizes of a recorded hour, their answers with traces, dead letters. Made fast,
so that the index is measured and not this.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from struct import Struct
from typing import Final

from ops.load.trace import SHIPPED_TRACE, read_trace
from schemas.dead_letter import DeadLetter
from topics.names import V1, TopicNames

PARTITIONS: Final = 12
AGENTS: Final = 1_000
NOT_ANSWERED: Final = 997
"""One of so many waits for ever."""
FAILED: Final = 50
_REPEATED: Final = 33
"""One of so many was sent before, under the same id, and is answered from the cache."""
_REMEMBERED: Final = 1_000
_TIMES: Final = Struct(">5I")
_TWO: Final = Struct(">2I")
_MODELS: Final = ("small", "small", "medium", "large")
_ERRORS: Final = ("provider_error", "provider_error", "provider_timeout", "answer_too_large")

Made = tuple[str, int, "FakeRecord"]


@dataclass(frozen=True, slots=True)
class FakeRecord:
    """A record as the reader gives it."""

    offset: int
    timestamp: int
    value: bytes
    key: bytes
    headers: list[tuple[str, bytes]]


class Records:
    """Requests from number 0 on, one each `every_ms` from `first_ms`. The same seed makes the same."""

    def __init__(self, first_ms: int, every_ms: float, names: TopicNames = V1) -> None:
        self.first_ms, self.every_ms, self.names = first_ms, every_ms, names
        self.newest_id = ""
        self._rng = random.Random(7)
        self._sizes = [(row.prompt_tokens, row.completion_tokens) for row in read_trace(SHIPPED_TRACE)]
        self._offsets: dict[tuple[int, int], int] = {}
        self._sent: list[str] = []
        self._answers = [0] * PARTITIONS

    def make(self, first: int, end: int) -> tuple[list[Made], list[Made]]:
        """Requests of these numbers; and their answers and dead letters, which come later."""
        asked: list[Made] = []
        answered: list[Made] = []
        for number in range(first, end):
            self._one(number, asked, answered)
        return asked, answered

    def _one(self, number: int, asked: list[Made], answered: list[Made]) -> None:
        rng = self._rng
        agent = rng.randrange(AGENTS)
        partition, priority = agent % PARTITIONS, (0, 2, 2, 1, 1, 1, 1, 1, 1, 1)[agent % 10]
        topic, offset = self.names.requests[priority], self._offsets.get((priority, partition), 0)
        self._offsets[priority, partition] = offset + 1
        at_ms = self.first_ms + int(number * self.every_ms)
        repeated = number % _REPEATED == 1 and self._sent
        request_id = rng.choice(self._sent) if repeated else _uuid(rng)
        self.newest_id = request_id
        if len(self._sent) < _REMEMBERED:
            self._sent.append(request_id)
        else:
            self._sent[number % _REMEMBERED] = request_id
        failed = number % FAILED == 0
        tokens, made = self._sizes[number % len(self._sizes)]
        model, name = _MODELS[agent % 4], f"agent-{agent}"
        key = name.encode()
        payload = f'{{"model":"{model}","messages":[{{"content":"{"word " * min(tokens, 200)}"}}]}}'
        ask = f'{{"request_id":"{request_id}","agent_id":"{name}","payload":{payload}}}'
        asked.append((topic, partition, FakeRecord(offset, at_ms, ask.encode(), key, [])))
        if number % NOT_ANSWERED == NOT_ANSWERED - 1 and not failed:
            return
        took = 1 if repeated else 300 + made * 20 + rng.randrange(200)
        waited = rng.randrange(0, 90)
        cache = "memory" if repeated else "none"
        error = f'{{"type":"{_ERRORS[agent % 4]}","message":"no"}}' if failed else "null"
        answer = (
            f'{{"request_id":"{request_id}","agent_id":"{name}","status":"{"error" if failed else "ok"}","payload":{{"text":'
            f'"{"word " * min(made, 200)}"}},"error":{error},"usage":{{"prompt_tokens":{tokens},"completion_tokens":{made}}},'
            f'"cache":"{cache}","provider":"provider-{agent % 3}","model":"{model}-2026","attempts":{3 if failed else 1},'
            f'"timing":{{"queue_ms":{waited}.{number % 10},"provider_ms":{took}.5,"total_ms":{waited + took}.7}}}}'
        )
        headers = [("ce_id", f"{topic}:{partition}:{offset}".encode()), ("trace", trace_of(rng, waited, took))]
        self._answers[partition] += 1
        answered.append(
            (
                self.names.responses,
                partition,
                FakeRecord(self._answers[partition], at_ms + waited + took, answer.encode(), key, headers),
            )
        )
        if failed:
            letter = _letter(topic, partition, offset, at_ms, _ERRORS[agent % 4])
            answered.append(
                (self.names.dead_letters, partition, FakeRecord(number, at_ms + waited + took + 1, b"", key, letter))
            )


def trace_of(rng: random.Random, waited_ms: int, took_ms: int) -> bytes:
    """As an answer has it after a wait for a limit and one call, put together of its parts."""
    received, looked, admitted = rng.randrange(1, 50), rng.randrange(50, 60), rng.randrange(60, 70)
    granted = admitted + waited_ms * 10
    total = granted + took_ms * 10 + rng.randrange(10, 90)
    return (
        b"\x01" + _TIMES.pack(total, received, looked, admitted, granted) + b"\x00\x01\x01\x00\x01\x00\x01\x0b"
        + (granted - admitted).to_bytes(4, "big") + b"\x00\x00\x00\xc8" + _TWO.pack(granted + 1, total - granted - 9)
        + b"\x17http://10.0.0.7:8000/v1"
    )  # fmt: skip


def _uuid(rng: random.Random) -> str:
    digits = f"{rng.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _letter(topic: str, partition: int, offset: int, at_ms: int, error: str) -> list[tuple[str, bytes]]:
    headers = DeadLetter(
        dlq_reason="exhausted", dlq_error_type=error, dlq_error_message="no", dlq_attempts=3, dlq_stage="providers",
        dlq_topic=topic, dlq_partition=partition, dlq_offset=offset, dlq_timestamp=at_ms,
    ).to_headers()  # fmt: skip
    return [(name, value or b"") for name, value in headers]
