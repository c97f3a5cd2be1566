"""A test that fails while the machine stands still is run again: nothing can be said of what is by the clock in it.

On a machine that ran all the time a failure is a failure, and nothing is run twice.
"""

from __future__ import annotations

from typing import Final

import pytest
from _pytest.runner import runtestprotocol

from tests.support.stopwatch import Stopwatch

_STILL_S: Final = 1.0
"""Tests bear shorter stops."""
_TIMES: Final = 2
_LONGEST_S: Final = 120.0
"""A test that took longer is not run again: the timer of pytest-timeout is one for all of its runs."""


def run(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """The whole protocol of one test. A warning in the summary tells what was run again, and why."""
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for left in reversed(range(_TIMES + 1)):
        watch = Stopwatch()
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
        failed = next((report for report in reports if report.failed), None)
        if failed is None or not left or watch.still_s < _STILL_S or watch.passed_s > _LONGEST_S:
            break
        crash = getattr(failed.longrepr, "reprcrash", None)
        said = str(failed.longrepr if crash is None else crash.message).partition("\n")[0]
        why = f"run again: the machine stood still for {watch.still_s:.1f} s, and it failed: {said}"
        item.warn(pytest.PytestWarning(why))
        item._initrequest()  # type: ignore[attr-defined] # fixtures of its own
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
