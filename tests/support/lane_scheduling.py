"""Lanes (lanes.py) as pytest-xdist's scheduling."""

from typing import Any

from xdist.scheduler import LoadScopeScheduling

from tests.support.lanes import lane_of


class LaneScheduling(LoadScopeScheduling):  # type: ignore[misc]
    """Gives each process whole lanes, in the order of collection; one that is done takes the next.

    The last process begins at the other end, with what needs no broker: that computes, while most tests with a broker wait, so
    together they fill the machine from the beginning to the end.

    In place of `--dist loadgroup`, which pytest 9.2 does without a word: pytest-dev/pytest-xdist#1386.
    """

    def __init__(self, config: Any, log: Any, broker_kind: str | None) -> None:
        super().__init__(config, log)
        self._broker_kind = broker_kind
        self._from_the_end = f"gw{self.numnodes - 1}" if self.numnodes > 1 else None

    def _split_scope(self, nodeid: str) -> Any:
        file, _, _ = nodeid.partition("::")
        return lane_of(self.config.rootpath / file, self._broker_kind)

    def _assign_work_unit(self, node: Any) -> None:
        if node.gateway.id == self._from_the_end:
            self.workqueue.move_to_end(next(reversed(self.workqueue)), last=False)
        super()._assign_work_unit(node)
