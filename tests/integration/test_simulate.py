"""`headrace simulate flow`: tables, JSON and a plot of a trace played through the real dispatch."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import orjson

from tests.support.cli import headrace


async def test_the_shipped_trace_is_played_at_any_overload(tmp_path: Path) -> None:
    plot = tmp_path / "waits.svg"
    options = ("--overload", "1", "--overload", "20", "--seconds", "20", "--noisy", "50", "--plot", str(plot))
    called = await headrace("simulate", "flow", *options, "--json")
    assert called.code == 0, called.err
    light, heavy = orjson.loads(called.out)["results"]
    assert heavy["offered_per_s"] > 15 * light["offered_per_s"]
    assert max(heavy["agents"], key=lambda agent: heavy["agents"][agent]["requests"]) == "noisy"
    for figures in (*light["classes"].values(), *heavy["classes"].values()):
        assert figures["requests"] == figures["called"] + figures["expired"] + figures["refused"]
    assert heavy["classes"]["high"]["wait_max_s"] <= 10.0
    assert ElementTree.parse(plot).getroot().tag.endswith("svg")


async def test_a_trace_of_ones_own_is_shown_as_a_table(tmp_path: Path) -> None:
    trace = tmp_path / "mine.csv"
    rows = "".join(f"2024-01-01 00:00:{second:02d}.0,100,{20 + second}\n" for second in range(60))
    trace.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n" + rows)
    called = await headrace("simulate", "flow", "--trace", str(trace), "--slots", "2")
    assert called.code == 0, called.err
    assert "2 times the capacity" in called.out


async def test_what_is_wrong_is_said_in_one_line(tmp_path: Path) -> None:
    for options, says in (
        (("--mix", "10/20"), "--mix 10/20: three whole percentages that make 100"),
        (("--trace", str(tmp_path / "none.csv")), "cannot be read"),
        (("--plot", str(tmp_path / "a.pdf")), "must end in .svg"),
    ):
        called = await headrace("simulate", "flow", *options)
        assert (called.code, says in called.err, called.err.count("\n")) == (2, True, 1), called.err
