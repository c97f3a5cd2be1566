"""Who was not heard of within the session is no member any more, and who was never heard of is none yet."""

from __future__ import annotations

import time

from streams.heartbeat import Heartbeat


def test_a_member_is_fresh_from_its_first_heartbeat_until_its_session_is_over() -> None:
    heartbeat = Heartbeat(session_s=6.0)
    assert not heartbeat.fresh(), "it has not joined"
    heartbeat.beat()
    assert heartbeat.fresh()
    heartbeat.last_at = time.monotonic() - 6.0
    assert not heartbeat.fresh()
    heartbeat.beat()
    assert heartbeat.fresh()
