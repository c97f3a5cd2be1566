"""The realizer `process`: a decision's workers are processes on this machine."""

from __future__ import annotations

from ops.processes.supervisor.keeper import Keeper
from schemas.scaling_decision import ScalingDecision
from streams.scaling.realizers import Applied, RealizeError


class ProcessRealizer:
    """Has a keeper keep as many workers as the newest decision wants; `within_s` for a change to be made."""

    name = "process"

    def __init__(self, keeper: Keeper, within_s: float) -> None:
        self._keeper = keeper
        self._within_s = within_s

    async def current(self) -> int | None:
        """What the keeper was told."""
        return self._keeper.roster.wanted

    async def apply(self, decision: ScalingDecision) -> Applied:
        """Returns when the new ones are ready and the others have drained and gone."""
        roster, wanted = self._keeper.roster, decision.workers_wanted
        before = roster.wanted
        if before == wanted:
            return Applied(before, before)
        self._keeper.want(wanted)
        if not await self._keeper.wait_settled(self._within_s):
            counts = {state: count for state, count in roster.counts().items() if count}
            raise RealizeError(
                f"of {wanted} workers {counts.get('ready', 0)} are ready after {self._within_s:.0f} s ({counts}): their log "
                "files say why"
            )
        return Applied(before, wanted)
