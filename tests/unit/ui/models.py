"""Rows, records and an index as an obvious list: what the tests of the index compare with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson
from hypothesis import strategies as st

from ops.ui.index import codes
from ops.ui.index.row import Row, place_of

T0 = 1_780_000_000_000

words = st.sampled_from(["", "a", "b", "agent-7", "<b>", "ü", "\x00", "x" * 256])


@dataclass(frozen=True, slots=True)
class ARecord:
    """A record as aiokafka gives it."""

    offset: int
    timestamp: int
    value: bytes | None = None
    key: bytes | None = None
    headers: list[tuple[str, bytes]] = field(default_factory=list)


def request_value(request_id: str = "r-1", agent_id: str = "a-1", model: str = "small") -> bytes:
    return orjson.dumps({"request_id": request_id, "agent_id": agent_id, "payload": {"model": model, "messages": [{}]}})


def answer_value(**changed: Any) -> bytes:
    value = {
        "request_id": "r-1",
        "agent_id": "a-1",
        "status": "ok",
        "error": None,
        "usage": {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12},
        "cache": "none",
        "provider": "sim",
        "model": "small-v1",
        "attempts": 1,
        "timing": {"queue_ms": 1.5, "provider_ms": 20.25, "total_ms": 30.0},
    }
    return orjson.dumps({**value, **changed})


@st.composite
def rows(draw: st.DrawFn, span_ms: int = 3 * 2**18) -> Row:
    """A row of a request; few different words, so that filters find something."""
    status = draw(st.integers(0, 5))
    dead = draw(st.booleans())
    return Row(
        place=place_of(draw(st.integers(0, 2)), draw(st.integers(0, 3)), draw(st.integers(0, 40))),
        time_ms=T0 + draw(st.integers(0, span_ms)),
        request_id=draw(words),
        agent_id=draw(words),
        model=draw(words),
        request_bytes=draw(st.integers(0, 2**32 - 1)),
        asked=draw(st.booleans()),
        status=status,
        error=draw(st.integers(0, len(codes.ERRORS) - 1)) if status else 0,
        reason=draw(st.integers(1, 4)) if dead else 0,
        stage=draw(st.integers(0, 5)) if dead else 0,
        cache=draw(st.integers(0, 4)),
        attempts=draw(st.integers(0, 2**16 - 1)),
        answered_ms=draw(st.integers(0, 2**48)),
        queue_100us=draw(st.integers(0, 2**32 - 1)),
        provider_100us=draw(st.integers(0, 2**32 - 1)),
        total_100us=draw(st.integers(0, 50_000)),
        input_tokens=draw(st.integers(0, 2**32 - 1)),
        output_tokens=draw(st.integers(0, 2**32 - 1)),
        answer_bytes=draw(st.integers(0, 2**32 - 1)),
        answer_partition=draw(st.integers(0, 2**14 - 1)),
        answer_next=draw(st.integers(0, 2**48)),
        dead_partition=draw(st.integers(0, 2**14 - 1)),
        dead_next=draw(st.integers(1, 2**48)) if dead else 0,
        provider=draw(words),
        called_model=draw(words),
        answer_topic=draw(words),
        tenant=draw(st.sampled_from(["", "acme", "bee"])),
        trace=draw(st.binary(max_size=190)),
    )
