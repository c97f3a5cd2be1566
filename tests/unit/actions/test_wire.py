"""The door to the topic: what is written is read, and nothing else is."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from structlog.testing import capture_logs

from schemas.admin import AdminOutcome, LetterFilter, Pause, Redrive
from schemas.limits import ADMIN_RECORD_BYTES
from streams.actions.reader import AdminReader
from streams.actions.wire import Noted, decode, encode
from streams.metrics import definitions as metrics

PAUSE = Pause(action_id="a-1", requested_by="ann", priority="low")


def written(record: Any, **changed: Any) -> Any:
    made = encode(record, "/test")
    return SimpleNamespace(
        **{"key": made.key, "value": made.value, "headers": made.headers, "timestamp": 5000, "offset": 7, **changed}
    )


def test_what_is_written_is_read_with_the_brokers_time() -> None:
    outcome = AdminOutcome(action_id="a-1", action="pause", state="done", process="p-1", touched=3)
    redrive = Redrive(action_id="a-2", requested_by="ann", letters=LetterFilter(positions=["0:1"]), until={"0": 5})
    for record in (PAUSE, outcome, redrive):
        assert decode(written(record)) == Noted(record, 5.0, 7)


@pytest.mark.parametrize(
    "changed",
    [
        {"value": None},
        {"value": b"{"},
        {"value": b"x" * (ADMIN_RECORD_BYTES + 1)},
        {"value": orjson.dumps({"action": "pause", "action_id": "a", "requested_by": "b", "priority": "urgent"})},
        {"value": orjson.dumps({"action": "format_disks", "action_id": "a", "requested_by": "b"})},
        {"value": orjson.dumps({"action": "pause", "action_id": "a b", "requested_by": "b", "priority": "low"})},
        {"value": orjson.dumps({"action": "pause", "action_id": "a", "requested_by": "b" * 257, "priority": "low"})},
        {"headers": []},
        {"headers": [("ce_type", b"headrace.request.v1")]},
        {"timestamp_type": 0},
    ],
)
def test_what_is_no_action_is_counted_and_left_out(changed: dict[str, Any]) -> None:
    taken: list[Noted] = []
    reader = AdminReader({}, "agent.admin", taken.append, committed=False)
    before = metrics.ADMIN_MALFORMED._value.get()
    with capture_logs() as logs:
        for _ in range(50):
            reader._take_record(written(PAUSE, **changed))
        reader._take_record(written(PAUSE))
    assert metrics.ADMIN_MALFORMED._value.get() - before == 50
    assert len(taken) == 1
    assert len(logs) == 5, "a flood of them does not flood the log"
