"""What is missing of rights and quotas, what may be taken away, and what is others' affair."""

from hypothesis import given
from hypothesis import strategies as st

from streams.settings.tenants import Tenant
from streams.tenants.access import is_own, named_principals, tenant_acls, tenant_quotas
from topics.names import TopicNames
from topics.rights import Acl, Quota, plan_quotas, plan_rights

NAMES = TopicNames.behind("eu.", ("acme", "beta"))
APP = "User:acme-app"
ACME = Tenant(principals=[APP], former_principals=["User:gone"], quotas={"produce": "1MB/s"})
WANTED = list(tenant_acls(ACME, NAMES.tenants["acme"], NAMES.prefix))
NAMED = named_principals({"acme": ACME})


def own(acl: Acl) -> bool:
    return is_own(acl, NAMED, NAMES.prefix)


def test_everything_that_a_tenant_is_given_is_known_as_its_own() -> None:
    assert all(map(own, WANTED))
    assert plan_rights(WANTED, WANTED, own).differs is False
    assert set(plan_rights(WANTED, [], own).missing) == set(WANTED)


def test_rights_that_somebody_else_made_are_left() -> None:
    """strimzi/strimzi-kafka-operator#1371 in kind: its operator took away ACLs that others had made, of users it did not know."""
    topic = NAMES.tenants["acme"].responses
    foreign = [
        Acl("User:audit", "Read", "topic", topic),  # a principal that no file names
        Acl("User:headrace-worker", "Write", "topic", topic),
        Acl(APP, "Describe", "topic", topic),  # an operation that is never given
        Acl(APP, "Read", "topic", "orders"),  # a topic of its own
        Acl(APP, "Read", "topic", "agent.responses.acme"),  # another fleet's
        Acl(APP, "Read", "topic", topic, host="10.0.0.1"),
        Acl(APP, "Read", "group", "eu.", prefixed=True),
        Acl(APP, "Read", "topic", NAMES.responses),  # the common answers: no tenant's form
        Acl(APP, "Read", "topic", topic, allows=False),
        Acl(APP, "Alter", "cluster", "kafka-cluster"),
    ]
    assert plan_rights(WANTED, [*WANTED, *foreign], own).surplus == ()


def test_rights_of_who_moved_or_went_are_surplus() -> None:
    """strimzi/strimzi-kafka-operator#8466 in kind: who moved kept the rights of before."""
    moved = Acl(APP, "Write", "topic", "eu.agent.requests.beta.high")
    of_nobody = Acl(APP, "Read", "topic", "eu.agent.requests.old.dlq")  # a tenant that no file names any more
    went = Acl("User:gone", "Read", "topic", NAMES.tenants["acme"].reply_to_prefix, prefixed=True)
    assert set(plan_rights(WANTED, [*WANTED, moved, of_nobody, went], own).surplus) == {moved, of_nobody, went}


def test_a_denial_that_undoes_a_right_is_told_and_left() -> None:
    all_of_it = Acl("User:*", "All", "topic", "eu.agent.", prefixed=True, allows=False)
    other = Acl("User:else", "Read", "topic", NAMES.tenants["acme"].responses, allows=False)
    plan = plan_rights(WANTED, [*WANTED, all_of_it, other], own)
    assert (plan.against, plan.surplus) == ((all_of_it,), ())


def test_quotas_of_others_are_left() -> None:
    """strimzi/strimzi-kafka-operator#2393 in kind: quotas stayed behind their users."""
    wanted = list(tenant_quotas(ACME))
    assert wanted == [Quota("acme-app", "producer_byte_rate", 1_000_000)]
    found = {
        ("acme-app", "consumer_byte_rate"): 5.0,
        ("audit", "producer_byte_rate"): 7.0,
        ("acme-app", "request_percentage"): 9.0,
    }
    plan = plan_quotas(wanted, found, ["acme-app"])
    assert plan.wanted == ((wanted[0], None),)
    assert plan.surplus == (Quota("acme-app", "consumer_byte_rate", 5.0),)
    assert not plan_quotas(wanted, {("acme-app", "producer_byte_rate"): 1e6}, ["acme-app"]).differs


@given(st.sets(st.sampled_from(WANTED)), st.sets(st.sampled_from(WANTED)))
def test_applying_a_plan_leaves_nothing_to_do(wanted: set[Acl], found: set[Acl]) -> None:
    plan = plan_rights(wanted, found, own)
    after = (found | set(plan.missing)) - set(plan.surplus)
    assert after == wanted
    assert not plan_rights(wanted, after, own).differs
