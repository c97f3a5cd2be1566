"""`headrace forget` in a fleet of two: an agent's answers are gone from every worker, others' stay, and what stays is named."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from ops.brokers import Broker
from tests.support.cli import headrace
from tests.support.tenants import Callers, asking, open_callers


@pytest.fixture
async def callers(kafka: Broker, tmp_path: Path, unique: Callable[[str], str]) -> AsyncIterator[Callers]:
    async with open_callers(kafka, tmp_path, unique("forget"), ("acme",)) as callers:
        yield callers


@pytest.mark.long
@pytest.mark.timeout(180)
async def test_what_an_agent_left_is_gone_from_every_worker(callers: Callers) -> None:
    """confluentinc/ksql#2101 and major7apps/pensyve#283 in kind: what is deleted where, what is not, and until when."""
    names = callers.names

    async def ask(tenant: str, content: str, agent: str, count: int) -> dict[str, Any]:
        at = await callers.send(tenant, asking(content, agent_id=agent))
        return (await callers.answers(names.responses_of(tenant), count))[at]

    async with callers.pipeline.fleet(**{"tenants.acme.weight": 1, "metrics.interval": "1s"}) as fleet:
        await fleet.start(2)
        assert (await ask("", "of ann", "ann", 1))["cache"] == "none"
        assert (await ask("", "of bob", "bob", 2))["cache"] == "none"
        assert (await ask("acme", "of ann", "ann", 1))["cache"] == "none"
        settings = callers.pipeline.directory / "headrace.toml"

        looked = orjson.loads(
            (await headrace("forget", "--agent", "ann", "--dry-run", "--json", settings=settings)).out
        )
        assert (looked["entries"], looked["entries_of_unknown_owner"]) == (2, 0)
        assert {names.responses, names.dead_letters, *names.common} <= {each["topic"] for each in looked["left"]}
        assert all(each["until"] for each in looked["left"])
        assert (await ask("", "of ann", "cid", 3))["cache"] == "memory"  # nothing was changed

        told = await headrace("forget", "--agent", "ann", "--yes", "--json", "--reason", "case 7", settings=settings)
        came = orjson.loads(told.out)
        assert (told.code, came["deleted"], came["silent"]) == (0, 2, []), told
        assert [each["state"] for each in came["said"]] == ["done", "done"]

        # cid's request of before is remembered by its own right; whoever asks anew is not answered from ann's.
        assert (await ask("", "of ann", "dan", 4))["cache"] == "none"
        assert (await ask("", "of bob", "dan", 5))["cache"] == "memory"
        assert (await ask("acme", "of ann", "ann", 2))["cache"] == "memory"

        again = orjson.loads((await headrace("forget", "--agent", "ann", "--yes", "--json", settings=settings)).out)
        assert again["deleted"] == 0
        audit = await headrace("audit", "--json", settings=settings)
        assert "case 7" in audit.out
        assert "ann" not in audit.out.replace("channel", "")
        other = await headrace("forget", "--agent", "ann", "--tenant", "acme", "--yes", "--json", settings=settings)
        assert orjson.loads(other.out)["deleted"] == 2
        assert (await ask("acme", "of ann", "bob", 3))["cache"] == "none"
