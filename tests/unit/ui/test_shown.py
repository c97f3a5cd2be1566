"""What pages show of strangers' words: escaped, redacted, exact."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.ui.index import codes
from ops.ui.index.row import Row
from ops.ui.payload import shown_headers, shown_value
from ops.ui.render import render
from ops.ui.timeline import steps_of
from tests.unit.ui.models import T0, rows

STATIC = Path(__file__).parents[3] / "ops" / "ui" / "static"

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(json_values)
def test_revealed_a_value_says_what_was_sent(value: object) -> None:
    assert json.loads(shown_value(json.dumps(value).encode(), redacted=False)) == value


@given(json_values)
def test_redacted_it_shows_nobodys_words(value: object) -> None:
    secret = "wrote-by-a-person"
    shown = shown_value(
        json.dumps({"messages": [{"content": secret, "role": "user"}], "x": [value, secret]}).encode(), redacted=True
    )
    assert secret not in shown
    assert "‹17 characters›" in shown
    assert '"role": "user"' in shown


@pytest.mark.parametrize(
    "number",
    [
        "1152921504606846976",  # obsidiandynamics/kafdrop#667
        "73314510714175488",  # redpanda-data/console#630
        "23958446825181076828",  # provectus/kafka-ui#3751
        "0.1000000000000000055511151231257827",
        "1e999",
    ],
)
def test_numbers_stand_as_they_travel(number: str) -> None:
    assert f'"seed": {number}' in shown_value(f'{{"seed": {number}}}'.encode(), redacted=True)


@pytest.mark.parametrize("value", [b"", b"{", b"\xff", b"[" * 100_000, b"NaN", b"x" * 5_000_000])
def test_what_is_no_json_is_told_by_its_size_and_shown_as_text(value: bytes) -> None:
    assert len(shown_value(value, redacted=False)) < 70_000
    assert shown_value(value, redacted=True) in (f"‹{len(value):,} bytes›", "NaN")


def test_a_large_value_is_cut() -> None:
    shown = shown_value(orjson.dumps({"data": list(range(200_000))}), redacted=False)
    assert len(shown) < 65_000
    assert "characters more" in shown


def test_headers_that_may_be_secrets_are_never_shown() -> None:
    headers = [("authorization", b"Bearer x"), ("X-Api-Key", b"x"), ("traceparent", b"00-1"), ("cookie", b"x")]
    shown = dict(shown_headers(headers, redacted=False))
    assert [name for name, value in shown.items() if "x" in value.lower()] == []
    assert shown["traceparent"] == "00-1"


HOSTILE = [  # of fields that dashboards showed as they were: Parallels/rq-dashboard#526, sidekiq/sidekiq#4852, mher/flower#594
    '"onmouseover="alert(1)',
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'-alert(1)-'",
    "{{ 7 * 7 }}{% raw %}",
    "javascript:alert(1)",
    "\x1b[2J\x9b1m",
    "safe\u202egnp.exe",
    "\u2066\u200b\ufeff",
    "</textarea><script>",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_markup_terminal_commands_and_directions_of_strangers_are_letters(text: str) -> None:
    row = Row(1 << 62, T0, text, text, text, provider=text, called_model=text)
    page = render("rows.html", rows=[row])
    assert page.count("<tr>") == 1
    for part in (
        "<script",
        "<img",
        '"onmouseover',
        "</textarea",
        "49",
        "\x1b",
        "\x9b",
        "\u202e",
        "\u2066",
        "\u200b",
        "\ufeff",
    ):
        assert part not in page.replace("normal", ""), part


@given(rows())
def test_every_row_has_a_story_in_the_order_of_time(row: Row) -> None:
    steps = steps_of(row, T0)
    assert steps[0].title == "Received"
    assert all(step.took_ms is None or step.took_ms >= 0 for step in steps)
    if row.status == codes.WAITING and not row.answer_next:
        assert any(step.kind == "waiting" for step in steps)


def test_what_is_vendored_is_what_its_makers_published() -> None:
    for folder in (STATIC / "vendor", Path(__file__).parents[2] / "support" / "vendor"):
        listed = json.loads((folder / "vendor.json").read_text())
        files = {name: digest for each in listed for name, digest in each["files"].items()}
        for name, digest in files.items():
            assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest, name
        for each in listed:
            assert {"name", "version", "licence", "source"} <= each.keys()
            assert (folder / each["licence_file"]).read_text().strip()
        known = {*files, "vendor.json", *(each["licence_file"] for each in listed)}
        assert {path.name for path in folder.iterdir()} - {"__pycache__"} == known


def test_pages_hold_no_script_or_style_of_their_own_and_load_nothing_from_elsewhere() -> None:
    for template in (STATIC.parent / "templates").glob("*.html"):
        text = template.read_text()
        assert "<style" not in text, template.name
        assert " style=" not in text, template.name
        assert " onclick" not in text, template.name
        assert text.count("<script") == text.count('<script src="/static/'), template.name
        assert "://" not in text, template.name
        assert "|safe" not in text, template.name
