"""What is cancelled, against a list that is looked through."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.cancel import Cancel, parse_cancel
from streams.cancels.book import CancelBook
from streams.pipeline import PendingRequest
from tests.support.requests import pending
from topics.names import FRONT_RESPONSES, RESPONSES

RECORDS = ["agent.requests.low:0:1", "agent.requests.low:0:2"]


def request_of(request_id: str, agent: str, record: str, reply_topic: str) -> PendingRequest:
    made = pending(request_id=request_id, agent=agent, reply_topic=reply_topic)
    return replace(made, event_id=record.encode())


cancels = st.builds(
    Cancel,
    request_id=st.sampled_from(["a", "b"]),
    agent_id=st.sampled_from([None, "x", "y"]),
    record=st.sampled_from([None, *RECORDS]),
)
requests = st.builds(
    request_of,
    st.sampled_from(["a", "b", "c"]),
    st.sampled_from(["x", "y"]),
    st.sampled_from(RECORDS),
    st.sampled_from([RESPONSES, FRONT_RESPONSES]),
)


def names(cancel: Cancel, request: PendingRequest) -> bool:
    """The contract's words."""
    if cancel.request_id != request.request_id:
        return False
    if cancel.agent_id is None and cancel.record is None:
        return request.reply_topic == FRONT_RESPONSES
    return cancel.agent_id in (None, request.agent_id) and cancel.record in (None, request.event_id.decode())


@given(st.lists(cancels, max_size=30), requests, st.integers(1, 40))
def test_a_request_is_cancelled_by_what_names_all_of_it_and_by_nothing_else(
    noted: list[Cancel], request: PendingRequest, most: int
) -> None:
    book, model = CancelBook(FRONT_RESPONSES, most=most), list[Cancel]()
    for at, cancel in enumerate(noted):
        is_new = cancel not in model
        assert book.note(cancel, at, now=at) == is_new
        if is_new:
            model = [*model, cancel][-most:]
        assert len(book) == len(model) <= most
    assert (book.finds(request) is not None) == any(names(cancel, request) for cancel in model)


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(-50, 5)), max_size=20))
def test_a_cancel_is_forgotten_when_its_hour_is_over_and_none_is_kept_for_ever(came: list[tuple[float, float]]) -> None:
    book, now = CancelBook(FRONT_RESPONSES, kept_s=10), 0.0
    for number, (later_s, by_broker_s) in enumerate(came):
        now += later_s
        noted = book.note(Cancel(request_id=f"r{number}", agent_id="x"), now + by_broker_s, now)
        assert noted == (by_broker_s > -10)
    book.forget(now + 10.001)
    assert len(book) == 0
    assert book._named == {}


def test_the_reason_is_told_and_the_first_one_counts() -> None:
    book = CancelBook(FRONT_RESPONSES)
    book.note(Cancel(request_id="a", agent_id="x", reason="the user left"), 0, 0)
    book.note(Cancel(request_id="a", agent_id="x", reason="another one"), 0, 0)
    assert book.finds(request_of("a", "x", RECORDS[0], RESPONSES)) == "the user left"


@pytest.mark.parametrize(
    "value",
    [b"", b"null", b"{}", b'{"request_id": 7}', b'{"request_id": ""}', b'{"request_id": "a", "record": "x:1"}',
     b'{"request_id": "a", "record": "t:1:99999999999999999999"}', b'{"request_id": "' + b"a" * 257 + b'"}', b"\xff\xfe"],
)  # fmt: skip
def test_what_is_no_cancel_is_refused(value: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_cancel(value)
