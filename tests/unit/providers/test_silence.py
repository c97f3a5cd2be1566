"""A stream that has begun may be silent for a while, and no longer."""

from __future__ import annotations

import asyncio

import pytest

from streams.providers.http.silence import Silence, SilenceError


async def piece(after_s: float) -> bytes:
    await asyncio.sleep(after_s)
    return b"piece"


async def test_pieces_that_come_in_time_may_come_for_ever() -> None:
    async with Silence() as silence:
        for _ in range(10):
            assert await silence.bounds(piece(0.02), 0.1) == b"piece"


async def test_a_wait_that_is_too_long_is_ended_and_the_task_goes_on() -> None:
    async with Silence() as silence:
        assert await silence.bounds(piece(0.01), 0.05) == b"piece"
        with pytest.raises(SilenceError):
            await silence.bounds(piece(5), 0.05)
        assert await silence.bounds(piece(0.01), None) == b"piece"
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_time_between_two_waits_does_not_count() -> None:
    async with Silence() as silence:
        await silence.bounds(piece(0), 0.03)
        await asyncio.sleep(0.1)
        assert await silence.bounds(piece(0.01), 0.1) == b"piece"


async def test_a_call_that_is_cancelled_or_late_is_no_silence() -> None:
    async def reads() -> None:
        async with Silence() as silence:
            await silence.bounds(piece(5), 1.0)

    task = asyncio.create_task(reads())
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await reads()


async def test_cancelled_by_both_it_ends() -> None:
    async def reads() -> None:
        async with Silence() as silence:
            silence._break()
            await silence.bounds(piece(5), 1.0)

    task = asyncio.create_task(reads())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
