"""`headrace tenants apply` on a broker that denies by default, as who may not change rights, and where nobody checks any."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import orjson
import pytest

from ops.admin.tenants import HOW
from streams.kafka.provision import admin_of
from streams.kafka.rights import Rights
from tests.support.cli import headrace
from tests.support.guarded_broker import PASSWORD, GuardedBroker, guarded
from topics.rights import Acl, Quota

__all__ = ["guarded"]

_FILE: Final = """
[kafka]
bootstrap_servers = "{servers}"
{sasl}
[topics]
prefix = "eu."
partitions = 12
[tenants.acme]
principals = [{principals}]
former_principals = [{former}]
quotas = {{ produce = "1MB/s" }}
retention = {{ answers = "2h" }}
[tenants.beta]
principals = ["User:beta-app"]
"""


def settings(path: Path, servers: str, principals: str, former: str = "", sasl: str = "") -> Path:
    path.write_text(_FILE.format(servers=servers, principals=principals, former=former, sasl=sasl))
    return path


@pytest.mark.long
@pytest.mark.timeout(180)
async def test_tenants_are_made_once_changed_and_taken_back(guarded: GuardedBroker, tmp_path: Path) -> None:
    servers = guarded.broker.bootstrap_servers
    file = settings(tmp_path / "one.toml", servers, '"User:acme-app"')
    foreign = [
        Acl("User:audit", "Read", "topic", "eu.agent.responses.acme"),
        Acl("User:acme-app", "Read", "topic", "orders"),
        Acl("User:acme-app", "Describe", "cluster", "kafka-cluster"),
    ]
    async with admin_of(guarded.plain_options) as admin:
        rights = Rights(admin)
        await rights.create_acls(foreign)
        await rights.alter_quotas(
            [Quota("acme-app", "consumer_byte_rate", 5e6), Quota("audit", "consumer_byte_rate", 6e6)]
        )

        dry = await headrace("tenants", "apply", str(file), "--dry-run")
        assert (dry.code, dry.out.count("missing, wanted"), dry.out.count("+ User:")) == (1, 10, 15)
        assert set(await rights.acls()) == set(foreign)

        first = await headrace("tenants", "apply", str(file), "--yes")
        assert (first.code, first.err) == (0, ""), first
        assert "2 tenants are as they should be: 10 topics, 14 ACLs" in first.out
        again = await headrace("tenants", "apply", str(file), "--json")
        assert (again.code, orjson.loads(again.out)["done"]) == (0, [])
        made = set(await rights.acls()) - set(foreign)
        assert len(made) == 14
        assert (await rights.quotas())["acme-app", "producer_byte_rate"] == 1_000_000

        # acme-app went, another came; the old one's rights stay until they are pruned, and others' stay for good.
        file = settings(tmp_path / "two.toml", servers, '"User:acme-new"', '"User:acme-app"')
        await headrace("tenants", "apply", str(file), "--yes")
        assert set(foreign) | made <= set(await rights.acls())
        pruned = await headrace("tenants", "apply", str(file), "--prune", "--yes")
        assert pruned.code == 0, pruned
        left = set(await rights.acls())
        assert {acl for acl in left if acl.principal == "User:acme-app"} == set(foreign[1:])
        assert foreign[0] in left
        assert len(left) == 14 + len(foreign)
        assert await rights.quotas() == {
            ("acme-new", "producer_byte_rate"): 1_000_000,
            ("audit", "consumer_byte_rate"): 6_000_000,
        }
        assert (await headrace("tenants", "apply", str(file), "--prune", "--json")).code == 0

        # By a user who may make topics and not rights: one line says what is needed; a right that is denied is told.
        await guarded.set_password(PASSWORD, "topics-job")
        await rights.create_acls(
            [
                Acl("User:topics-job", "Describe", "topic", "eu.", prefixed=True),
                Acl("User:topics-job", "DescribeConfigs", "topic", "eu.", prefixed=True),
            ]
        )
        (tmp_path / "password").write_text(PASSWORD)
        sasl = (
            'security_protocol = "SASL_SSL"\nsasl_mechanism = "SCRAM-SHA-512"\nsasl_username = "topics-job"\n'
            f'sasl_password_file = "{tmp_path / "password"}"\ntls_ca_file = "{guarded.ca_file}"'
        )
        by_other = settings(tmp_path / "three.toml", guarded.servers("SAFE"), '"User:acme-new"', sasl=sasl)
        refused = await headrace("tenants", "apply", str(by_other), "--dry-run")
        assert refused.code == 1
        assert refused.out.splitlines() == [
            f"this user may not see ACLs: it needs Describe on the cluster ({HOW}); --print says what 14 ACLs there should be",
            f"this user may not see quotas: it needs DescribeConfigs on the cluster ({HOW})",
        ]


async def test_a_broker_without_an_authorizer_is_told_of(kafka: object, tmp_path: Path) -> None:
    servers = kafka.bootstrap_servers  # type: ignore[attr-defined]
    file = settings(tmp_path / "one.toml", servers, '"User:acme-app"')
    told = await headrace("tenants", "apply", str(file), "--dry-run")
    assert told.code == 1
    assert "this broker has no authorizer" in told.out or "it has no such request" in told.out
    printed = await headrace("tenants", "apply", str(file), "--print")
    assert printed.code == 0
    assert sum(line.startswith("kafka-acls --add") for line in printed.out.splitlines()) == 14
