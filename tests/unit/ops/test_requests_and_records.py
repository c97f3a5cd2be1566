"""What people type and what they are shown: lines of input, lines of output, dead letters chosen."""

from types import SimpleNamespace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.admin.dead_letters import Found, Selection, why_not
from ops.admin.scrape import WorkerCounts
from ops.admin.send import Incoming, LineError, from_line, from_text
from ops.admin.tail import as_object, printable
from ops.load.ledger import Ledger
from ops.load.report import LoadResult
from ops.load.traffic import request_id_of
from schemas.dead_letter import DeadLetter
from schemas.request import Request
from topics.names import V1


def test_a_message_becomes_a_request_that_the_contract_accepts() -> None:
    made = from_text("hi", agent_id="a", model="small", priority="high", timeout_s=3, conversation_id="c", max_tokens=5)
    request = Request.model_validate_json(orjson.dumps(made.value))
    assert (request.request_id, request.agent_id, request.conversation_id) == (made.request_id, "a", "c")
    assert (request.timeout_s, request.payload["max_tokens"], made.priority) == (3, 5, "high")


def test_a_line_keeps_what_it_says_and_gets_what_it_lacks() -> None:
    line = '{"request_id": "r", "agent_id": "b", "priority": "low", "payload": {"x": 1}, "new_field": true}'
    made = from_line(line, agent_id="a", priority="normal")
    assert (made.request_id, made.agent_id, made.priority) == ("r", "b", "low")
    assert made.value == {"request_id": "r", "agent_id": "b", "payload": {"x": 1}, "new_field": True}
    bare = from_line('{"payload": {}}', agent_id="a", priority="normal")
    assert (bare.agent_id, bare.priority, bare.value["request_id"]) == ("a", "normal", bare.request_id)
    assert bare.request_id != from_line('{"payload": {}}', agent_id="a", priority="normal").request_id


@pytest.mark.parametrize(
    "line", ["", "{", "[1]", '"x"', '{"priority": "now"}', '{"request_id": 7}', '{"agent_id": ""}']
)
def test_a_line_that_is_no_request_is_refused_in_one_line(line: str) -> None:
    with pytest.raises(LineError) as error:
        from_line(line, agent_id="a", priority="normal")
    assert len(str(error.value).splitlines()) == 1


def test_an_answer_is_shown_as_the_models_words_or_as_what_went_wrong() -> None:
    words = {"payload": {"choices": [{"message": {"content": "a channel"}}]}, "error": None}
    assert Incoming("r", "ok", words).text() == "a channel"
    assert Incoming("r", "ok", {"payload": {"data": [1]}, "error": None}).text() == '{"data":[1]}'
    failed = {"error": {"type": "deadline", "message": "too late", "retryable": True}}
    assert Incoming("r", "expired", failed).text() == "deadline: too late"


@given(st.binary(max_size=300), st.integers(10, 80))
def test_any_bytes_are_shown_on_one_line_that_cannot_steer_a_terminal(raw: bytes, width: int) -> None:
    shown = printable(raw, width)
    assert len(shown) <= width
    assert shown.isprintable()


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (b'{"a": 1}', {"value": {"a": 1}}),
        (b"plain", {"value": "plain"}),
        (b"\xff\x00", {"value_base64": "/wA="}),
        (None, {"value": None}),
    ],
)
def test_a_record_for_programs_loses_nothing_of_its_value(value: bytes | None, shown: dict[str, object]) -> None:
    record = SimpleNamespace(
        topic="t", partition=1, offset=2, timestamp=3, key=None, headers=(("h", None), ("i", b"\xff")), value=value
    )
    found = as_object(record)
    assert found.items() >= shown.items()
    orjson.dumps(found)


@pytest.mark.parametrize(
    ("value", "name"),
    [(b'{"request_id": "r"}', "r"), (b'{"request_id": 7}', None), (b"[]", None), (b"\xff", None), (None, None)],
)
def test_the_id_of_a_value_is_read_or_there_is_none(value: bytes | None, name: str | None) -> None:
    assert request_id_of(value) == name


def dead(**changed: object) -> Found:
    letter = DeadLetter.model_validate(
        {
            "dlq_reason": "exhausted",
            "dlq_stage": "providers",
            "dlq_error_type": "provider_error",
            "dlq_error_message": "no",
            "dlq_topic": "agent.requests.low",
            "dlq_partition": 1,
            "dlq_offset": 2,
            "dlq_timestamp": 3,
            "dlq_attempts": 4,
            **changed,
        }
    )
    return Found(5, 6, 7, b"key", b"value", (), letter)


@pytest.mark.parametrize(
    ("selection", "holds"),
    [
        (Selection(), True),
        (Selection(reason="exhausted", topic="agent.requests.low", error_type="provider_error"), True),
        (Selection(reason="poison"), False),
        (Selection(topic="agent.requests.high"), False),
        (Selection(error_type="internal"), False),
        (Selection(positions=frozenset({(5, 6)})), True),
        (Selection(positions=frozenset({(6, 5)})), False),
    ],
)
def test_filters_all_have_to_fit_and_positions_say_exactly_which(selection: Selection, holds: bool) -> None:
    assert selection.holds(dead()) is holds


def test_only_what_came_from_a_request_topic_is_sent_back() -> None:
    assert why_not(dead(), V1) is None
    assert "no request topic" in str(why_not(dead(dlq_topic="agent.responses"), V1))
    stranger = Found(0, 0, 0, b"k", b"v", (), None)
    assert "do not say where it came from" in str(why_not(stranger, V1))
    assert not Selection(reason="poison").holds(stranger)


def test_a_result_for_programs_is_flat() -> None:
    books = Ledger()
    books.note_sent("a", 0)
    books.note_answer("a", "ok", 5)
    flat = LoadResult(
        books.summary(), 1.25, facts={"rate_per_s": 2.0}, by_worker={"w0": WorkerCounts({"ok": 1})}
    ).flat()
    assert all(not isinstance(value, dict | list) for value in flat.values())
    assert (flat["sent"], flat["p50_ms"], flat["rate_per_s"], flat["w0_responses"]) == (1, 5.0, 2.0, 1)
