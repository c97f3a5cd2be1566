"""An answer counts for the request that is waited for, and only where it names its record."""

import pytest

from streams.front.waiting import Waiting


async def test_an_answer_that_names_the_record_is_the_answer() -> None:
    waiting = Waiting(10)
    answer = waiting.expect("r")
    waiting.published("r", b"t:0:7")
    assert waiting.take("r", b"t:0:7", b"yes")
    assert await answer == b"yes"


async def test_an_answer_that_comes_before_the_ack_is_kept() -> None:
    waiting = Waiting(10)
    answer = waiting.expect("r")
    assert not waiting.take("r", b"t:0:7", b"yes")
    waiting.published("r", b"t:0:7")
    assert await answer == b"yes"


async def test_somebody_elses_answer_does_not_count_before_or_after_the_ack() -> None:
    waiting = Waiting(10)
    answer = waiting.expect("r")
    waiting.take("r", b"t:0:6", b"APPROVED")
    waiting.published("r", b"t:0:7")
    assert not waiting.take("r", b"t:0:8", b"APPROVED")
    assert not answer.done()
    assert waiting.take("r", b"t:0:7", b"yes")
    assert not waiting.take("r", b"t:0:7", b"again")
    assert await answer == b"yes"


async def test_early_answers_are_bounded() -> None:
    waiting = Waiting(10)
    answer = waiting.expect("r")
    for number in range(1000):
        waiting.take("r", b"x:%d" % number, b"?")
    waiting.published("r", b"x:3")
    assert await answer == b"?"
    assert not waiting.take("s", b"x:3", b"?")


async def test_who_is_forgotten_waits_no_more() -> None:
    waiting = Waiting(1)
    answer = waiting.expect("r")
    assert waiting.full
    assert "r" in waiting
    waiting.forget("r")
    assert (len(waiting), waiting.full, answer.cancelled()) == (0, False, True)
    waiting.published("r", b"t:0:7")
    assert not waiting.take("r", b"t:0:7", b"late")


@pytest.mark.parametrize("times", [1, 3])
async def test_forgetting_twice_is_no_fault(times: int) -> None:
    waiting = Waiting(1)
    waiting.expect("r")
    for _ in range(times):
        waiting.forget("r")
    assert len(waiting) == 0
