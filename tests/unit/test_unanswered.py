"""What goes on to be called, by id, against a set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from streams.unanswered import Unanswered
from tests.support.requests import SampleSource, pending
from tests.unit.cancels.rig import OK, Delivered

if TYPE_CHECKING:
    from streams.pipeline import PendingRequest


@given(
    st.lists(
        st.tuples(st.sampled_from(["note", "respond", "abandon", "leave", "move"]), st.integers(0, 5)), max_size=30
    )
)
def test_each_leaves_once_and_is_found_until_then(steps: list[tuple[str, int]]) -> None:
    """Six requests of two ids."""
    delivered = Delivered()
    unanswered = Unanswered(delivered)
    made: list[PendingRequest] = [pending(request_id="ab"[n % 2], source=SampleSource()) for n in range(6)]
    noted, gone, left = set[int](), set[int](), set[int]()
    for action, number in steps:
        request = made[number]
        if action == "note" and number not in noted:
            assert unanswered.note(request)
            noted.add(number)
        elif action == "leave" and number in noted - gone:
            unanswered.leave(request, OK)
            gone.add(number)
            left.add(number)
        elif action in ("respond", "abandon") and (number in noted - gone or number in left):
            unanswered.respond(request, OK) if action == "respond" else unanswered.abandon(request)
            gone.add(number)
            left.discard(number)
        elif action == "move" and number in noted - gone:
            request.source.live = False  # type: ignore[misc]
            unanswered.drop_moved()
            gone.add(number)
        for name in "ab":
            assert set(unanswered.find(name)) == {made[n] for n in noted - gone if made[n].request_id == name}
        assert len(unanswered) == len(noted - gone)
        assert {request for request in made if unanswered.has_left(request)} == {made[n] for n in left}
    assert all(len(outcomes) == 1 for outcomes in delivered.outcomes.values())
