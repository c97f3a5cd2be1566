"""Events as server-sent events: what OpenAI's SDKs take, and one end."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from streams.front.exchange import Beat, Broken, Delta, Event, Restarted, StillWaits, Whole
from streams.front.follower import Cursor
from streams.front.stream import sse
from tests.unit.front.test_follower import USAGE, answer, response

GOOD = Whole(response(answer({"content": "hi"})))


def told(event: Event, *, tells_usage: bool = False) -> list[tuple[str, Any]]:
    """Fields of the events, data as JSON where it is."""
    found = []
    for line in sse(event, "chatcmpl-1", tells_usage=tells_usage).decode().split("\n"):
        name, _, value = line.partition(": ")
        if line:
            found.append((name, orjson.loads(value) if value.startswith("{") else value))
    return found


def test_chunks_are_told_as_they_are_each_with_its_place() -> None:
    delta = Delta((b'{"choices":  []}', b"{}"), Cursor(3, 41, 5))
    assert sse(delta, "r", tells_usage=False) == b'id: 3.41.5\ndata: {"choices":  []}\n\nid: 3.41.6\ndata: {}\n\n'
    assert delta.cursor == "3.41.6"


def test_a_beat_is_a_comment() -> None:
    assert sse(Beat(), "r", tells_usage=False).startswith(b": ")


def test_the_usage_is_told_to_who_asked_for_it_alone() -> None:
    """Clients that read `choices[0]` of every chunk break on it: Arthur-Ficial/apfel#100, XSpoonAi/spoon-core#179."""
    assert told(GOOD) == [("data", "[DONE]")]


def test_the_usage_chunk_has_choices_though_there_are_none() -> None:
    """SDKs refuse a chunk without the field: ROCm/ATOM#1711, BerriAI/litellm#8751."""
    (_, usage), end = told(GOOD, tells_usage=True)
    assert (usage["choices"], usage["usage"], usage["object"]) == ([], USAGE, "chat.completion.chunk")
    assert end == ("data", "[DONE]")


@pytest.mark.parametrize(
    ("event", "code"),
    [(Whole(response(None, "error")), "provider_error"), (Broken(), "stream_broken"), (StillWaits(), "still_waiting")],
)
def test_a_bad_end_is_an_error_with_the_requests_id_and_no_other_end(event: Event, code: str) -> None:
    ((name, value),) = told(event, tells_usage=True)
    assert name == "data"
    assert value["error"]["code"] == code
    assert value["error"]["request_id"] == "chatcmpl-1"


def test_a_new_beginning_is_a_chunk_that_says_nothing_else() -> None:
    event, place, (_, chunk) = told(Restarted("3.41.0"))
    assert (event, place) == (("event", "restarted"), ("id", "3.41.0"))
    assert chunk["headrace"] == {"event": "restarted"}
    assert chunk["choices"] == [{"index": 0, "delta": {}, "finish_reason": None}]
