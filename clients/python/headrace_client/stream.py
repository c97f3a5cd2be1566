"""An answer as it comes: its deltas, and one end."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Self

from headrace_client.answers import Answer, error_of
from headrace_client.deltas import Inbox
from headrace_client.errors import Diverged, HeadraceError, NoAnswer
from headrace_client.follower import Follower, StreamEvent
from headrace_client.publisher import Published


class Stream:
    """Iterate over it for what is told of the answer; made by `Headrace.stream`.

    It ends once: with the iteration, when all of a good answer was told, or with an error that is raised. To go on after a
    wait that was given up (`asyncio.wait_for(anext(stream), 1)`) loses nothing.

    Args:
        give_up_at: when there is no answer any more, in the loop's time; None: once nothing has come for `patience_s`.
    """

    def __init__(
        self,
        published: Published,
        inbox: Inbox,
        answer: asyncio.Future[Answer],
        patience_s: float,
        give_up_at: float | None,
        cancel: Callable[[Published, str | None], Awaitable[None]],
    ) -> None:
        self.published = published
        self._inbox = inbox
        self._coming = answer
        self._patience_s = patience_s
        self._give_up_at = give_up_at
        self._cancel = cancel
        self._clock = asyncio.get_running_loop().time
        self._heard_at = self._clock()
        self._follower = Follower()
        self._told: deque[StreamEvent] = deque()
        self._outcome: Answer | HeadraceError | None = None
        self._has_raised = False
        answer.add_done_callback(lambda _: inbox.came.set())

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> StreamEvent:
        """Raises Rejected, Expired, Cancelled, ProviderError, Failed (the fleet's answer), Diverged, NoAnswer, Closed."""
        while not self._told:
            if self._outcome is not None:
                self._raise_once(self._outcome)
                raise StopAsyncIteration
            self._inbox.came.clear()
            if (delta := self._inbox.pop()) is not None:
                self._heard_at = self._clock()
                self._told.extend(self._follower.take(*delta))
            elif self._coming.done():
                self._end()
            elif (left_s := self._left_s()) <= 0:
                self._outcome = NoAnswer(self.published.request_id, self.published.event_id, self._patience_s)
            else:
                await self._wait(left_s)
        return self._told.popleft()

    async def answer(self) -> Answer:
        """The whole answer, which is `ok`. What has not been iterated over is read and left out. Raises what iterating does."""
        async for _ in self:
            pass
        if isinstance(self._outcome, HeadraceError):
            raise self._outcome
        assert self._outcome is not None
        return self._outcome

    async def cancel(self, reason: str | None = None) -> None:
        """Ask the fleet to end it. Its end comes as ever: `Cancelled`, or the answer that was faster.

        Raises NotPublished, TopicMissing, Closed.
        """
        await self._cancel(self.published, reason)

    def _end(self) -> None:
        try:
            answer = self._coming.result()
        except HeadraceError as error:
            self._outcome = error
            return
        self._told.extend(self._follower.whole(answer))
        if not answer.ok:
            self._outcome = error_of(answer)
        else:
            self._outcome = Diverged(answer) if self._follower.diverged else answer

    def _raise_once(self, outcome: Answer | HeadraceError) -> None:
        if isinstance(outcome, HeadraceError) and not self._has_raised:
            self._has_raised = True
            raise outcome

    def _left_s(self) -> float:
        until = self._heard_at + self._patience_s if self._give_up_at is None else self._give_up_at
        return until - self._clock()

    async def _wait(self, within_s: float) -> None:
        try:
            async with asyncio.timeout(within_s):
                await self._inbox.came.wait()
        except TimeoutError:
            pass
