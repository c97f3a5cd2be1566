"""Whatever becomes of an answer on its way, it ends as one answer or one failure. TEST_FULL=1 runs 100,000 cases."""

from __future__ import annotations

import gc
from collections import Counter
from datetime import UTC, datetime
from random import Random
from typing import Any

import orjson
import psutil

from schemas.limits import ERROR_MESSAGE_BYTES
from schemas.response import Response, encode_response
from streams.providers.formats.wire import Answer, Failure
from tests.support.fixtures import FULL, Measured, measured
from tests.unit.providers.answer_grammar import Case, cut, good_case, mutated_case, read

__all__ = ["measured"]

CASES = 100_000 if FULL else 1_000
SEED = 14
MOST_GROWTH_BYTES = 20_000_000
CUT = {"length", "model_length", "max_tokens", "content_filter", "sensitive", "safety"}


def response_of(answer: Answer) -> Any:
    """The payload as a reader of the contract gets it."""
    value = encode_response(
        request_id="r", agent_id="a", status="ok", payload=answer.body, usage=answer.usage,
        queue_ms=0.0, provider_ms=0.0, total_ms=0.0, completed_at=datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip
    Response.model_validate_json(value)
    return orjson.loads(value)["payload"]


def has_content(payload: Any) -> bool:
    """Vectors for embeddings; for a chat a choice that says something, or says why it does not."""
    if "data" in payload and "choices" not in payload:
        return bool(payload["data"]) and all(each["embedding"] for each in payload["data"])
    return any(
        type(choice.get("text")) is str
        or (
            type(message := choice["message"]) is dict
            and (
                (message.get("content") is not None and message["content"] != [])
                or any(value for name, value in message.items() if name not in ("role", "content"))
                or str(choice.get("finish_reason")).lower() in CUT
            )
        )
        for choice in payload["choices"]
    )


def test_every_good_answer_of_the_grammar_is_one_however_it_is_cut_into_pieces() -> None:
    random = Random(SEED)
    for _ in range(500):
        case = good_case(random)
        found = read(case, cut(random, case.body))
        assert isinstance(found, Answer), (found, case)
        assert has_content(response_of(found))


def test_a_mutated_answer_ends_as_one_answer_with_content_or_as_one_failure(measured: Measured) -> None:
    random, ends = Random(SEED), Counter[str]()
    grew: list[int] = []
    for number in range(CASES):
        case = mutated_case(random)
        ends[end_of(case, random)] += 1
        if number % (CASES // 10) == CASES // 10 - 1:
            gc.collect()
            grew.append(psutil.Process().memory_info().rss)
    measured(
        f"{CASES:,} mutated answers: {dict(ends.most_common())}; resident {grew[0] / 1e6:.1f} -> {grew[-1] / 1e6:.1f} MB"
    )
    assert grew[-1] - grew[0] < MOST_GROWTH_BYTES
    assert ends["answer"] > CASES / 10
    assert ends["illness"] > CASES / 10


def end_of(case: Case, random: Random) -> str:
    found = read(case, cut(random, case.body))
    if isinstance(found, Failure):
        assert len(found.message.encode()) <= ERROR_MESSAGE_BYTES, case
        return "unusable" if found.unusable else found.fault
    assert isinstance(found, Answer), case
    assert has_content(response_of(found)), case
    return "answer"
