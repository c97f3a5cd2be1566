"""What a supervisor does next: starts, pauses that double, giving up, and who goes."""

from hypothesis import given
from hypothesis import strategies as st

from ops.processes.supervisor.roster import Pauses, Place, Roster

PAUSES = Pauses(first_s=1.0, last_s=8.0, give_up_after=4, steady_s=60.0)


def roster(wanted: int) -> Roster:
    """So many, all ready at 1 s."""
    made = Roster(PAUSES)
    made.want(wanted, 0.0)
    for place in list(made.to_start(0.0)):
        made.is_ready(place.name, 1.0)
    return made


def names(places: list[Place]) -> list[str]:
    return [place.name for place in places]


def test_as_many_are_started_as_are_wanted() -> None:
    made = Roster(PAUSES)
    made.want(3, 0.0)
    assert names(list(made.to_start(0.0))) == ["w0", "w1", "w2"]
    assert names(list(made.to_start(0.0))) == []
    assert not made.is_settled
    for name in ("w0", "w1", "w2"):
        made.is_ready(name, 2.0)
    assert made.is_settled


def test_the_youngest_go_and_names_are_never_used_again() -> None:
    made = roster(3)
    made.want(1, 5.0)
    assert names(made.to_drain()) == ["w1", "w2"]
    assert made.ended("w2", 6.0) is None
    made.want(2, 7.0)
    assert names(list(made.to_start(7.0))) == ["w3"]
    assert not made.is_settled  # w1 is still on its way out
    made.is_ready("w3", 8.0)
    made.ended("w1", 9.0)
    assert made.is_settled


def test_one_that_ends_by_itself_is_started_anew_after_a_pause_that_doubles_and_is_given_up_in_the_end() -> None:
    made = roster(1)
    now, pauses = 10.0, []
    for _ in range(3):
        place = made.ended("w0", now)
        assert place is not None
        pauses.append(place.start_at - now)
        assert list(made.to_start(place.start_at - 0.01)) == []
        assert names(list(made.to_start(place.start_at))) == ["w0"]
        now = place.start_at
    assert pauses == [1.0, 2.0, 4.0]
    place = made.ended("w0", now)
    assert place is not None
    assert place.state == "given_up"
    assert list(made.to_start(now + 1e6)) == []
    made.want(1, now)
    assert names(list(made.to_start(now))) == ["w0"]


def test_one_that_ran_for_a_while_has_not_failed_at_its_start() -> None:
    made = roster(1)
    for minute in range(10):
        place = made.ended("w0", 100.0 * minute + 70.0)
        assert place is not None
        assert (place.failures, place.state) == (1, "waiting")
        list(made.to_start(100.0 * minute + 75.0))
        made.is_ready("w0", 100.0 * minute + 80.0)


def test_one_that_waits_for_its_start_simply_goes() -> None:
    made = roster(2)
    made.ended("w1", 2.0)
    made.want(1, 2.5)
    assert names(made.to_drain()) == []
    assert made.is_settled


@given(
    st.lists(
        st.tuples(st.sampled_from(["want", "ready", "end", "start"]), st.integers(0, 6), st.floats(0.1, 100.0)),
        max_size=80,
    )
)
def test_there_are_never_more_processes_wanted_than_asked_for(steps: list[tuple[str, int, float]]) -> None:
    made, running, now = Roster(PAUSES), set[str](), 0.0
    for what, number, later in steps:
        now += later
        if what == "want":
            made.want(number, now)
        elif what == "start":
            running |= {place.name for place in made.to_start(now)}
        elif running:
            name = sorted(running)[number % len(running)]
            if what == "ready":
                made.is_ready(name, now)
            else:
                running.discard(name)
                made.ended(name, now)
        staying = [place for place in made.places.values() if place.state != "draining"]
        assert len(staying) == made.wanted
        assert {
            place.name for place in made.places.values() if place.state in ("starting", "ready", "draining")
        } == running
