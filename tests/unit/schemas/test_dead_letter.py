"""A dead letter keeps the original's headers and adds its own, which can be read back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas import DeadLetter
from schemas.errors import clip

LETTER = DeadLetter(
    dlq_reason="poison",
    dlq_stage="intake",
    dlq_error_type="invalid_request",
    dlq_error_message="payload: Field required",
    dlq_topic="agent.requests.low",
    dlq_partition=3,
    dlq_offset=41,
    dlq_timestamp=1_767_225_600_000,
    dlq_attempts=0,
)


def test_headers_are_read_back() -> None:
    assert DeadLetter.from_headers(LETTER.to_headers()) == LETTER
    silent = LETTER.model_copy(update={"dlq_error_message": ""})
    assert DeadLetter.from_headers(silent.to_headers()) == silent


def test_the_original_headers_stay_in_their_order_before_ours() -> None:
    original = [("b", b"1"), ("a", b"\xff"), ("b", b"2"), ("null", None)]
    headers = LETTER.to_headers(original)
    assert headers[:4] == original
    assert [name for name, _ in headers[4:]] == [
        name for name in DeadLetter.model_fields if name not in ("dlq_last_offset", "dlq_provider")
    ]


def test_a_letter_that_stands_for_a_whole_batch_names_its_last_offset() -> None:
    letter = LETTER.model_copy(update={"dlq_last_offset": 5_000_040})
    assert dict(letter.to_headers())["dlq_last_offset"] == b"5000040"
    assert DeadLetter.from_headers(letter.to_headers()) == letter


def test_a_letter_that_failed_again_names_one_reason() -> None:
    again = LETTER.model_copy(update={"dlq_reason": "exhausted"})
    headers = again.to_headers(LETTER.to_headers([("x", b"1")]))
    assert [value for name, value in headers if name == "dlq_reason"] == [b"exhausted"]
    assert headers[0] == ("x", b"1")


def test_headers_that_are_no_dead_letter_are_refused() -> None:
    with pytest.raises(ValidationError):
        DeadLetter.from_headers([("dlq_reason", b"poison")])
    with pytest.raises(ValidationError):
        DeadLetter.from_headers([*LETTER.to_headers(), ("dlq_offset", b"\xff")])


def test_a_long_message_is_cut_and_one_that_utf8_cannot_carry_is_mended() -> None:
    fields = LETTER.model_dump()
    long = DeadLetter(**{**fields, "dlq_error_message": "é" * 2_000})
    assert len(long.dlq_error_message.encode()) == 1_024
    broken = DeadLetter(**{**fields, "dlq_error_message": "a\ud800b"})
    assert dict(broken.to_headers())["dlq_error_message"] == b"a?b"


@given(st.text(st.characters(codec="utf-8")), st.integers(0, 40))
def test_a_clipped_text_is_the_longest_start_that_fits(text: str, max_bytes: int) -> None:
    clipped = clip(text, max_bytes)
    assert text.startswith(clipped)
    assert len(clipped.encode()) <= max_bytes
    assert clipped == text or len(text[: len(clipped) + 1].encode()) > max_bytes
