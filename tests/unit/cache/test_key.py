from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from streams.cache.key import IGNORED_FIELDS, cache_key, identity_key, payload_digest

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
PAYLOADS = st.dictionaries(st.text(max_size=8), JSON, max_size=5)


def reordered(value: Any) -> Any:
    """The same JSON, its objects' fields in the opposite order."""
    if isinstance(value, dict):
        return {name: reordered(value[name]) for name in reversed(value)}
    return [reordered(item) for item in value] if isinstance(value, list) else value


@given(PAYLOADS)
def test_the_order_of_fields_does_not_matter(payload: dict[str, Any]) -> None:
    assert payload_digest("chat.completions", payload) == payload_digest("chat.completions", reordered(payload))


@given(PAYLOADS, st.sampled_from(sorted(IGNORED_FIELDS)), JSON)
def test_ignored_fields_do_not_matter_and_are_left_in_the_payload(
    payload: dict[str, Any], field: str, value: Any
) -> None:
    with_field = {**payload, field: value}
    without = {name: item for name, item in payload.items() if name != field}
    assert payload_digest("embeddings", with_field) == payload_digest("embeddings", without)
    assert with_field[field] == value


@given(PAYLOADS, PAYLOADS)
def test_different_payloads_have_different_digests(one: dict[str, Any], other: dict[str, Any]) -> None:
    def counted(payload: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in payload.items() if name not in IGNORED_FIELDS}

    same = repr(sorted(counted(one).items())) == repr(sorted(counted(other).items()))
    if not same and counted(one) != counted(other):
        assert payload_digest("embeddings", one) != payload_digest("embeddings", other)


def test_the_operation_matters() -> None:
    assert payload_digest("embeddings", {"model": "m"}) != payload_digest("chat.completions", {"model": "m"})


def test_a_namespace_keeps_agents_apart_or_shares_nothing() -> None:
    digest = payload_digest("embeddings", {"model": "m"})
    assert cache_key(digest, "fleet", "a") == cache_key(digest, "fleet", "b") == digest
    assert cache_key(digest, "agent", "a") != cache_key(digest, "agent", "b")
    assert cache_key(digest, "agent", "a") != digest
    assert cache_key(digest, "none", "a") is None


@given(st.text(max_size=6), st.text(max_size=6), st.text(max_size=6), st.text(max_size=6))
def test_ids_do_not_run_into_each_other(agent: str, request: str, other_agent: str, other_request: str) -> None:
    digest = b"d" * 16
    same = (agent, request) == (other_agent, other_request)
    assert (identity_key(digest, agent, request) == identity_key(digest, other_agent, other_request)) == same
