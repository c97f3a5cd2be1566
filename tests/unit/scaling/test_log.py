"""Which decisions are in force, whatever anybody writes on their topic."""

from __future__ import annotations

from datetime import UTC, datetime

import orjson
import pytest

from schemas.lease import parse_lease
from schemas.metric_window import MetricWindow
from schemas.scaling_decision import ScalingDecision, ScalingState
from streams.scaling.log import DecisionLog, read_decision

AT = datetime(2026, 1, 1, tzinfo=UTC)


def decision(epoch: int, wanted: int = 4, target: int | None = None) -> ScalingDecision:
    return ScalingDecision(
        epoch=epoch, at=AT, action="scale_out", workers_now=2, workers_wanted=wanted, reasons=("cpu",), decider_id="a",
        next_state=None if target is None else ScalingState(target),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "read_as"), [(0, 2), (1, 2), (2, 2), (7, 7), (10, 10), (11, 10), (5_000, 10), (2**53, 10)]
)
def test_no_decision_wants_more_or_fewer_workers_than_the_settings_allow(wanted: int, read_as: int) -> None:
    log = DecisionLog(least=2, most=10)
    assert log.note(decision(1, wanted, wanted))
    assert log.newest is not None
    assert log.newest.workers_wanted == read_as
    assert log.newest.next_state is not None
    assert log.newest.next_state.target == read_as


def test_limits_that_change_hold_for_the_decision_in_force_too() -> None:
    log = DecisionLog(least=2, most=10)
    log.note(decision(1, 50, 50))
    wanted = []
    for least, most in ((2, 5), (2, 20), (30, 100), (2, 10)):
        log.change_limits(least, most)
        assert log.newest is not None
        wanted.append(log.newest.workers_wanted)
    assert wanted == [5, 20, 50, 10]
    assert log.epoch == 1


def test_an_epoch_from_far_ahead_is_passed_over_and_the_next_one_counts() -> None:
    log = DecisionLog()
    assert not log.note(decision(2**53))
    assert log.note(decision(8))
    assert not log.note(decision(2_000_000))
    assert log.note(decision(9))
    assert log.passed_over == 2


HUGE = [
    pytest.param(10**400, id="400 digits (python/cpython#95778)"),
    pytest.param(2**63, id="beyond 64 bits"),
    pytest.param(2**53 + 1, id="no float is equal to it (RFC 8259, 6)"),
    pytest.param(-1, id="below 0"),
    pytest.param(1e308, id="a float of 309 digits"),
]


@pytest.mark.parametrize("huge", HUGE)
@pytest.mark.parametrize("field", ["epoch", "workers_wanted", "workers_now"])
def test_a_decision_with_an_absurd_number_is_none(field: str, huge: int) -> None:
    raw = orjson.loads(decision(1).to_json())
    written = orjson.dumps(raw | {field: 77_777}).replace(
        b"77777", repr(huge).encode() if isinstance(huge, float) else b"%d" % huge
    )
    assert read_decision(written) is None


@pytest.mark.parametrize("huge", HUGE)
@pytest.mark.parametrize("field", ["epoch", "seq", "limit_tokens"])
def test_a_grant_with_an_absurd_number_is_none(field: str, huge: int) -> None:
    raw = {
        "kind": "grant", "provider": "p", "grantor_id": "g", "epoch": 1, "valid_from": "2026-01-01T00:00:00Z",
        "valid_until": "2026-01-01T00:00:03Z", "grants": {},
    }  # fmt: skip
    written = orjson.dumps(raw | {field: 77_777}).replace(
        b"77777", repr(huge).encode() if isinstance(huge, float) else b"%d" % huge
    )
    with pytest.raises(ValueError, match=field):
        parse_lease(written)


@pytest.mark.parametrize("figure", [b"1e400", b"1e300", b"-1", b"NaN", b'"7"'])
def test_a_window_with_an_absurd_figure_is_none(figure: bytes) -> None:
    written = (
        b'{"scope":"fleet","start":"2026-01-01T00:00:00Z","end":"2026-01-01T00:01:00Z","samples":1,"samples_expected":1,'
        b'"workers":1,"system":{"cpu_usage":' + figure + b'},"application":{}}'
    )
    with pytest.raises(ValueError, match=r"cpu_usage|JSON"):
        MetricWindow.model_validate_json(written)
