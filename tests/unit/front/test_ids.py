"""Ids say where their answer is, and nothing else is taken for one."""

from hypothesis import given
from hypothesis import strategies as st

from streams.front.ids import RANDOM_BYTES, Where, new_id, read_id

LANES = st.integers(0, 2**16 - 1)
TIMES = st.integers(0, 2**48 - 1)
PREFIXES = st.sampled_from(["chatcmpl-", "embd-", ""])


@given(LANES, TIMES, st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES), PREFIXES)
def test_an_id_says_where_its_answer_is(lane: int, at_ms: int, random: bytes, prefix: str) -> None:
    where = Where(lane, at_ms)
    text = new_id(prefix, where, random)
    assert text.startswith(prefix)
    assert read_id(text) == where


@given(st.text(max_size=60))
def test_any_other_text_is_no_fault(text: str) -> None:
    read = read_id(text)
    assert read is None or 0 <= read.lane < 2**16


def test_an_openai_id_is_none_of_ours() -> None:
    assert read_id("chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT") is None
