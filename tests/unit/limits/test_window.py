"""The sliding window against a list of all entries."""

from hypothesis import given
from hypothesis import strategies as st

from streams.limits.amount import NONE, Amount
from streams.limits.books.window import SlidingWindow, steady_rate

ENTRIES = st.lists(st.tuples(st.floats(0, 30), st.integers(0, 20), st.integers(0, 5_000)), max_size=60)


@given(ENTRIES)
def test_the_total_is_the_sum_of_what_is_not_older_than_the_window(steps: list[tuple[float, int, int]]) -> None:
    window, now = SlidingWindow(60.0), 0.0
    model: dict[int, tuple[float, int]] = {}
    for passed_s, key, tokens in steps:
        now += passed_s
        window.expire(now)
        model = {k: (at, used) for k, (at, used) in model.items() if at + 60.0 > now}
        window.put(key, now, Amount(1, tokens))
        model[key] = (model[key][0] if key in model else now, tokens)
        assert window.total == Amount(len(model), sum(used for _, used in model.values()))


@given(ENTRIES, st.integers(0, 50_000))
def test_the_steady_rate_never_asks_for_more_than_the_window_gives_by_its_end(
    steps: list[tuple[float, int, int]], room: int
) -> None:
    window, now = SlidingWindow(60.0), 0.0
    for number, (passed_s, _, tokens) in enumerate(steps):
        now += passed_s
        window.expire(now)
        window.put(number, now, Amount(1, tokens))
    rate = steady_rate(window, now, Amount(100, room))
    assert 0 <= rate.tokens * 60 <= (room + window.total.tokens) * 1.3 + 1e-6


def test_after_a_burst_the_rate_is_lower_and_does_not_stop() -> None:
    window = SlidingWindow(60.0)
    assert steady_rate(window, 0.0, Amount(0, 60_000)).tokens == 1.3 * 1_000
    window.put("burst", 0.0, Amount(0, 30_000))
    assert 600 <= steady_rate(window, 0.1, Amount(0, 30_000)).tokens <= 660


def test_an_entry_keeps_the_time_of_its_first_mention() -> None:
    window = SlidingWindow(60.0)
    window.put("a", 0.0, Amount(1, 10))
    window.put("a", 50.0, Amount(1, 20))
    window.expire(60.0)
    assert window.total == NONE
