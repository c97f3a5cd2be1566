"""What the Python client cancels is what the fleet reads as a cancel."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace_client.cancels import cancel_of
from headrace_client.names import Topics
from headrace_client.records import Outgoing
from schemas.cancel import parse_cancel
from topics.names import CANCELS

NOW = datetime(2026, 1, 1, tzinfo=UTC)
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=256)


def cancel(request_id: str = "r", **options: Any) -> Outgoing:
    given = {"agent_id": None, "event_id": None, "reason": None, "source": "/tests", **options}
    return cancel_of(request_id, Topics(), now=NOW, **given)


@given(texts, texts, st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=1024))
def test_a_cancel_is_read_as_it_was_meant(request_id: str, agent_id: str, reason: str | None) -> None:
    record = cancel(request_id, agent_id=agent_id, event_id="agent.requests.low:3:1042", reason=reason)
    read = parse_cancel(record.value)
    assert (record.topic, record.key) == (CANCELS, request_id.encode())
    assert (read.request_id, read.agent_id, read.record) == (request_id, agent_id, "agent.requests.low:3:1042")
    assert (read.reason, read.requested_by) == (reason, "/tests")


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({}, "agent_id"),
        ({"event_id": "nowhere"}, "topic:partition:offset"),
        ({"event_id": "a:1:2:3"}, "topic:partition:offset"),
        ({"agent_id": ""}, "agent_id"),
        ({"agent_id": "\ud800"}, "surrogate"),
        ({"agent_id": "a", "reason": "x" * 1025}, "1024"),
        ({"agent_id": "a", "request_id": "x" * 257}, "request_id"),
    ],
)
def test_a_cancel_that_names_nothing_is_refused_before_it_is_sent(options: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        cancel(**options)
