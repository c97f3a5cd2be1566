"""A class that an operator has paused: nothing of it goes, its time runs, and it is owed nothing for it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.flow.scheduler_rig import asking, drain, scheduler, take
from topics.names import PRIORITIES, Priority


@given(paused=st.sets(st.sampled_from(PRIORITIES)), put=st.lists(st.sampled_from(PRIORITIES), max_size=40))
def test_what_goes_is_all_but_the_paused_classes_and_the_rest_after_them(
    paused: set[Priority], put: list[Priority]
) -> None:
    one, _ = scheduler()
    for priority in paused:
        one.pause(priority, True, 0.0)
    for number, priority in enumerate(put):
        one.put(asking(priority, f"agent-{number}"))
    gone = drain(one)
    assert sorted(each.priority for each in gone) == sorted(each for each in put if each not in paused)
    assert len(one) == len(put) - len(gone)
    for priority in paused:
        one.pause(priority, False, 0.0)
    assert len(gone) + len(drain(one)) == len(put)


def test_a_paused_request_runs_out_of_time_as_any_other() -> None:
    one, _ = scheduler()
    one.pause("low", True, 0.0)
    request = asking("low", dispatch_by=5.0)
    one.put(request)
    assert take(one) is None
    assert one.take_late(6.0, 6.0) == [request]


def test_after_a_pause_a_class_does_not_take_all_the_turns_that_it_missed() -> None:
    one, _ = scheduler()
    one.pause("high", True, 0.0)
    for number in range(60):
        one.put(asking("high", f"a{number}"))
        one.put(asking("low", f"b{number}"))
    for _ in range(30):
        assert (request := take(one)) is not None
        assert request.priority == "low"
    one.pause("high", False, 0.0)
    after = [request.priority for _ in range(27) if (request := take(one)) is not None]
    assert after.count("low") in (2, 3), "8 to 1, as the weights say"
