"""The waiting requests against an obvious model: one list of all of them, in the order in which they came."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from streams.flow.queues import ClassQueues
from streams.pipeline import PendingRequest
from tests.unit.flow.samples import SampleSource, pending
from topics.names import PRIORITIES


@given(
    st.permutations(PRIORITIES), st.lists(st.tuples(st.integers(0, 4), st.integers(0, 20)), max_size=60), st.randoms()
)
def test_any_use_agrees_with_the_model(
    serving_order: list[str], steps: list[tuple[int, int]], chance: random.Random
) -> None:
    order = [priority for wanted in serving_order for priority in PRIORITIES if priority == wanted]
    queues, model = ClassQueues(order), list[PendingRequest]()
    for step, number in steps:
        if step <= 1:
            source = SampleSource(live=number % 5 != 0)
            request = pending(priority=PRIORITIES[number % 3], dispatch_by=float(chance.randint(0, 20)), source=source)
            queues.put(request)
            model.append(request)
        elif step == 2 and model:
            request = model[number % len(model)]
            first = next(waiting for waiting in model if waiting.priority == request.priority)
            assert queues.pop(request.priority) is first
            model.remove(first)
        elif step == 3:
            over = [request for request in model if request.dispatch_by <= number or not request.source.live]
            taken = queues.take_expired(float(number))
            assert sorted(map(id, taken)) == sorted(map(id, over))
            model = [request for request in model if request not in over]
        heads = [next((request for request in model if request.priority == priority), None) for priority in order]
        assert list(queues.heads()) == [head for head in heads if head is not None]
        assert queues.waiting() == {
            priority: sum(request.priority == priority for request in model) for priority in order
        }
        assert len(queues) == len(model)


def test_a_deadline_that_is_now_has_passed() -> None:
    queues = ClassQueues(PRIORITIES)
    queues.put(request := pending(dispatch_by=100.0))
    assert queues.take_expired(99.9) == []
    assert queues.take_expired(100.0) == [request]
