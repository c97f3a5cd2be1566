"""Which endpoints are trouble: none that somebody took out on purpose, as long as another one does its work."""

from __future__ import annotations

import pytest

from ops.admin.ask_workers import Asked
from ops.ui.workers import sick_of
from streams.providers.health import EndpointState
from streams.providers.stats import EndpointStats


def said(url: str, state: EndpointState, provider: str = "main") -> EndpointStats:
    return EndpointStats(provider, url, state, 1, 0, 10, None, None)


def sick(*workers: list[EndpointStats]) -> list[str]:
    return sick_of([Asked(f"w{number}", "a:1", each) for number, each in enumerate(workers)])


def test_a_drained_endpoint_is_no_trouble_while_its_provider_has_another() -> None:
    assert sick([said("a", "healthy"), said("b", "draining")]) == []


@pytest.mark.parametrize("other", ["draining", "unhealthy", "open", "refused"])
def test_it_is_trouble_where_nobody_is_left(other: EndpointState) -> None:
    assert sick([said("a", other), said("b", "draining")]) == ["a", "b"]
    assert sick([said("a", "healthy", "second"), said("b", "draining")]) == ["b"], "another provider is no help"


def test_an_ill_endpoint_is_trouble_also_beside_a_well_one() -> None:
    assert sick([said("a", "healthy"), said("b", "open")], [said("a", "open"), said("b", "draining")]) == ["b"]


def test_who_cannot_be_asked_tells_nothing() -> None:
    assert sick_of([Asked("w0", None, None, "it is out of reach")]) == []
