"""What a tenant's credentials open, one by one: every topic, every group, every endpoint of the front. All else is refused.

Apache Kafka that denies by default, a tenant's rights as `headrace tenants apply` makes them, a front with keys. A topic or
endpoint that is added needs a row; pages of the control room have theirs in tests/unit/ui/test_every_page_is_locked.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast

import aiohttp
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import TransactionalIdAuthorizationFailed
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.structs import TopicPartition

from ops.admin import tenants
from ops.processes.fleet import WorkerProcess
from ops.processes.groups import groups_of_control, groups_of_supervisor, groups_of_worker
from streams.actions.redriver import redrive_id
from streams.front.front import Front
from streams.front.server import front_app
from streams.kafka import provision
from streams.kafka.produce import produce
from streams.kafka.record_batch import RecordBatch
from streams.kafka.rights import Rights, RightsError
from streams.settings import Settings, load_settings
from tests.integration.test_front_keys import keys
from tests.support.guarded_broker import PASSWORD, GuardedBroker, guarded
from tests.support.positions import read_all

__all__ = ["guarded"]

TOPICS: Final[dict[str, str]] = {
    **dict.fromkeys((f"agent.requests.acme.{each}" for each in ("high", "normal", "low")), "Write"),
    "agent.requests.acme.dlq": "Read",
    "agent.responses.acme": "Read",
    **dict.fromkeys((f"agent.requests.beta.{each}" for each in ("high", "normal", "low", "dlq")), ""),
    "agent.responses.beta": "",
    **dict.fromkeys((f"agent.requests.{each}" for each in ("high", "normal", "low", "dlq")), ""),
    "agent.responses": "",
    "agent.responses.front": "",
    "agent.keys": "",
    "agent.claims": "",
    "agent.deltas": "",
    "agent.cancels": "",
    "agent.admin": "",
    "cache.entries": "",
    "limits.leases": "",
    "budgets.ledger": "",
    "budgets.state": "",
    "costs.windows": "",
    "metrics.samples": "",
    "metrics.windows": "",
    "scaling.decisions": "",
    "scaling.events": "",
}
"""By topic, the one thing that a principal of the tenant `acme` may do there."""

ENDPOINTS: Final[dict[tuple[str, str], str]] = {
    ("post", "/v1/chat/completions"): "own",
    ("post", "/v1/embeddings"): "own",
    ("post", "/v1/messages"): "own",
    ("post", "/v1/messages/count_tokens"): "nothing of anybody's",
    ("post", "/v1/responses"): "own",
    ("get", "/v1/models"): "nothing of anybody's",
    ("get", "/v1/models/{model}"): "nothing of anybody's",
    ("get", "/v1/responses/{id}"): "another's",
    ("delete", "/v1/responses/{id}"): "another's",
    ("post", "/v1/responses/{id}/cancel"): "another's",
    ("get", "/v1/requests/{id}"): "another's",
    ("get", "/v1/requests/{id}/stream"): "another's",
    ("delete", "/v1/requests/{id}"): "another's",
    ("post", "/v1/requests/{id}/cancel"): "another's",
    ("get", "/openapi.json"): "nothing of anybody's",
}
"""Of the front: what a key of the tenant's meets there where another tenant's request is named."""

_WITHIN_S: Final = 20.0
_DENIED: Final = 29


def settings_file(path: Path, servers: str, sasl: str = "") -> Path:
    path.write_text(
        f'[kafka]\nbootstrap_servers = "{servers}"\n{sasl}\n[topics]\npartitions = 10\n[front]\nlisten = "127.0.0.1:0"\n'
        'require_keys = "always"\n[http]\nlisten = "127.0.0.1:0"\n[routing]\n[[providers]]\nname = "sim"\n'
        '[[providers.endpoints]]\nurl = "http://127.0.0.1:9/v1"\n'
        '[tenants.acme]\nprincipals = ["User:acme-app"]\n[tenants.beta]\nprincipals = ["User:beta-app"]\n'
    )
    return path


@asynccontextmanager
async def made(guarded: GuardedBroker, tmp_path: Path) -> AsyncIterator[tuple[Settings, Settings, Path]]:
    """The settings of who may do all, those of a principal of acme's, and the file of the first."""
    file = settings_file(tmp_path / "all.toml", guarded.broker.bootstrap_servers)
    everything = load_settings(file, environ={})
    report = await provision.apply(everything.kafka.client_options(), everything.catalogue())
    assert not report.differences
    _, left = await tenants.apply(everything, prune=False)
    assert not left.differs(prune=False)
    await guarded.set_password(PASSWORD, "acme-app")
    (tmp_path / "password").write_text(PASSWORD)
    sasl = (
        'security_protocol = "SASL_SSL"\nsasl_mechanism = "SCRAM-SHA-512"\nsasl_username = "acme-app"\n'
        f'sasl_password_file = "{tmp_path / "password"}"\ntls_ca_file = "{guarded.ca_file}"'
    )
    acme = settings_file(tmp_path / "acme.toml", guarded.servers("SAFE"), sasl)
    yield everything, load_settings(acme, environ={}), file


@pytest.mark.long
@pytest.mark.timeout(240)
async def test_a_tenants_credentials_open_what_is_its_own_and_nothing_else(
    guarded: GuardedBroker, tmp_path: Path
) -> None:
    async with made(guarded, tmp_path) as (everything, acme, file):
        assert set(TOPICS) == set(everything.topics.names.all), "a topic without a row"
        await _topics(acme)
        await _groups(everything, acme)
        await _powers(acme)
        await _front(everything, file, tmp_path)


