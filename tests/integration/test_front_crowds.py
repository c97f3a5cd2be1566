"""A front that holds many: every stream ends whole, memory is bounded, and who goes away ends the call that was made for him.

Small numbers here; with TEST_FULL=1 the ones of `headrace bench front`, which take two minutes. What others have met:
servers whose memory grows with readers that stop (anomalyco/opencode#31923, agegr/pi-web#923), and upstream calls that go on for
nobody, mid-stream (BerriAI/litellm#30244), before the first token (#31499) and for whole answers (#37140).
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from ops.bench.front import front_of, measure_one, plan_of, rss_of
from ops.bench.front_held import CLOSED_WITHIN_S, Sizes, in_words, measure_held
from ops.bench.ground import Ground
from ops.bench.upstream import LISTENS
from ops.brokers import Broker
from tests.support.fixtures import FULL, Measured

SIZES = Sizes() if FULL else Sizes(streams=20, waiting=100, stopped=20, gone=60, tokens=15, seconds=1.0, settle_s=1.0)
MOST_EACH = 20 * 1024
"""Bytes of a request that waits."""
MOST_STOPPED_EACH = 1024 * 1024
"""Of a reader that has stopped: 256 KB of deltas, and what connection and libraries hold."""
ROOM = 16 * 2**20
"""What a front's memory grows by whatever it does: few requests do not show what each of them takes."""


@pytest.mark.alone
@pytest.mark.timeout(400)
async def test_many_are_held_and_each_ends_as_it_should(broker: Broker, tmp_path: Path, measured: Measured) -> None:
    ground = Ground(broker, "", tmp_path, lambda _: None)
    upstream = ground.run("ops.bench.token_upstream", [])
    try:
        await ground.apply()
        url = await upstream.wait_for(LISTENS, 20)
        async with front_of(ground, url) as front:
            plan = plan_of(ground, 0, 0.0, url)
            held = await measure_held(partial(measure_one, ground, front), plan, SIZES, partial(rss_of, front))
    finally:
        await upstream.stop()
    for each in held:
        measured(in_words(each))
    streams, waiting, stopped, gone = held

    assert (streams["cut"], streams["refused"]) == (0, 0)
    assert streams["ended"] >= SIZES.streams, "each place has ended one at least"

    assert waiting["refused"] == 0
    assert waiting["rss"] - waiting["rss_before"] < MOST_EACH * SIZES.waiting + ROOM

    assert (stopped["cut"], stopped["refused"]) == (0, 0), "who reads is not harmed by who does not"
    assert stopped["rss"] - stopped["rss_before"] < MOST_STOPPED_EACH * SIZES.stopped + ROOM

    assert gone["under_way"] >= SIZES.gone
    assert gone["closed"] >= 0.99 * gone["under_way"], f"within {CLOSED_WITHIN_S} s"
