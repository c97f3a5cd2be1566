"""Lines that would be said again and again."""

from streams.kafka.repeats import Repeats


def test_a_trouble_is_said_at_once_then_once_a_minute_with_what_was_left_out() -> None:
    repeats = Repeats()
    lines = [(at, times) for at in range(130) if (times := repeats.due("fetch", float(at)))]
    assert lines == [(0, 1), (60, 60), (120, 60)]


def test_kinds_do_not_silence_each_other_and_what_is_over_is_said_at_once_when_it_comes_back() -> None:
    repeats = Repeats()
    assert (repeats.due("a", 0.0), repeats.due("b", 1.0), repeats.due("a", 2.0)) == (1, 1, 0)
    assert (repeats.over("a"), repeats.over("a"), repeats.over("never")) == (True, False, False)
    assert repeats.due("a", 3.0) == 1
