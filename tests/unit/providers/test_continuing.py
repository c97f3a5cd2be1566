"""The request by which an upstream goes on behind a partial answer."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from streams.kept import Kept
from streams.providers.formats.openai.continuing import continued
from tests.unit.test_kept import kept

ASKED = [{"role": "user", "content": "hi"}]


def asked(partial: Kept, **payload: Any) -> dict[str, Any] | None:
    body = continued(orjson.dumps({"model": "m", "messages": ASKED, **payload}), partial)
    return None if body is None else orjson.loads(body)


def test_the_text_so_far_is_the_last_message_and_both_flags_are_set() -> None:
    """vLLM refuses both as true (ggml-org/llama.cpp#23012), and defaults to a generation prompt."""
    body = asked(kept("one", " two"), temperature=0.5)
    assert body == {
        "model": "m",
        "temperature": 0.5,
        "messages": [*ASKED, {"role": "assistant", "content": "one two"}],
        "continue_final_message": True,
        "add_generation_prompt": False,
    }


def test_white_space_at_the_end_is_left_to_the_upstream() -> None:
    body = asked(kept("one \n"))
    assert body is not None
    assert body["messages"][-1]["content"] == "one"


@pytest.mark.parametrize(("name", "given", "left"), [("max_tokens", 8, 6), ("max_completion_tokens", 2, 1)])
def test_the_limit_is_lowered_by_what_was_told(name: str, given: int, left: int) -> None:
    body = asked(kept("one", " two"), **{name: given})
    assert body is not None
    assert body[name] == left


def test_a_partial_answer_of_the_callers_own_is_gone_on_with_too() -> None:
    given = [*ASKED, {"role": "assistant", "content": "Once "}]
    body = asked(kept("upon a"), messages=given, continue_final_message=True, add_generation_prompt=False)
    assert body is not None
    assert body["messages"][1:] == [{"role": "assistant", "content": "Once upon a"}]


@pytest.mark.parametrize(
    "payload",
    [
        {"response_format": {"type": "json_object"}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}},
        {"structured_outputs": {"json": {}}},
        {"guided_regex": "a+"},
        {"n": 2},
        {"echo": True},
        {"messages": []},
        {"messages": [*ASKED, {"role": "assistant", "content": None}], "continue_final_message": True},
    ],
    ids=lambda given: "+".join(given),
)
def test_what_would_not_be_the_rest_of_the_answer_is_not_asked_for(payload: dict[str, Any]) -> None:
    """A grammar begins with what is made, which behind a partial answer is its middle."""
    assert asked(kept("one"), **payload) is None


def test_a_text_format_is_no_grammar() -> None:
    assert asked(kept("one"), response_format={"type": "text"}) is not None
