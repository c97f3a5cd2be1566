"""The upstream of the provider benchmark answers in both versions of HTTP, as strict clients want it."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import asdict, replace
from pathlib import Path

import httpx2
import orjson
import pytest

from ops.bench.certificate import issue
from ops.bench.http_load import Plan
from ops.bench.run import Run
from ops.bench.upstream import LISTENS
from ops.bench.work import ANSWER

pytestmark = pytest.mark.long


@pytest.mark.parametrize("http2", [True, False])
async def test_the_upstream_answers_many_calls_at_a_time(tmp_path: Path, http2: bool) -> None:
    certificate = issue(tmp_path)
    files = [str(certificate.certificate), str(certificate.key)]
    upstream = Run.of_module(tmp_path, "upstream", "ops.bench.upstream", ["5", *files])
    try:
        url = await upstream.wait_for(LISTENS, 20)
        trusting = ssl.create_default_context(cafile=str(certificate.authority))
        async with httpx2.AsyncClient(http2=http2, verify=trusting, trust_env=False) as client:
            body = b"x" * 20_000  # more than a window of HTTP/2, after a few calls
            answers = await asyncio.gather(*(client.post(f"{url}/chat/completions", content=body) for _ in range(50)))
    finally:
        await upstream.stop()
    assert {answer.content for answer in answers} == {ANSWER}
    assert {(answer.http_version, answer.status_code) for answer in answers} == {
        ("HTTP/2" if http2 else "HTTP/1.1", 200)
    }


@pytest.mark.parametrize("kind", ["streams", "posts", "alone", "waiting", "stopped"])
async def test_a_load_counts_what_it_asked_for_and_how_long_each_token_was_on_its_way(
    tmp_path: Path, kind: str
) -> None:
    upstream = Run.of_module(tmp_path, "tokens", "ops.bench.token_upstream", [])
    try:
        url = await upstream.wait_for(LISTENS, 20)
        plan = Plan("test", count=10, seconds=1.5, warm_s=0.2, tokens=10, each_ms=20)
        if kind == "waiting":
            plan = replace(plan, first_ms=60_000)
        load = Run.of_module(tmp_path, "load", "ops.bench.http_load", [kind, url, orjson.dumps(asdict(plan)).decode()])
        figures = await load.result(30)
    finally:
        await upstream.stop()
    assert figures["refused"] == 0
    if kind in ("streams", "posts", "alone"):
        assert figures["ended"] >= 10
        assert figures["cut"] == 0
        assert figures["firsts"] >= 1
        assert figures["first_ms"]["p50"] >= plan.first_ms
        assert (figures["tokens"] > 0) == (kind == "streams")
        assert 0 <= figures["token_ms"]["p50"] < 1000
    else:
        assert (figures["ended"], figures["cut"]) == (0, 10)  # none had its end when they were given up
