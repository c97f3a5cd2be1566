"""What strangers write steers no terminal."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table

from ops.cli.console import cell
from ops.cli.plain import one_line, plain, plain_json

HOSTILE = [
    pytest.param("\x1b]0;title\x07\x1b[2J", id="title and clear (CVE-2003-0063)"),
    pytest.param("\x9b31m", id="C1: one byte that begins a command"),
    pytest.param("\x1b]8;;http://evil.example\x1b\\link\x1b]8;;\x1b\\", id="a link"),
    pytest.param("\x1b]52;c;ZXZpbA==\x07", id="the clipboard (OSC 52)"),
    pytest.param("admin\u202etxt.exe", id="direction (CVE-2021-42574)"),
    pytest.param("\u2066a\u2069", id="isolates"),
    pytest.param("a\rheadrace: all is well", id="the line again"),
    pytest.param("\x08\x08\x08", id="backspaces"),
    pytest.param("\U000e0041\U000e0042", id="tags that nobody sees"),
    pytest.param("\x85\u2028\u2029", id="other line ends"),
]


@pytest.mark.parametrize("text", HOSTILE)
def test_what_could_steer_a_terminal_is_written_as_an_escape(text: str) -> None:
    for shown in (plain(text), one_line(text)):
        assert shown.replace("\n", "").isprintable()
    assert plain(text) != text


@pytest.mark.parametrize("text", ["añb 日本", "line\n\ttab", "👩\u200d👩\u200d👧", "", "a\\x1b"])
def test_what_is_harmless_stays(text: str) -> None:
    assert plain(text) == text


@given(st.text())
def test_json_says_the_same_and_holds_nothing_that_steers(text: str) -> None:
    try:
        written = orjson.dumps({text: [text]}).decode()
    except orjson.JSONEncodeError:  # lone surrogates
        return
    shown = plain_json(written)
    assert json.loads(shown) == {text: [text]}
    assert shown.replace("\u200c", "").replace("\u200d", "").isprintable()


@pytest.mark.parametrize("text", ["[/x]", "[link=http://evil.example]x[/link]", "[bold red]", ":boom:", "a\nb"])
def test_a_table_shows_markup_as_it_was_written(text: str) -> None:
    console = Console(width=80, force_terminal=True, record=True)
    table = Table("name")
    table.add_row(cell(text))
    with console.capture() as captured:
        console.print(table)
    assert one_line(text) in captured.get()
