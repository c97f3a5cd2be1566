"""What rules take out of texts and JSON, that nothing gets past them, and that no text makes them slow."""

import re
import time

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.processes.logs import Scrubber
from ops.ui.payload import shown_value
from schemas.dead_letter import DeadLetter
from streams.delivery.redacted import redacted
from streams.redaction import MOST_CHARS, Rules, in_force
from streams.settings.redaction import Redaction
from streams.settings.safe_patterns import MOST_COST, cost_of

KEY = "sk-abcdef0123456789abcdef"
PATTERNS = [r"sk-[A-Za-z0-9]{16,64}", r"\b\d{13,19}\b", r"[\w.+-]{1,64}@[A-Za-z0-9-]{1,63}\.[a-z]{2,20}"]
RULES = Rules.of(Redaction(patterns=PATTERNS, paths=["payload.metadata.*", "payload.messages[*].name", "$..ssn"]))


def cleaned(value: object) -> bytes:
    found, _ = RULES.value(value if isinstance(value, bytes) else orjson.dumps(value))
    return found or b""


def test_fields_and_patterns_are_taken_out_and_all_else_stays() -> None:
    value = {
        "payload": {
            "metadata": {"a": 1, "b": {"c": 2}},
            "messages": [{"name": "Ann", "content": f"use {KEY}, or write a.b@example.org"}, {"content": "12"}],
            "deep": [{"ssn": {"x": [1]}}],
        }
    }
    assert orjson.loads(cleaned(value)) == {
        "payload": {
            "metadata": {"a": "***", "b": "***"},
            "messages": [{"name": "***", "content": "use ***, or write ***"}, {"content": "12"}],
            "deep": [{"ssn": "***"}],
        }
    }


@pytest.mark.parametrize(
    "hidden",
    [
        b'{"a": "\\u0073k-abcdef0123456789abcdef"}',  # escaped
        b'{"a": "sk-abcdef0123456789abcdef", "a": "x"}',  # of two fields of one name readers see the last
        b'{"sk-abcdef0123456789abcdef": 1}',
        b'{"a": [4111111111111111, {"b": "sk-abcdef0123456789abcdef"}]}',
        b'{"a": "sk-abcdef0123456789abcdef\\ud800"}',  # no Unicode
        b'{"a": "sk-abcdef0123456789abcdef"',  # no JSON
        b"\xff\xfe sk-abcdef0123456789abcdef",
        b'"' + b"x" * MOST_CHARS + b'sk-abcdef0123456789abcdef"',
        b'["' + b"x" * (MOST_CHARS - 10) + b'sk-abcdef0123456789abcdef"]',
        b"[" * 100_000 + b'"sk-abcdef0123456789abcdef"',
    ],
)
def test_no_spelling_gets_past_the_rules(hidden: bytes) -> None:
    """BerriAI/litellm#37391 in kind: quoted, nested and odd values passed its masking."""
    for rules in (RULES, Rules.of(Redaction(patterns=PATTERNS))):
        found, changed = rules.value(hidden)
        assert changed
        assert b"abcdef0123" not in (found or b"")
        assert b"4111111111111111" not in (found or b"")


def test_a_secret_across_the_cut_of_a_long_text_is_not_left_in_half() -> None:
    text = "x" * (MOST_CHARS - 8) + KEY
    assert "sk-" not in RULES.text(text)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda x: st.lists(x, max_size=3), max_leaves=9
    )
)
def test_values_that_hold_nothing_stay_as_they_are(value: object) -> None:
    raw = orjson.dumps({"a": value}) if not _large(value) else b"{}"
    rules = Rules.of(Redaction(patterns=["sk-[a-z]{9}"]))
    assert rules.value(raw) == (raw, False)


def _large(value: object) -> bool:
    if isinstance(value, list):
        return any(map(_large, value))
    return isinstance(value, int) and abs(value) >= 2**63


@pytest.mark.parametrize(
    "slow",
    [
        "(a+)+$",  # openclaw/openclaw#5124: rules from settings, at each line of the log
        "[A-Z0-9_]*(?:SECRET|TOKEN)",  # sliday/tamp#20: quadratic in a run of capitals
        r"(?:\\.|[^'\\])*'",  # narailabs/narai-primitives#64
        "[A-Z]{0,250}[A-Z]{0,250}[A-Z]{0,250}!",
        "(?:a|a|a){9}",
        "(a{1,9}){9}",
        r"(\w{2})\1",
        "(?<=x)y",
        "a?" * 40 + "b",
        "x{0,5}",  # klaudiosinani/signale#139: an empty secret is everywhere
        "(",
    ],
)
def test_patterns_that_a_text_could_make_slow_are_refused(slow: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        cost_of(slow)
    with pytest.raises(ValueError, match=r"\w"):
        Redaction(patterns=[slow])


@pytest.mark.parametrize("bad", ["$", "a..", "a[0]", "a b", "..", ""])
def test_paths_that_are_none_are_refused(bad: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        Redaction(paths=[bad])


def test_the_worst_that_is_taken_is_over_soon() -> None:
    """The text that costs the most for each pattern: one that fits but for its end, everywhere."""
    for pattern, text in (
        (r"[\w.+-]{1,64}@[A-Za-z0-9-]{1,63}\.[a-z]{2,20}", "a" * MOST_CHARS),
        (r"[A-Z_]{0,30}[A-Z]{3,15}!", "A" * MOST_CHARS),
    ):
        assert cost_of(pattern) <= MOST_COST
        rules, began = Rules((re.compile(pattern),)), time.process_time()
        rules.text(text)
        assert time.process_time() - began < 1.5


LETTER = DeadLetter(
    dlq_reason="poison", dlq_stage="intake", dlq_error_type="invalid_request", dlq_error_message=f"no such model {KEY}",
    dlq_topic="t", dlq_partition=0, dlq_offset=1, dlq_timestamp=1, dlq_attempts=0,
)  # fmt: skip


def test_dead_letters_logs_and_pages_hold_nothing_secret() -> None:
    """BerriAI/litellm#8075 in kind: a secret in an exception's message reached the log by its traceback."""
    in_force.take(Redaction(patterns=PATTERNS))
    try:
        value, headers, letter = redacted(orjson.dumps({"a": KEY}), [("x", KEY.encode()), ("none", None)], LETTER)
        assert (value, headers) == (b'{"a":"***"}', [("x", b"***"), ("none", None), ("dlq_redacted", b"1")])
        assert letter.dlq_error_message == "no such model ***"
        line = Scrubber([])(None, "", {"event": "x", "exception": f"ValueError: {KEY}", "fields": {"a": [KEY]}})
        assert KEY not in repr(line)
        assert KEY not in shown_value(orjson.dumps({"a": KEY}), redacted=False)
    finally:
        in_force.take(Redaction())
    assert redacted(b"x", [("x", b"y")], LETTER) == (b"x", [("x", b"y")], LETTER)
