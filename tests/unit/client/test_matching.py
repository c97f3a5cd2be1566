"""Which answer is believed, against an obvious model: the first one with the event id of one's own record."""

from collections.abc import Sequence

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from headrace_client.matching import Matcher, Waiting

KEY = ("agent-1", "request-1")


def test_an_answer_is_taken_by_the_place_of_its_request() -> None:
    matcher = Matcher()
    waiting = matcher.expect(KEY, b"")
    assert matcher.acked(waiting, "t:0:5") is None
    assert matcher.offer("t:0:4", "agent-1", b"another's") is None
    assert matcher.offer("t:0:5", "agent-1", b"mine") is waiting


# eclipse-hono/hono#2612: the reply was read before the correlation id was stored.
# spring-projects/spring-kafka#2318: the reply was there before anybody listened.
def test_an_answer_that_is_read_before_the_ack_is_not_lost() -> None:
    matcher = Matcher()
    waiting = matcher.expect(KEY, b"")
    assert matcher.offer("t:0:5", "agent-1", b"mine") is None
    assert matcher.acked(waiting, "t:0:5") == b"mine"


# A stranger sends a request with another's agent_id, request_id and reply topic; the fleet answers that one too.
@pytest.mark.parametrize("before_ack", [True, False])
def test_an_answer_to_a_strangers_record_is_not_believed(before_ack: bool) -> None:
    matcher = Matcher()
    waiting = matcher.expect(KEY, b"")
    if before_ack:
        assert matcher.offer("t:0:4", "agent-1", b"forged") is None
        assert matcher.acked(waiting, "t:0:5") is None
    else:
        matcher.acked(waiting, "t:0:5")
        assert matcher.offer("t:0:4", "agent-1", b"forged") is None
    assert matcher.offer("t:0:5", "agent-1", b"mine") is waiting


def test_an_answer_under_another_agents_key_is_not_believed() -> None:
    matcher = Matcher()
    waiting = matcher.expect(KEY, b"")
    matcher.acked(waiting, "t:0:5")
    assert matcher.offer("t:0:5", "agent-2", b"forged") is None
    assert matcher.offer("t:0:5", "agent-1", b"mine") is waiting


# spring-projects/spring-kafka#544 (review): pending replies that timed out stay in the map.
def test_nothing_is_left_of_a_request_that_nobody_waits_for() -> None:
    matcher = Matcher()
    for number in range(1000):
        waiting = matcher.expect(("agent-1", str(number)), b"")
        matcher.offer(f"t:0:{number}", "agent-1", b"x" * 100)
        if number % 2:
            matcher.acked(waiting, f"t:0:{number}")
        matcher.forget(waiting)
    assert len(matcher) == 0
    assert matcher.held_bytes == 0
    assert matcher.offer("t:0:1", "agent-1", b"late") is None
    assert matcher.held_bytes == 0


@pytest.mark.parametrize(("count", "size", "most"), [(10, 50, 500), (1000, 300, 1000)], ids=["count", "bytes"])
def test_answers_of_strangers_fill_no_memory_while_an_ack_is_awaited(count: int, size: int, most: int) -> None:
    matcher = Matcher(early_count=count, early_bytes=1000)
    matcher.expect(KEY, b"")
    for number in range(10_000):
        matcher.offer(f"t:1:{number}", "agent-1", b"x" * size)
        matcher.offer(f"t:2:{number}", "agent-2", b"x" * size)
        assert matcher.held_bytes <= most


def test_a_retry_is_answered_by_either_of_its_records() -> None:
    matcher = Matcher()
    first = matcher.expect(KEY, b"digest")
    matcher.acked(first, "t:0:5")
    matcher.remember(KEY, b"digest", "t:0:5")
    matcher.forget(first)
    again = matcher.expect(KEY, b"digest")
    assert matcher.offer("t:0:5", "agent-1", b"of the first") is again


def test_another_content_under_the_same_name_is_not_answered_by_the_first() -> None:
    matcher = Matcher()
    matcher.remember(KEY, b"digest", "t:0:5")
    matcher.expect(KEY, b"other")
    assert matcher.offer("t:0:5", "agent-1", b"of the first") is None


class Model(RuleBasedStateMachine):
    """Requests of two agents, acks and answers in any order; each is offered its own answer and others'."""

    def __init__(self) -> None:
        super().__init__()
        self.matcher = Matcher()
        self.next_offset = 0
        self.unacked: list[tuple[Waiting, str]] = []
        self.acked: list[tuple[Waiting, str]] = []
        self.early: dict[str, bytes] = {}

    @rule(agent=st.sampled_from(["a", "b"]))
    def send(self, agent: str) -> None:
        self.next_offset += 1
        waiting = self.matcher.expect((agent, str(self.next_offset)), b"")
        self.unacked.append((waiting, f"t:0:{self.next_offset}"))

    @precondition(lambda self: self.unacked)
    @rule(data=st.data())
    def answer_before_the_ack(self, data: st.DataObject) -> None:
        waiting, event_id = data.draw(st.sampled_from(self.unacked))
        assert self.matcher.offer(event_id, waiting.key[0], event_id.encode()) is None
        self.early[event_id] = event_id.encode()

    @precondition(lambda self: self.unacked)
    @rule(data=st.data())
    def ack(self, data: st.DataObject) -> None:
        waiting, event_id = data.draw(st.sampled_from(self.unacked))
        self.unacked.remove((waiting, event_id))
        found = self.matcher.acked(waiting, event_id)
        assert found == self.early.pop(event_id, None)
        if found is None:
            self.acked.append((waiting, event_id))
        else:
            self.matcher.forget(waiting)

    @precondition(lambda self: self.acked)
    @rule(data=st.data(), forged=st.booleans())
    def answer(self, data: st.DataObject, forged: bool) -> None:
        waiting, event_id = data.draw(st.sampled_from(self.acked))
        if forged:
            assert self.matcher.offer(event_id.replace("t:0", "t:1"), waiting.key[0], b"") is None
            return
        assert self.matcher.offer(event_id, waiting.key[0], b"") is waiting
        self.matcher.forget(waiting)
        self.acked.remove((waiting, event_id))

    @precondition(lambda self: self.acked or self.unacked)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        pairs: Sequence[tuple[Waiting, str]] = self.acked + self.unacked
        pair = data.draw(st.sampled_from(pairs))
        self.matcher.forget(pair[0])
        (self.acked if pair in self.acked else self.unacked).remove(pair)
        self.early.pop(pair[1], None)

    @invariant()
    def knows_who_waits(self) -> None:
        assert len(self.matcher) == len(self.acked) + len(self.unacked)
        if not self.unacked:
            assert self.matcher.held_bytes == 0


TestModel = Model.TestCase
