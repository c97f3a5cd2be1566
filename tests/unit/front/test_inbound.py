"""HTTP requests become requests of the contract, or problems that say what is wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.request import Operation, Request
from streams.front.inbound import Inbound, read_inbound
from streams.front.problems import Problem, ProblemError

CHAT = {"model": "small", "messages": [{"role": "user", "content": "hi"}]}


def read(
    body: Any = CHAT, headers: Mapping[str, str] | None = None, operation: Operation = "chat.completions"
) -> Inbound:
    named = {name.replace("_", "-"): value for name, value in (headers or {}).items()}
    return read_inbound(operation, named, body if isinstance(body, bytes) else json.dumps(body).encode())


def problem_of(body: Any = CHAT, headers: Mapping[str, str] | None = None) -> Problem:
    with pytest.raises(ProblemError) as caught:
        read(body, headers)
    return caught.value.problem


def test_a_chat_is_a_request_of_the_contract() -> None:
    inbound = read()
    request = Request.model_validate_json(inbound.value("chatcmpl-1"))
    assert (request.request_id, request.agent_id, request.payload) == ("chatcmpl-1", "http", CHAT)
    assert (inbound.priority, inbound.streams, inbound.preference.wait_s) == ("normal", False, None)


def test_embeddings_are_too() -> None:
    request = Request.model_validate_json(read({"model": "e", "input": ["a"]}, operation="embeddings").value("embd-1"))
    assert request.operation == "embeddings"


@pytest.mark.parametrize(
    ("body", "headers", "agent"),
    [
        ({}, {}, "http"),
        ({"user": "u"}, {}, "u"),
        ({"user": "u", "safety_identifier": "s"}, {}, "s"),
        ({"user": "u", "safety_identifier": "s"}, {"x_headrace_agent": "a"}, "a"),
        ({"user": 7}, {}, "http"),
        ({"user": "x" * 300}, {}, "x" * 256),
    ],
)
def test_the_agent_is_who_the_client_says(body: dict[str, Any], headers: dict[str, str], agent: str) -> None:
    assert read({**CHAT, **body}, headers).agent_id == agent


@pytest.mark.parametrize(
    ("tier", "header", "priority"),
    [
        (None, None, "normal"),
        ("auto", None, "normal"),
        ("priority", None, "high"),
        ("flex", None, "low"),
        ("flex", "high", "high"),
        (["flex"], None, "normal"),
    ],
)
def test_the_class_is_the_service_tier_or_the_header(tier: Any, header: str | None, priority: str) -> None:
    headers = {} if header is None else {"x_headrace_class": header}
    assert read({**CHAT, "service_tier": tier}, headers).priority == priority


@pytest.mark.parametrize(
    ("prefer", "wait_s", "respond_async"),
    [
        ("wait=5", 5.0, False),
        ("respond-async", None, True),
        ("respond-async, wait=10", 10.0, True),
        ('wait="7"', 7.0, False),
        ("return=minimal", None, False),
        ("wait=99999999", 999999.0, False),
    ],
)
def test_preferences_are_read_as_rfc_7240_writes_them(prefer: str, wait_s: float | None, respond_async: bool) -> None:
    preference = read(headers={"prefer": prefer}).preference
    assert (preference.wait_s, preference.respond_async) == (wait_s, respond_async)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"", None),
        (b"{", None),
        (b"[]", None),
        (b'"chat"', None),
        (b"\xff\xfe", None),
        (b"[" * 100_000, None),
        ({"messages": CHAT["messages"]}, None),
        ({"model": "m", "messages": []}, None),
        ({"model": 7, "messages": CHAT["messages"]}, None),
        (b'{"model": "m", "messages": [1], "temperature": 1e999}', None),
        (b'{"model": "m", "messages": [1], "seed": 123456789012345678901234567890}', None),
    ],
)
def test_what_the_fleet_would_refuse_is_refused_before_it_costs_anything(body: Any, param: str | None) -> None:
    problem = problem_of(body)
    assert (problem.status, problem.type, problem.retryable) == (400, "invalid_request_error", False)
    assert "\n" not in problem.message


@pytest.mark.parametrize(
    "headers",
    [
        {"x_headrace_timeout": "soon"},
        {"x_headrace_timeout": "-1"},
        {"x_headrace_timeout": "nan"},
        {"x_headrace_timeout": "1e9"},
        {"x_headrace_class": "urgent"},
        {"x_headrace_cache": "maybe"},
        {"x_headrace_agent": "a" * 300},
        {"x_headrace_conversation": "c" * 300},
    ],
)
def test_headers_that_say_nothing_are_refused(headers: dict[str, str]) -> None:
    assert problem_of(CHAT, headers).status == 400


@given(st.binary(max_size=200) | st.from_regex(rb'\{"model": ?"m", ?"messages": ?\[.{0,80}\]\}', fullmatch=True))
def test_any_body_is_a_request_or_a_problem(body: bytes) -> None:
    try:
        value = read_inbound("chat.completions", {}, body).value("r")
    except ProblemError as error:
        problem = error.problem
    else:
        Request.model_validate_json(value)
        return
    assert 400 <= problem.status < 500
    orjson.loads(problem.body())
