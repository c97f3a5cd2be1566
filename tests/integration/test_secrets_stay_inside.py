"""What `[redaction]` means is nowhere outside of requests and answers: everything that leaves a fleet is searched for it.

BerriAI/litellm#39964: a provider's key in failure rows and in what went to OpenTelemetry. steve-goldberg/NocoBot#3: a provider's
error text in logs, cut to a length. open-telemetry/semantic-conventions#2967: error texts as the status of spans.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
import orjson
import pytest
from aiokafka.admin import AIOKafkaAdminClient

from ops.admin.records import open_writer
from ops.processes.fleet import WorkerProcess
from tests.integration.test_front import fronts
from tests.support.cli import headrace
from tests.support.collector import collecting
from tests.support.control_room import control_room, free_port, page
from tests.support.pipeline import Pipeline
from tests.support.positions import read_all
from tests.support.scripted_upstream import Reply, completion, upstream
from topics.partitioner import partition_for

pytestmark = [pytest.mark.long, pytest.mark.timeout(240)]

# Of a shape that nothing but the settings' rules knows.
ASKED, ANSWERED, FAILED = "case-asked0123456789abcdef", "case-answered0123456789abcdef", "case-failed0123456789abcdef"
KEY: Final = "the-provider-key-0123456789"
SECRETS: Final = (ASKED, ANSWERED, FAILED, KEY)
PATTERN: Final = "case-[a-z0-9]{8,64}"
PAGES: Final = (
    "/", "/requests", "/dead-letters", "/tail", "/queues", "/limits", "/cost", "/cost.csv", "/providers", "/scaling",
    "/audit", "/api/audit", "/cache", "/settings?all=1",
)  # fmt: skip


@dataclass(slots=True)
class Search:
    """Where secrets were found, of all that was looked at."""

    found: list[str] = field(default_factory=list)
    looked: int = 0

    def look(self, where: str, what: bytes | str | None) -> None:
        self.looked += 1
        raw = (what.encode() if isinstance(what, str) else what or b"").lower()
        for secret in SECRETS:
            # A secret that was cut is one, too: of a key's half the rest is soon found.
            if (at := raw.find(secret[:14].encode())) >= 0:
                self.found.append(f"{where}: …{raw[max(0, at - 120) : at + 60].decode(errors='replace')}…")

    def files(self, directory: Path) -> None:
        """Logs of all processes, and the control room's index."""
        for path in (*directory.glob("*.log"), *(directory / "ui").rglob("*")):
            if path.is_file():
                self.look(f"file {path.relative_to(directory)}", path.read_bytes())


def scripted(body: dict[str, Any]) -> Reply:
    """By what was asked: a good answer, one with the error's text, or one that is cut in the middle of a secret."""
    text = body["messages"][-1]["content"]
    said = f"cannot {FAILED} for Bearer {KEY}: {text}"
    if "refuse" in text:
        return Reply(400, {"error": {"message": said, "type": "invalid_request_error", "code": FAILED}})
    if "break" in text:
        return Reply(500, f"<html>{said}</html>".encode(), {"content-type": "text/html"})
    if "long" in text:
        return Reply(400, {"error": {"message": "words " * 97 + FAILED + said}})
    if "key" in text:
        return Reply(401, {"error": {"message": "y" * 580 + KEY + said}})
    return Reply(200, completion(f"an answer with {ANSWERED}"))


def asked(request_id: str, text: str, **more: Any) -> dict[str, Any]:
    payload = {
        "model": "small",
        "messages": [{"role": "user", "content": f"{text} {ASKED}"}],
        "metadata": {"note": ASKED, ASKED: "name"},
        "tools": [{"type": "function", "function": {"name": "f", "description": ASKED, "parameters": {}}}],
    }
    return {"request_id": request_id, "payload": payload, **more}


