"""Who was not heard of within the session is no member any more, and who was never heard of is none yet."""

from __future__ import annotations

import time

import pytest

from streams.heartbeat import Doubt, Heartbeat


def test_a_member_is_fresh_from_its_first_heartbeat_until_its_session_is_over() -> None:
    heartbeat = Heartbeat(session_s=6.0)
    assert not heartbeat.fresh(), "it has not joined"
    heartbeat.beat()
    assert heartbeat.fresh()
    heartbeat.last_at = time.monotonic() - 6.0
    assert not heartbeat.fresh()
    heartbeat.beat()
    assert heartbeat.fresh()


class Machine:
    """A process with its two clocks."""

    def __init__(self) -> None:
        self.now = self.boot = 100.0
        self.heartbeat = Heartbeat(6.0, last_at=100.0)
        self.doubt = Doubt(self.heartbeat, turned=lambda: self.boot, clock=lambda: self.now)

    def turn(self, seconds: float, *, suspended_s: float = 0.0) -> bool:
        """Let time pass in steps of a tick, then, suspended, without one; whether there is doubt at the end."""
        for _ in range(round(seconds / 0.1)):
            self.now, self.boot = self.now + 0.1, self.boot + 0.1
            self.doubt()
        self.boot += suspended_s
        return self.doubt()


@pytest.mark.parametrize("still_s", [6.0, 60.0, 86_400.0])
def test_who_stood_still_for_a_session_doubts_until_the_group_has_answered(still_s: float) -> None:
    machine = Machine()
    assert not machine.turn(10), "heartbeats that fail while it turns are a broker's fault"
    assert machine.turn(0, suspended_s=still_s)
    assert machine.turn(1)
    machine.heartbeat.beat(machine.now - 2)
    assert machine.turn(0.1), "it was sent before"
    machine.heartbeat.beat(machine.now)
    assert not machine.turn(0.1)


def test_a_short_stop_is_no_reason_for_doubt_and_doubt_is_not_for_ever() -> None:
    machine = Machine()
    assert not machine.turn(1, suspended_s=5.5)
    assert machine.turn(1, suspended_s=7)
    assert machine.turn(17)
    assert not machine.turn(2), "the brokers are away: it goes on"
