"""The rule for callers' reply topics that take nothing."""

from hypothesis import given
from hypothesis import strategies as st

from streams.delivery.reply_trouble import GRACE_S, ReplyTroubles

PATIENCE_S, MOST = 30.0, 10


def troubles() -> ReplyTroubles:
    return ReplyTroubles(PATIENCE_S, MOST)


def test_a_topic_has_its_patience_and_is_refused_for_as_long_again_and_then_tried() -> None:
    found = troubles()
    assert found.failed("t", 100.0, told=True) == 0.0
    assert not found.is_over("t", 129.9)
    assert found.is_over("t", 130.0)
    found.gave_up("t", 130.0)
    assert found.refuses("t", 159.9)
    assert not found.refuses("t", 160.0)
    found.failed("t", 161.0, told=True)
    assert found.is_over("t", 161.0)  # no second patience


def test_an_ack_ends_the_trouble() -> None:
    found = troubles()
    found.failed("t", 100.0, told=True)
    assert found.acked("t", 101.0)
    assert "t" not in found
    assert found.failed("t", 140.0, told=True) == 0.0


def test_time_in_which_no_broker_says_anything_does_not_count() -> None:
    found = troubles()
    for at in range(100, 200):
        found.failed("t", float(at), told=False)
    assert not found.is_over("t", 200.0)


def test_a_connection_that_fails_counts_once_the_cluster_takes_other_things() -> None:
    found = troubles()
    found.failed("t", 100.0, told=False)
    found.acked("other", 101.0)
    for at in range(102, 131):
        found.failed("t", float(at), told=False)
    assert found.is_over("t", 131.0)


def test_only_so_many_answers_wait_once_the_trouble_is_no_passing_one() -> None:
    found = troubles()
    found.failed("t", 100.0, told=True)
    assert not found.is_full("t", MOST, 100.0 + GRACE_S - 0.1)
    assert found.is_full("t", MOST, 100.0 + GRACE_S)
    assert not found.is_full("t", MOST - 1, 100.0 + GRACE_S)
    assert not found.is_full("other", 1000, 200.0)


@given(st.lists(st.tuples(st.floats(0, 20), st.booleans(), st.booleans()), max_size=60))
def test_nothing_is_given_up_before_the_patience_is_over_since_the_last_ack(
    steps: list[tuple[float, bool, bool]],
) -> None:
    found, now, acked_at = troubles(), 0.0, 0.0
    for pause_s, acks, told in steps:
        now += pause_s
        if acks:
            found.acked("t", now)
            acked_at = now
        else:
            found.failed("t", now, told=told)
        assert not found.is_over("t", now) or now - acked_at >= PATIENCE_S


def test_a_topic_that_refuses_records_in_a_row_for_what_they_are_has_no_patience_left() -> None:
    found = troubles()
    found.failed("t", 100.0, told=True)
    assert [found.is_over("t", 100.0, refused=True) for _ in range(11)] == [False] * 9 + [True, True]
    found.is_over("t", 100.0)
    assert not found.is_over("t", 100.0, refused=True)
