"""Which grants count, and the broker's clock that dates them."""

from hypothesis import given
from hypothesis import strategies as st

from schemas.lease import LeaseClaim, LeaseGrant
from streams.limits.books.epochs import Epochs
from streams.limits.books.grantor import moment
from streams.limits.worker.clock import BrokerClock


def grant(epoch: int, seq: int, by: str, made_at: float = 100.0) -> LeaseGrant:
    return LeaseGrant(
        provider="main",
        grantor_id=by,
        epoch=epoch,
        seq=seq,
        valid_from=moment(made_at),
        valid_until=moment(made_at + 3),
        grants={},
    )


def claim(epoch: int, by: str) -> LeaseClaim:
    return LeaseClaim(grantor_id=by, epoch=epoch, at=moment(100.0))


def test_the_first_claim_of_an_epoch_counts_and_ends_all_earlier_ones() -> None:
    epochs = Epochs(late_s=1.0)
    epochs.claim(claim(1, "old"))
    assert epochs.counts(grant(1, 1, "old"), 100.1)
    epochs.claim(claim(2, "new"))
    epochs.claim(claim(2, "other"))
    assert not epochs.counts(grant(1, 2, "old"), 100.2)
    assert not epochs.counts(grant(2, 1, "other"), 100.2)
    assert epochs.counts(grant(2, 1, "new"), 100.2)


def test_a_grant_counts_once_and_only_in_time() -> None:
    epochs = Epochs(late_s=1.0)
    epochs.claim(claim(1, "a"))
    assert epochs.counts(grant(1, 1, "a"), 100.1)
    assert not epochs.counts(grant(1, 1, "a"), 100.1)
    assert not epochs.counts(grant(1, 2, "a"), 101.5)
    assert epochs.counts(grant(1, 3, "a", made_at=102.0), 102.1)


def test_who_did_not_see_the_claim_learns_the_epoch_from_the_first_grant() -> None:
    epochs = Epochs(late_s=1.0)
    assert epochs.counts(grant(7, 40, "a"), 100.0)
    assert not epochs.counts(grant(6, 99, "zombie"), 100.0)


@given(
    st.lists(st.tuples(st.floats(0, 0.5), st.floats(0, 0.5), st.floats(0, 100)), min_size=1, max_size=30),
    st.floats(-1e6, 1e6),
)
def test_the_brokers_time_is_always_within_the_bounds(acks: list[tuple[float, float, float]], offset: float) -> None:
    now = [1_000.0]
    clock = BrokerClock(lambda: now[0])
    for to_broker_s, from_broker_s, pause_s in acks:
        sent = now[0]
        now[0] += to_broker_s
        timestamp = int((now[0] + offset) * 1000) / 1000
        now[0] += from_broker_s
        clock.acked(sent, now[0], timestamp)
        now[0] += pause_s
        assert clock.earliest() - 0.001 - 1e-6 <= now[0] + offset <= clock.latest() + 1e-6


def test_nothing_that_is_dated_holds_before_the_broker_was_heard() -> None:
    clock = BrokerClock(lambda: 5.0)
    assert clock.latest() > 1e12
    assert clock.earliest() < -1e12


def test_a_clock_that_jumped_ahead_is_noticed_with_the_next_record() -> None:
    clock = BrokerClock(lambda: 10.0)
    clock.acked(9.0, 9.1, 1_000.0)
    clock.read(1_002.0)
    assert clock.latest() >= 1_002.0


def test_an_epoch_from_far_ahead_is_nobodys_and_leaves_room_for_the_next() -> None:
    epochs = Epochs(late_s=1.0)
    epochs.claim(claim(2**53, "mallory"))
    epochs.claim(claim(3, "a"))
    epochs.claim(claim(2**53, "mallory"))
    assert not epochs.counts(grant(2**53, 1, "mallory"), 100.1)
    assert epochs.counts(grant(3, 1, "a"), 100.1)
    epochs.claim(claim(4, "b"))
    assert epochs.counts(grant(4, 1, "b"), 100.1)