async def _topics(acme: Settings) -> None:
    """Records are written and fetched by bare requests, which a client library would not send for what it is not told of."""
    async with provision.admin_of(acme.kafka.client_options()) as admin:
        client = admin._client
        node = client.get_random_node()
        for topic, may in TOPICS.items():
            place = TopicPartition(topic, 0)
            batch = RecordBatch(1_000)
            batch.append(b"agent", b"{}", [])
            fault = (await produce(client, node, {place: batch.written()}, 5_000)).get(place)
            assert (fault is None) == (may == "Write"), f"Write on {topic}: {fault!r}"
            assert may == "Write" or "TOPIC_AUTHORIZATION_FAILED" in str(fault)
            fetched = await client.send(node, FetchRequest(100, 0, 10_000, 0, [(topic, [(0, 0, 1_000)])]))
            ((_, ((_, code, *_),)),) = fetched.topics
            assert code == (0 if may == "Read" else _DENIED), f"Read on {topic}: {code}"


async def _groups(everything: Settings, acme: Settings) -> None:
    known = {*groups_of_worker(everything), *groups_of_control(everything), *groups_of_supervisor(everything)}
    refused = sorted({*known, everything.kafka.group_id, "beta.app", "acme", "acmex.app", "any"})
    allowed = ["acme.app", "acme."]
    options = acme.kafka.client_options()
    assert await provision.denied_groups(options, [*refused, *allowed]) == refused


async def _powers(acme: Settings) -> None:
    """Of the cluster: rights, quotas, topics, and the transactional id of who sends dead letters again."""
    options = acme.kafka.client_options()
    async with provision.admin_of(options) as admin:
        rights = Rights(admin)
        for ask in (rights.acls, rights.quotas):
            with pytest.raises(RightsError, match="this user may not"):
                await ask()
    with pytest.raises(RightsError, match="Alter on the cluster"):
        async with provision.admin_of(options) as admin:
            await Rights(admin).create_acls(tenants.wanted_acls(acme)[:1])
    report = await provision.check(options, acme.catalogue())
    assert {each.topic for each in report.differences if each.kind == "denied"} == {
        t for t, may in TOPICS.items() if not may
    }
    producer = AIOKafkaProducer(**options, transactional_id=redrive_id(acme.kafka))
    with pytest.raises(TransactionalIdAuthorizationFailed):
        await producer.start()
    await producer.stop()


async def _front(everything: Settings, file: Path, tmp_path: Path) -> None:
    assert _routes() == set(ENDPOINTS), "an endpoint without a row"
    process = WorkerProcess("front", file, tmp_path / "front.log", command="front")
    try:
        secrets = {each: (await keys(file, "create", each, "--tenant", each)).strip() for each in ("acme", "beta")}
        await process.wait_ready()
        url = str(process.ready_line["listen"])
        async with aiohttp.ClientSession() as http:
            await _endpoints(http, url, secrets)
    finally:
        await process.stop()
    written = await read_all(everything.kafka.client_options(), [t for t in TOPICS if ".requests." in t])
    # All that acme's key has asked for lies on acme's topics, whatever the request claimed; one is beta's own.
    by_front = [each for each in written if any(name == "reply_to" for name, _ in each.headers)]
    by_topic = [each.topic for each in by_front]
    assert set(by_topic) == {"agent.requests.acme.normal", "agent.requests.beta.normal"}
    assert by_topic.count("agent.requests.beta.normal") == 1


def _routes() -> set[tuple[str, str]]:
    """Of the front's application; nothing is asked of it."""
    nobody = cast("Front", SimpleNamespace(cancelling=SimpleNamespace(middleware=lambda: None)))
    app = front_app(nobody, ["small"], most_wait_s=1, max_body_bytes=1, estimator=cast("Any", None))
    return {
        (each.method.lower(), each.resource.canonical)
        for each in app.router.routes()
        if each.method != "HEAD" and each.resource
    }


async def _endpoints(http: aiohttp.ClientSession, url: str, secrets: dict[str, str]) -> None:
    chat = {"model": "small", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5}
    as_beta = {"authorization": f"Bearer {secrets['beta']}", "prefer": "respond-async"}
    async with asyncio.timeout(_WITHIN_S):
        while True:
            async with http.post(f"{url}/v1/chat/completions", json=chat, headers=as_beta) as asked:
                if asked.status == 202:
                    others = (await asked.json())["id"]
                    break
                assert asked.status == 401, await asked.text()  # the front has not read of the key yet
            await asyncio.sleep(0.1)
    as_acme = {"authorization": f"Bearer {secrets['acme']}", "prefer": "respond-async"}
    for (method, path), meets in ENDPOINTS.items():
        place = url + path.format(id=others, model="small")
        body: dict[str, Any] = {"json": {**chat, "input": "hi", "tenant": "beta"}} if method == "post" else {}
        async with http.request(method, place, **body) as answer:
            assert answer.status == 401, f"without a key: {method} {path} {answer.status}"
        headers = {**as_acme, "x-tenant": "beta"}
        timeout = aiohttp.ClientTimeout(5)
        try:
            async with http.request(method, place, **body, headers=headers, timeout=timeout) as answer:
                text = await answer.text()
        except TimeoutError:  # it waits for its own answer: no worker runs
            assert meets == "own", f"{method} {path}"
            continue
        if meets == "another's":
            assert answer.status == 404, f"{method} {path}: {answer.status} {text[:200]}"
        assert "beta" not in text