async def test_secrets_are_nowhere_but_in_requests_and_answers(pipeline: Pipeline, tmp_path: Path) -> None:
    search, names = Search(), pipeline.names
    key_file = tmp_path / "provider.key"
    key_file.write_text(KEY)
    key_file.chmod(0o600)
    async with AsyncExitStack() as stack:
        collector = await stack.enter_async_context(collecting())
        served = await stack.enter_async_context(upstream(scripted))
        pipeline.provider |= {"retry.max_attempts": 2, "retry.dead_letter": True}
        changed: dict[str, Any] = {
            "redaction__patterns": [PATTERN],
            "logging__level": "debug",
            "metrics__interval": "1s",
            "ui__listen": f"127.0.0.1:{free_port()}",
            "ui__path": str(tmp_path / "ui"),
            "trace__export__exporter": "otlp",
            "trace__export__endpoint": collector.url,
            "trace__export__share": "100%",
        }
        pipeline.endpoint |= {"url": served.url, "api_key_file": str(key_file)}
        serving = await stack.enter_async_context(fronts(pipeline, **changed))
        settings = tmp_path / "headrace.toml"
        control = WorkerProcess("control", settings, tmp_path / "control.log", command="control")
        stack.push_async_callback(control.stop)
        await control.wait_ready()
        room = await stack.enter_async_context(control_room(settings, tmp_path / "ui.log"))

        ids = [f"r-{text}" for text in ("good", "refuse", "break", "long", "key")]
        odd = {
            "r-reply": orjson.dumps(asked("r-reply", "good", reply_to=f"agent.responses.{ASKED}")),
            "r-shape": orjson.dumps({"request_id": "r-shape", "payload": {"messages": ASKED}, ASKED: ASKED}),
            "r-type": orjson.dumps({"request_id": "r-type", "operation": ASKED, "payload": ASKED}),
            "r-json": f'{{"request_id": "r-json", "payload": {ASKED}'.encode(),
        }
        async with aiohttp.ClientSession() as http:
            for text in ("good", "refuse", "break"):
                body = asked("", text)["payload"]
                async with http.post(f"{serving.urls[0]}/v1/chat/completions", json=body) as answer:
                    await answer.read()
        async with open_writer(pipeline.client_options) as producer:
            values = {each: orjson.dumps(asked(each, each.removeprefix("r-"), timeout_s=10)) for each in ids[:-1]} | odd
            values["r-key"] = orjson.dumps(
                asked("r-key", "key", timeout_s=5)
            )  # the last: it is the endpoint that is refused
            for value in values.values():
                headers = [("x-note", ASKED.encode()), ("traceparent", b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01")]
                await producer.send_and_wait(names.topic_of["normal"], value, b"agent-1", headers=headers)
        await pipeline.wait_all_committed(60)
        await asyncio.sleep(3)  # the metrics' next interval

        letters = await read_all(pipeline.client_options, [names.dead_letters])
        reasons = {dict(each.headers)["dlq_reason"] for each in letters}
        assert reasons >= {b"poison", b"exhausted"}
        for command in (
            "dlq list", "dlq list --json", "dlq show 0:0", "cost", "audit", "status", "providers list", "agents top --once",
            *(f"request show {each}" for each in values), *(f"request show {each} --json" for each in ids), "trace r-break",
            f"tail {names.dead_letters} --from-beginning --no-follow --json",
            f"tail {names.dead_letters} --from-beginning --no-follow",
            f"tail {names.responses} --from-beginning --no-follow",
            f"tail {names.topic_of['normal']} --from-beginning --no-follow --json",
        ):  # fmt: skip
            called = await headrace(*command.split(), settings=settings)
            search.look(f"headrace {command}", called.out + called.err)
        place = partition_for(b"agent-1", 12)
        own = [f"/requests/normal/{place}/{offset}{reveal}" for offset in range(12) for reveal in ("", "?reveal=1")]
        for path in (*PAGES, *own, *(f"/find?id={each}" for each in values)):
            status, text = await page(room + path)
            assert status in (200, 404), path
            search.look(f"page {path}", text)
        async with aiohttp.ClientSession() as http:
            for process in (*serving.fleet.workers, *serving.processes, control):
                async with http.get(f"http://{process.ready_line['http']}/metrics") as answer:
                    search.look(f"metrics of {process.name}", await answer.read())
        admin = AIOKafkaAdminClient(**pipeline.client_options)
        await admin.start()
        topics = {each for each in await admin.list_topics() if not each.startswith("__")}
        await admin.close()
        inside = {*names.requests, names.responses, names.front_responses, names.deltas, names.cache_entries}
        for record in await read_all(pipeline.client_options, sorted(topics - inside)):
            told = [record.key, record.value, *(part for name, raw in record.headers for part in (name.encode(), raw))]
            search.look(f"topic {record.topic}", b" ".join(each or b"" for each in told))
        answers = await read_all(pipeline.client_options, [names.responses, names.front_responses])
        assert any(FAILED.encode() in each.value for each in answers), "the caller is told what the provider said"
        assert not any(KEY[:14].encode() in each.value for each in answers), "and nobody the fleet's own key"
        assert len(collector.spans) > 20
        for body_of_spans in collector.bodies:
            search.look("spans", body_of_spans)
    search.files(tmp_path)
    found = "\n".join(sorted(set(search.found)))
    assert not search.found, f"{len(search.found)} of {search.looked}:\n{found}"
