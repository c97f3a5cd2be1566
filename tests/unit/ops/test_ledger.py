from hypothesis import given
from hypothesis import strategies as st

from ops.load import ledger as module
from ops.load.ledger import Ledger, percentile

ids = st.sampled_from(["a", "b", "c", "d"])
notes = st.lists(
    st.one_of(
        st.tuples(st.just("sent"), ids),
        st.tuples(st.sampled_from(["ok", "error", "expired", "rejected"]), ids),
        st.tuples(st.just("dead"), ids),
    ),
    max_size=40,
)


@given(notes)
def test_the_books_agree_with_counting_at_the_end_whatever_the_order(events: list[tuple[str, str]]) -> None:
    ledger = Ledger()
    for kind, name in events:
        if kind == "sent":
            ledger.note_sent(name, 0)
        elif kind == "dead":
            ledger.note_dead_letter(name)
        else:
            ledger.note_answer(name, kind, 5)
    sent = {name for kind, name in events if kind == "sent"}
    answers = {name: [kind for kind, one in events if one == name and kind not in ("sent", "dead")] for name in sent}
    dead = {name: sum(kind == "dead" for kind, one in events if one == name) for name in sent}
    summary = ledger.summary()
    assert summary.sent == len(sent)
    assert summary.answered == sum(bool(found) for found in answers.values())
    assert summary.dead == sum(count > 0 for count in dead.values())
    assert summary.duplicates == sum(max(0, len(answers[name]) - 1) + max(0, dead[name] - 1) for name in sent)
    assert set(ledger.lost_ids()) == {name for name in sent if not answers[name] and not dead[name]}
    assert summary.lost == ledger.open == len(ledger.lost_ids())
    assert dict(ledger.statuses()) == {name: found[0] if found else None for name, found in answers.items()}


def test_an_answer_that_overtakes_the_ack_of_its_request_counts() -> None:
    ledger = Ledger()
    ledger.note_answer("a", "ok", 1_400)
    assert (ledger.answered, ledger.open) == (0, 0)
    ledger.note_sent("a", 1_000)
    assert (ledger.answered, ledger.open, ledger.summary().max_ms) == (1, 0, 400.0)


def test_the_first_answer_counts_and_the_second_is_a_duplicate() -> None:
    ledger = Ledger()
    ledger.note_sent("a", 1_000)
    ledger.note_answer("a", "error", 1_100)
    ledger.note_answer("a", "ok", 9_000)
    summary = ledger.summary()
    assert (summary.error, summary.ok, summary.duplicates, summary.max_ms) == (1, 0, 1, 100.0)


def test_a_rejected_request_with_its_dead_letter_is_no_duplicate() -> None:
    ledger = Ledger()
    ledger.note_sent("a", 0)
    ledger.note_dead_letter("a")
    ledger.note_answer("a", "rejected", 3)
    summary = ledger.summary()
    assert (summary.answered, summary.rejected, summary.dead, summary.duplicates, summary.lost) == (1, 1, 1, 0, 0)


def test_an_end_that_is_told_by_the_records_position_counts_for_the_request() -> None:
    ledger = Ledger()
    ledger.note_dead_letter("agent.requests.low:3:17")
    ledger.note_sent("poison-1", 0, "agent.requests.low:3:17")
    ledger.note_answer("agent.requests.low:3:17", "rejected", 3)
    assert (ledger.summary().dead, ledger.summary().rejected, ledger.open) == (1, 1, 0)


def test_answers_to_strangers_are_kept_in_bounds() -> None:
    ledger = Ledger()
    for number in range(module.EARLY_LIMIT + 5):
        ledger.note_answer(f"stranger-{number}", "ok", 0)
    assert len(ledger._early) == module.EARLY_LIMIT
    assert ledger.summary().answered == 0


@given(st.lists(st.integers(0, 10_000), min_size=1), st.floats(0.01, 1))
def test_a_percentile_is_a_value_with_at_least_that_share_at_or_below_it(values: list[int], share: float) -> None:
    found = percentile(sorted(values), share)
    at_most = sum(value <= found for value in values)
    below = sum(value < found for value in values)
    assert at_most >= share * len(values) - 1e-9
    assert below < share * len(values) + 1e-9
