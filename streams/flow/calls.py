"""Calls under way: a task for each, which ends in an outcome whatever happens, and who waits for it.

made -> begun -> ended      the task has run, and made the call
made -> cut -> ended        nobody waits any more, before the task has run: no call is made
begun -> cut -> ended       the task is cancelled, which closes the connection; what was reserved counts as used
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from streams.pipeline import Outcome, PendingRequest, Permit, error_outcome
from streams.supervise import fault, is_told_to_stop

OWN_FAULT: Final = error_outcome("internal", "a fault of the pipeline's own, see its log")


@dataclass(slots=True, eq=False)
class Call:
    """One call for the requests of a group; `called` is what goes out, merged where there are several."""

    group: Sequence[PendingRequest]
    called: PendingRequest
    permit: Permit
    dispatcher: int
    left: set[PendingRequest] = field(default_factory=set)
    """Those of the group that were answered while it is under way."""
    cut: Outcome | None = None
    """What it ends in, where nobody waits for it any more."""
    task: asyncio.Task[None] | None = None
    begun: bool = False


class Calls:
    """The calls of one worker. `end` is called with each when it is over, then `answer` with its outcome; `told` last."""

    def __init__(
        self, end: Callable[[Call], None], answer: Callable[[Call, Outcome], None], told: Callable[[], None]
    ) -> None:
        self._end = end
        self._answer = answer
        self._told = told
        self._calls: dict[asyncio.Task[None], Call] = {}
        self._of: dict[PendingRequest, Call] = {}
        self._stopped = False

    def __len__(self) -> int:
        return len(self._calls)

    def start(self, call: Call) -> None:
        """Make the call."""
        self._of.update(dict.fromkeys(call.group, call))
        call.task = task = asyncio.create_task(self._run(call))
        self._calls[task] = call
        task.add_done_callback(self._on_end)

    def of(self, request: PendingRequest) -> Call | None:
        """The call that is under way for the request."""
        return self._of.get(request)

    def cut(self, call: Call, outcome: Outcome) -> None:
        """End a call that nobody waits for any more, with this outcome."""
        if call.cut is None:
            call.cut = outcome
            if call.begun and call.task is not None:
                call.task.cancel()

    async def stop(self) -> None:
        """Cancel all; their requests are not answered."""
        self._stopped = True
        tasks = list(self._calls)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, call: Call) -> None:
        try:
            outcome = await self._outcome(call)
        finally:
            for request in call.group:
                self._of.pop(request, None)
            self._end(call)
        self._answer(call, outcome)

    async def _outcome(self, call: Call) -> Outcome:
        if call.cut is not None:  # before it began
            return call.cut
        call.begun = True
        try:
            return await call.permit.call(call.called)
        except (Exception, asyncio.CancelledError) as error:  # unanswered, a record would hold its partition for ever
            if is_told_to_stop(error):
                if call.cut is None or self._stopped or call.task is None:
                    raise
                call.task.uncancel()
                return call.permit.cut_off(call.cut)
            fault("calls", error, "a call broke by a fault of the pipeline's own", request_id=call.called.request_id)
            return OWN_FAULT

    def _on_end(self, task: asyncio.Task[None]) -> None:
        del self._calls[task]
        if not task.cancelled():
            task.result()  # a fault of ours is not to be lost: the loop's exception handler tells
            self._told()
