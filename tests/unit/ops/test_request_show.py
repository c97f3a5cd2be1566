"""What `headrace request show` makes of a worker's word, or of an answer."""

from __future__ import annotations

import pytest

from ops.admin.request import lines, of_live
from streams.waits import Told

WAITS = Told(
    "r-1", "queue", "provider_limit", "the provider's limit is reached", 12, 4.13, 2.0, "a-1", "normal", "t:3:7"
)


def test_a_request_that_waits_is_told_its_reason_its_place_and_a_time() -> None:
    found = of_live(WAITS)
    assert (found["state"], found["reason"], found["position"], found["status"]) == (
        "waiting",
        "provider_limit",
        12,
        None,
    )
    told = "\n".join(lines(found))
    assert "it waits: the provider's limit is reached (provider_limit); place 12, predicted 4.1 s" in told
    assert "agent a-1, class normal" in told


@pytest.mark.parametrize(
    ("stage", "state"), [("call", "called"), ("unread", "waiting"), ("delivering", "ending"), ("joined", "waiting")]
)
def test_every_stage_has_a_state_and_a_sentence(stage: str, state: str) -> None:
    found = of_live(Told("r-1", stage))  # type: ignore[arg-type]
    assert found["state"] == state
    assert len(lines(found)) == 2


def test_an_answer_tells_its_attempts_its_cost_and_its_way() -> None:
    found = dict.fromkeys(of_live(WAITS)) | {
        "state": "answered", "status": "ok", "request_id": "r-1", "record": "t:3:7", "steps": [(1.0, "dispatched")],
        "provider": "main", "model": "small", "attempts": 2, "cost": {"nano": 5},
    }  # fmt: skip
    told = "\n".join(lines(found))
    assert "dispatched" in told
    assert "called: main small, 2 attempts" in told
    assert "cost: {'nano': 5}" in told
