"""No two tenants have a key or an identity in common; without a tenant both are what they were."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.cache.key import Namespace, cache_key, identity_key
from streams.cache.rules import CacheRules

DIGEST = bytes(range(16))
TENANTS = st.text("ab1-", min_size=0, max_size=3)
TEXTS = st.text("ab1-:", min_size=0, max_size=4)


@given(TENANTS, TENANTS, TEXTS, TEXTS, st.sampled_from(["fleet", "agent"]))
def test_keys_of_two_tenants_differ(one: str, other: str, agent: str, agent_2: str, namespace: Namespace) -> None:
    """BerriAI/litellm CVE-2026-35030, vllm-project/semantic-router#2134: one cache for all callers, or keys that collide."""
    same = cache_key(DIGEST, namespace, agent, b"", one) == cache_key(DIGEST, namespace, agent_2, b"", other)
    assert same == (one == other and (namespace == "fleet" or agent == agent_2))


@given(st.tuples(TENANTS, TEXTS, TEXTS), st.tuples(TENANTS, TEXTS, TEXTS))
def test_one_request_is_of_one_tenant(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    keys = [identity_key(DIGEST, agent, request, tenant) for tenant, agent, request in (one, other)]
    assert (keys[0] == keys[1]) == (one == other)


def test_without_a_tenant_the_keys_are_those_of_before() -> None:
    assert cache_key(DIGEST, "fleet", "a") == DIGEST
    assert identity_key(DIGEST, "a", "r").hex() == identity_key(DIGEST, "a", "r", "").hex()


def test_nothing_of_a_tenants_is_kept_longer_than_it_says() -> None:
    rules = CacheRules("fleet", 1.0, 300, 86_400, 600, most_s={"acme": 60})
    assert rules.times_of("acme", None) == (60, 60)
    assert rules.times_of("acme", 30) == (30, 60)
    assert rules.times_of("beta", None) == (86_400, 600)
    assert rules.times_of("", 120) == (120, 600)
