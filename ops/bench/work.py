"""The work that the product and all its peers do for a record, and the requests that they do it for.

The same models, key and encoders as the worker's own, so that what differs is what carries the records. The worker does
more than this: it checks deadlines, remembers finished requests, counts, and lives with failures.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import orjson

from schemas.request import Request
from schemas.response import encode_response
from streams.cache.key import payload_digest
from topics.headers import Headers, response_headers, rfc3339
from topics.names import PRIORITIES, TOPIC_OF, Priority

ANSWER: Final = orjson.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "y" * 200}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 60, "completion_tokens": 50, "total_tokens": 110},
    }
)
"""What every provider call brings; 374 bytes."""

LONG_S: Final = 7200
"""The requests' own time limit: what waits for its turn in a benchmark must not expire."""

_SOURCE: Final = b"/headrace"
_CLASS_TENTHS: Final[tuple[Priority, ...]] = ("high",) + ("normal",) * 7 + ("low",) * 2
_SPREAD: Final = 2_654_435_761  # Knuth's multiplicative hash: the class goes with neither agent nor payload

_answers: dict[bytes, bytes] = {}


def handle(topic: str, partition: int, offset: int, timestamp_ms: int, value: bytes) -> tuple[bytes, bytes, Headers]:
    """One record: decode and validate, key, look up, and the response's key, value and headers."""
    request = Request.model_validate_json(value)
    digest = payload_digest(request.operation, request.payload)
    answer = _answers.get(digest)
    if answer is None:
        answer = _answers[digest] = ANSWER
    return respond(request, f"{topic}:{partition}:{offset}", timestamp_ms, answer)


def respond(request: Request, event_id: str, timestamp_ms: int, answer: bytes) -> tuple[bytes, bytes, Headers]:
    """The response to a hit, as the contract has it."""
    now = time.time()
    completed_at = datetime.fromtimestamp(now, UTC)
    total_ms = round(now * 1000 - timestamp_ms, 3)
    value = encode_response(
        request_id=request.request_id or event_id,
        agent_id=request.agent_id,
        conversation_id=request.conversation_id,
        status="ok",
        payload=answer,
        cache="memory",
        provider="bench",
        queue_ms=total_ms,
        provider_ms=0.0,
        total_ms=total_ms,
        completed_at=completed_at,
    )
    headers = response_headers(
        event_id=event_id.encode(),
        source=_SOURCE,
        time=rfc3339(completed_at),
        request_id=request.request_id or event_id,
    )
    return (request.agent_id or "").encode(), value, headers


@dataclass(frozen=True, slots=True)
class Load:
    """Requests of one kind: `distinct` payloads in turns, `agents` in turns, values of about `value_bytes`."""

    records: int
    distinct: int = 500
    agents: int = 100
    value_bytes: int = 459
    repeats: int = 5
    """Percent of the payloads that come byte for byte as before; the others are spelled anew each time: the same JSON, with
    other white space. Real traffic repeats 1 to 5 %.
    """
    run: str = "r"
    """Begins every request id."""

    def requests(self, start: int = 0) -> Iterator[tuple[str, bytes, bytes]]:
        """Topic, key and value of each, from number `start` on."""
        return (self.request(number) for number in range(start, start + self.records))

    def request(self, number: int) -> tuple[str, bytes, bytes]:
        """Topic, key and value of one request. A tenth is high, seven are normal, two are low."""
        payload, agent = number % self.distinct, f"agent-{number % self.agents}"
        question = f"question {payload} "
        head = (
            f'{{"request_id":"{self.run}-{number:09d}","agent_id":"{agent}","conversation_id":"chat-{number % 50}",'
            f'"operation":"chat.completions","timeout_s":{LONG_S},"payload":{{{self._spelling(number)}"model":"small","messages":['
            '{"role":"system","content":"You are a helpful agent."},{"role":"user","content":"'
        )
        tail = '"}],"max_tokens":64}}'
        # The longest agent and number fix the filler: payloads must not differ by them.
        filler = self.value_bytes - len(_LONGEST) - len(tail) - len(question)
        value = f"{head}{question}{'x' * max(1, filler)}{tail}"
        topic = TOPIC_OF[_CLASS_TENTHS[(number * _SPREAD >> 16) % 10]]
        return topic, agent.encode(), value.encode()

    def _spelling(self, number: int) -> str:
        """White space that no other number has; the same length and none of it differing where the payload is to repeat."""
        if (number * _SPREAD >> 20) % 100 < self.repeats:
            number = 0
        return f"{number:0{_SPELLING_BITS}b}".translate(_SPACES)


_SPELLING_BITS: Final = 24
_SPACES: Final = str.maketrans("01", " \t")

_LONGEST: Final = (
    '{"request_id":"r-000000000","agent_id":"agent-99","conversation_id":"chat-49",'
    f'"operation":"chat.completions","timeout_s":{LONG_S},"payload":{{{" " * _SPELLING_BITS}"model":"small","messages":['
    '{"role":"system","content":"You are a helpful agent."},{"role":"user","content":"'
)

REQUEST_TOPICS: Final = [TOPIC_OF[priority] for priority in PRIORITIES]
