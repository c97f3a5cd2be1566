"""The upstream of the provider benchmark answers in both versions of HTTP, as strict clients want it."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import httpx2
import pytest

from ops.bench.certificate import issue
from ops.bench.run import Run
from ops.bench.upstream import LISTENS
from ops.bench.work import ANSWER


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
