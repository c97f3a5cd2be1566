"""What an answer says of the wait that it ended."""

from __future__ import annotations

import structlog

from streams.pipeline import Busy, Outcome, PendingRequest
from tests.support.requests import pending
from tests.unit.flow.test_dispatch import Answered, HandledProviders, Slot, dispatching


class Limited(HandledProviders):
    """A provider whose limit is reached."""

    def reserve(self, request: PendingRequest) -> Slot | Outcome | Busy:
        return Busy("route", None, "provider_limit", "tokens")


async def test_an_expired_answer_says_what_it_waited_for_and_how_long() -> None:
    answered = Answered()
    clock = [1000.0]
    async with dispatching(Limited(), answered, now=lambda: clock[0]) as dispatch:
        dispatch.accept([pending(received_at=1000.0, dispatch_by=1010.0) for _ in range(3)])
        with structlog.testing.capture_logs() as lines:
            clock[0] = 1010.5
            await answered.wait(3)
    messages = {outcome.error.message for _, outcome in answered.outcomes if outcome.error is not None}
    (message,) = messages
    assert message.startswith("the time limit passed in the queue after 10.5 s; the provider's limit is reached")
    assert message.endswith("p/small, tokens")
    (line,) = [line for line in lines if "run out of time" in line["event"]]
    assert (line["waiting_for"], line["of"], line["longest_wait_s"]) == ("provider_limit", "p/small, tokens", 10.5)


async def test_one_behind_others_says_that() -> None:
    answered = Answered()
    clock = [1000.0]
    async with dispatching(HandledProviders(small=0), answered, now=lambda: clock[0]) as dispatch:
        dispatch.accept([pending(received_at=1000.0, dispatch_by=1001.0)])
        clock[0] = 1002.0
        await answered.wait(1)
    (_, outcome), *_ = answered.outcomes
    assert outcome.error is not None
    assert "after 2.0 s; the provider takes no call now" in outcome.error.message
