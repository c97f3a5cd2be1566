"""Records that are no requests, or name no place for their answer, and what the contract says must come of each."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

End = Literal["dead", "dead and rejected", "error"]
"""One dead letter; one dead letter and one `rejected` response; one `error` response (invalid_reply_to) and no dead letter."""


@dataclass(frozen=True, slots=True)
class Hostile:
    """One record and its end."""

    kind: str
    value: bytes | None
    end: End
    key: bytes | None = b"agent-1"
    headers: list[tuple[str, bytes]] = field(default_factory=list)


def hostile_records(count: int, seed: int = 1) -> Iterator[Hostile]:
    """`count` records, all kinds in turn."""
    rng = random.Random(seed)
    for n in range(count):
        yield _KINDS[n % len(_KINDS)](rng, n)


def _payload(n: int) -> dict[str, Any]:
    return {
        "model": "small",
        "messages": [{"role": "user", "content": f"hostile {n}"}],
        "headrace_sim": {"id": f"hostile-{n}"},
    }


def _valid(n: int, **more: Any) -> dict[str, Any]:
    return {"agent_id": f"agent-{n % 50}", "payload": _payload(n), **more}


def _random_bytes(rng: random.Random, n: int) -> Hostile:
    return Hostile("random bytes", b"\x00" + rng.randbytes(rng.randrange(300)), "dead")


def _tombstone(rng: random.Random, n: int) -> Hostile:
    return Hostile("tombstone", None, "dead")


def _no_object(rng: random.Random, n: int) -> Hostile:
    return Hostile("JSON that is no object", rng.choice([b"[]", b"17", b'"x"', b"null", b"true", b"", b"[{}]"]), "dead")


def _wrong_type(rng: random.Random, n: int) -> Hostile:
    name, wrong = rng.choice(
        [
            ("payload", 5), ("payload", []), ("payload", None), ("request_id", 7), ("conversation_id", {}), ("cache", "off"),
            ("cache", {"mode": "sometimes"}), ("timeout_s", "soon"), ("timeout_s", -1), ("timeout_s", 0), ("deadline", "later"),
            ("deadline", "2026-01-01T00:00:00"), ("operation", "images"), ("operation", None),
        ]
    )  # fmt: skip
    return Hostile(f"wrong {name}", orjson.dumps(_valid(n) | {name: wrong}), "dead and rejected")


def _missing(rng: random.Random, n: int) -> Hostile:
    value = rng.choice(
        [
            {},
            {"agent_id": "agent-2"},
            {"payload": {}},
            {"payload": {"model": "small"}},
            {"payload": {"messages": [{}]}},
            {"payload": {"model": "small", "messages": []}},
            {"payload": {"model": "", "messages": [{}]}},
        ]
    )
    return Hostile("missing field", orjson.dumps(value), "dead and rejected")


def _nobody(rng: random.Random, n: int) -> Hostile:
    key = rng.choice([None, b"", b"\xff\xfe", b"k" * 300])
    return Hostile("no agent anywhere", orjson.dumps({"payload": _payload(n)}), "dead", key=key)


def _wrong_agent(rng: random.Random, n: int) -> Hostile:
    value = orjson.dumps(_valid(n) | {"agent_id": rng.choice([5, [], {}, True, "", "a" * 300])})
    return rng.choice(
        [
            Hostile("wrong agent_id", value, "dead and rejected"),
            Hostile("wrong agent_id, no key", value, "dead", key=None),
        ]
    )


def _nested(rng: random.Random, n: int) -> Hostile:
    depth, end = rng.choice([(300, "dead and rejected"), (900, "dead and rejected"), (50_000, "dead and rejected")])
    inner = b"[" * depth + b"]" * depth
    value = b'{"agent_id": "agent-3", "payload": {"model": "m", "messages": [1], "deep": ' + inner + b"}}"
    return Hostile(f"{depth} levels", value, end)  # type: ignore[arg-type]


def _huge_string(rng: random.Random, n: int) -> Hostile:
    name = rng.choice(["request_id", "conversation_id", "deadline"])
    return Hostile(
        f"huge {name}", orjson.dumps(_valid(n) | {name: "x" * rng.randrange(300, 100_000)}), "dead and rejected"
    )


def _bad_utf8(rng: random.Random, n: int) -> Hostile:
    bad = rng.choice([b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf5\x80\x80\x80"])
    return Hostile("bad UTF-8", b'{"agent_id": "agent-4", "payload": {"model": "' + bad + b'"}}', "dead")


def _odd_json(rng: random.Random, n: int) -> Hostile:
    whole = orjson.dumps(_valid(n))
    value = rng.choice(
        [b"\xef\xbb\xbf" + whole, whole + b"}", whole[:-1], whole.replace(b"small", b"\\ud800"), b"\x00"]
    )
    return Hostile("nearly JSON", value, "dead")


def _odd_number(rng: random.Random, n: int) -> Hostile:
    value = orjson.dumps(_valid(n))[:-2] + b', "seed": ' + b"9" * 30 + b"}}"
    return Hostile("integer beyond 64 bits", value, "dead and rejected")


def _wrong_header(rng: random.Random, n: int) -> Hostile:
    wrong = rng.choice([b"tomorrow", b"", b"\xff", b"2026-13-45T00:00:00Z", b"2026-01-01T00:00:00", b"9" * 5_000])
    return Hostile(
        "wrong ce_expirytime", orjson.dumps(_valid(n)), "dead and rejected", headers=[("ce_expirytime", wrong)]
    )


def _hostile_reply_to(rng: random.Random, n: int) -> Hostile:
    topic = rng.choice(
        [
            b"agent.responses.nowhere", b"agent.requests.high", b"agent.requests.dlq", b"__consumer_offsets", b"cache.entries",
            b"agent.responses.", b"agent.responses.a/b", b"agent.responses.\x00", b"../../etc/passwd", b".", b"\xff\xfe",
            b"agent.responses." + b"x" * 10_000, b"agent.responses." + b"y" * 240, b"agent.responses.%d" % n,
        ]
    )  # fmt: skip
    return Hostile(f"reply_to {topic[:24]!r}", orjson.dumps(_valid(n)), "error", headers=[("reply_to", topic)])


_KINDS: tuple[Callable[[random.Random, int], Hostile], ...] = (
    _random_bytes, _tombstone, _no_object, _wrong_type, _missing, _nobody, _wrong_agent, _nested, _huge_string, _bad_utf8,
    _odd_json, _odd_number, _wrong_header, _hostile_reply_to,
)  # fmt: skip
