"""A tenant's rows stay no longer than what they are about; nobody else's go with them, and forgetting knows whose an agent is."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ops.ui.index import queries
from ops.ui.index.events import Asked, Died, Event
from ops.ui.index.filters import Filters
from ops.ui.index.forgetting import _is_of
from ops.ui.index.places import Places
from ops.ui.index.retention import Kept, RetentionSweeper, kept_by_tenant
from ops.ui.index.row import place_of
from ops.ui.index.store import IndexStore
from streams.cache.key import owner_tag
from streams.settings import load_settings
from tests.unit.ui.models import T0
from tests.unit.ui.test_store import a_store
from topics.names import TopicNames

PLACES = Places(TopicNames.behind("", ["acme", "bee"]))
HOUR, DAY = 3_600_000, 86_400_000
TENANTS = ("", "acme", "bee")


def ids(store: IndexStore) -> set[str]:
    return {row.request_id for row in queries.page(store, Filters(), None, 1_000).rows}


@given(
    st.lists(
        st.tuples(st.sampled_from(TENANTS), st.integers(0, 2), st.integers(0, 2), st.integers(0, 9), st.booleans()),
        max_size=40,
    )
)
@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_what_is_left_is_what_a_look_at_each_row_would_leave(
    requests: list[tuple[str, int, int, int, bool]],
) -> None:
    """Of each partition times rise; classes, partitions and tenants lie side by side."""
    events: list[Event] = []
    wanted, now_ms = set[str](), T0 + 10 * HOUR
    kept = {"acme": Kept(4 * HOUR, 7 * HOUR)}
    for number, (tenant, priority, partition, hours, died) in enumerate(sorted(requests, key=lambda each: each[3])):
        place, at, name = (
            place_of(priority, partition, number, PLACES.number_of(tenant)),
            T0 + hours * HOUR,
            f"r-{number}",
        )
        events.append(Asked(place, at, name, "a", "small", 10, tenant))
        if died:
            events.append(Died(place, at + 1, at, "a", 2, 7, 4, 3, 0, number, tenant))
        if tenant != "acme" or hours >= (3 if died else 6):
            wanted.add(name)
    with a_store() as store:
        store.apply(events, {})
        assert RetentionSweeper(store, PLACES, kept).sweep(now_ms) == len(requests) - len(wanted)
        assert ids(store) == wanted
        assert RetentionSweeper(store, PLACES, kept).sweep(now_ms) == 0


def test_rows_stay_as_long_as_the_longest_kept_of_what_they_are_about() -> None:
    loaded = load_settings(
        environ={
            "HEADRACE_TENANTS__ACME__RETENTION__REQUESTS": "2h",
            "HEADRACE_TENANTS__ACME__RETENTION__ANSWERS": "5h",
            "HEADRACE_TENANTS__ACME__RETENTION__DEAD_LETTERS": "3d",
            "HEADRACE_TENANTS__BEE__WEIGHT": "1",
        }
    )
    assert kept_by_tenant(loaded) == {"acme": Kept(5 * HOUR, 3 * DAY)}


@pytest.mark.parametrize(("tenant", "left"), [("acme", {"of bee", "of none"}), ("", {"of acme", "of bee"})])
def test_an_agent_of_a_tenant_is_forgotten_and_its_namesakes_stay(tenant: str, left: set[str]) -> None:
    """Two tenants name their agents alike."""
    events: list[Event] = [
        Asked(place_of(1, 0, 0, PLACES.number_of(each)), T0, f"of {each or 'none'}", "ann", "small", 10, each)
        for each in TENANTS
    ]
    owner = owner_tag("ann", tenant)
    with a_store() as store:
        store.apply(events, {})
        assert store.forget(lambda agent, of: _is_of(owner, agent, of), T0 + 1) == 1
        assert ids(store) == left
