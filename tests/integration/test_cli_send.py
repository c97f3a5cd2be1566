"""`headrace send` and `headrace replay` against workers that run."""

from pathlib import Path

import orjson
import pytest

from tests.support.cli import headrace
from tests.support.pipeline import Pipeline

CHAT = {"payload": {"model": "small", "messages": [{"role": "user", "content": "hi"}]}}
EMBEDDINGS = {"operation": "embeddings", "payload": {"model": "embed", "input": ["a"]}, "agent_id": "e-1"}


def lines(*values: object) -> str:
    return "".join(value if isinstance(value, str) else orjson.dumps(value).decode() + "\n" for value in values)


async def test_requests_from_the_command_line_are_answered_and_bad_ones_end_with_1(pipeline: Pipeline) -> None:
    settings = pipeline.settings()
    async with pipeline.fleet() as fleet:
        await fleet.start(1)
        one = await headrace("send", "What is a headrace?", settings=settings)
        assert (one.code, one.err) == (0, "")
        assert one.out.strip()

        as_json = await headrace(
            *("send", "-m", "hi", "--agent", "a-17", "--priority", "high", "--timeout", "20s"),
            *("--conversation", "chat-3", "--json"),
            settings=settings,
        )
        answer = orjson.loads(as_json.out)
        assert as_json.code == 0
        assert (answer["status"], answer["agent_id"], answer["conversation_id"]) == ("ok", "a-17", "chat-3")

        many = await headrace(
            "send", "-", "--json", settings=settings, stdin=lines({**CHAT, "priority": "low"}, "\n", EMBEDDINGS)
        )
        assert (many.code, many.err) == (0, "")
        assert [orjson.loads(line)["status"] for line in many.out.splitlines()] == ["ok", "ok"]

        bad = await headrace(
            "send", "-", settings=settings, stdin=lines("no json\n", {**CHAT, "priority": "now"}, CHAT)
        )
        assert bad.code == 1
        assert [line.split(": ")[1] for line in bad.err.splitlines()] == ["line 1", "line 2"]
        assert len(bad.out.splitlines()) == 1

        poison = await headrace("send", "-", settings=settings, stdin=lines({"payload": {}}))
        assert poison.code == 1
        assert "invalid_request" in poison.out


async def test_without_a_worker_send_says_what_is_missing(pipeline: Pipeline) -> None:
    settings = pipeline.settings()
    missing = await headrace("send", "hi", "--wait", "1s", settings=settings)
    assert missing.code == 1
    assert "does a worker run?" in missing.err
    assert (await headrace("send", "hi", "--no-wait", settings=settings)).code == 0


async def test_a_trace_is_replayed_and_every_request_accounted_for(pipeline: Pipeline, tmp_path: Path) -> None:
    settings = pipeline.settings()
    result = tmp_path / "result.json"
    trace = tmp_path / "trace.csv"
    rows = [f"2023-11-16 18:15:{second:02d}.0000000,20,{second + 1}" for second in range(20)]
    trace.write_text("\n".join(["TIMESTAMP,ContextTokens,GeneratedTokens", *rows]) + "\n")
    async with pipeline.fleet() as fleet:
        await fleet.start(1)
        played = await headrace(
            *("replay", str(trace), "--rate-scale", "10", "--agents", "3", "--json", str(result)), settings=settings
        )
    assert played.code == 0, played.err
    found = orjson.loads(result.read_bytes())
    assert (found["sent"], found["answered"], found["ok"], found["lost"], found["duplicates"]) == (20, 20, 20, 0, 0)
    assert 0 < found["p50_ms"] <= found["p95_ms"] <= found["p99_ms"] <= found["max_ms"]
    assert "Summary" in played.out


@pytest.mark.parametrize(
    "command",
    [("send", "hi"), ("replay",), ("tail", "agent.responses"), ("dlq", "list"), ("dlq", "replay", "--yes")],
    ids=" ".join,
)
async def test_an_unreachable_broker_is_one_line_and_exit_code_2(command: tuple[str, ...], tmp_path: Path) -> None:
    called = await headrace(*command, servers="127.0.0.1:1", cwd=tmp_path)
    assert (called.code, called.out) == (2, "")
    assert called.err.startswith("headrace: no Kafka broker can be used at 127.0.0.1:1")
    assert len(called.err.splitlines()) == 1


async def test_replay_says_which_option_or_file_is_wrong(pipeline: Pipeline, tmp_path: Path) -> None:
    settings = pipeline.settings()
    (tmp_path / "no-trace.csv").write_text("a,b\n1,2\n")
    for arguments, said in (
        (("--rate", "10"), "--rate needs --seconds"),
        ((str(tmp_path / "absent.csv"),), "cannot be read"),
        ((str(tmp_path / "no-trace.csv"),), "line 1"),
        (("--rate", "1000", "--seconds", "60"), "lower the rate"),
        (("--json", str(tmp_path / "nowhere" / "x.json")), "there is no folder"),
    ):
        called = await headrace("replay", *arguments, settings=settings)
        assert (called.code, len(called.err.splitlines())) == (2, 1), called.err
        assert said in called.err
