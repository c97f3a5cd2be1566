"""What becomes of those who shared a call when it has ended: an answer for each, or another call without the others."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Final

from streams.flow.coalesce import Coalescer, Regroup
from streams.flow.input_caps import Fate
from streams.flow.merge import split
from streams.flow.scheduler import Scheduler
from streams.flow.wake import Wake
from streams.metrics import definitions as metrics
from streams.pipeline import Outcome, PendingRequest, Responder, expired
from streams.trace.marks import Wait, joined

_INPUT_SIZE: Final[Wait] = ("input_size", "")


class Answers:
    """`wake` looks at the queues soon, where something may go again. `now`: the time of the records; `clock`: a monotonic one."""

    def __init__(
        self,
        responder: Responder,
        scheduler: Scheduler,
        coalescer: Coalescer,
        wake: Wake,
        now: Callable[[], float],
        clock: Callable[[], float],
    ) -> None:
        self._responder = responder
        self._scheduler = scheduler
        self._coalescer = coalescer
        self._wake = wake
        self._now = now
        self._clock = clock

    def end(
        self,
        group: Sequence[PendingRequest],
        outcome: Outcome,
        left: Collection[PendingRequest] = (),
        *,
        is_cut: bool = False,
    ) -> None:
        """Answer everybody who shared the call, or let those try again who did not all have the same reason to fail.

        `left` have their answers. `is_cut`: nobody waited for the call any more.
        """
        may_pass = outcome.error is not None and outcome.error.retryable
        if len(group) > 1:
            metrics.MERGED.inc(len(group))
        parts = [outcome] if len(group) == 1 else split(outcome, group) if outcome.status == "ok" else None
        if parts is None and (is_cut or (may_pass and outcome.status != "expired")):
            parts = [outcome] * len(group)
        if parts is not None:
            for request, part in zip(group, parts, strict=True):
                if request not in left:
                    self._responder.respond(request, part)
            refused = outcome.status == "error" and not may_pass and not is_cut
            fate: Fate = "answered" if outcome.status == "ok" else "refused" if refused else "other"
            self.let_go(self._coalescer.ended(group, fate, self._clock()))
            return
        for marks in (request.marks for request in group):
            if marks is not None:
                marks.earlier = joined(marks.earlier, outcome.call)
        if outcome.error is not None and outcome.error.type == "answer_too_large":
            self._coalescer.too_large(group, self._clock())
        now = self._now()
        again = [each for each in group if each not in left and (each.expires_at is None or each.expires_at > now)]
        over = [request for request in group if request not in again]
        for request in over:
            if request not in left:
                why = outcome if outcome.status == "expired" else expired("in a shared call")
                self._responder.respond(request, why)
        if over:
            self.let_go(self._coalescer.ended(over, "other", self._clock()))
            self._wait_again(Regroup(again, held=False))
            return
        refused = outcome.error is not None and outcome.error.type == "provider_error"
        for regroup in self._coalescer.halves(group, refused=refused, now=self._clock()):
            self._wait_again(regroup)

    def _wait_again(self, regroup: Regroup) -> None:
        """Put them back into the queue, to be called without the others: they have been dispatched once, in time."""
        for request in regroup.group:
            waits_s = request.dispatch_by - request.received_at
            request.dispatch_by = request.expires_at or self._now() + waits_s
            self._scheduler.put(request, held=regroup.held)
            self._scheduler.note(request, self._clock(), held=_INPUT_SIZE)
        self._coalescer.add_group(regroup.group)
        self._wake.after(0.0)

    def let_go(self, requests: Sequence[PendingRequest]) -> None:
        """These were held, and may go now."""
        for request in requests:
            self._scheduler.let_go(request, self._clock())
        if requests:
            self._wake.after(0.0)
