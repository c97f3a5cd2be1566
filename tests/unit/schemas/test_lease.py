"""Leases of an older worker and of a newer one in the same topic."""

from typing import Any

import orjson
import pytest

from schemas.lease import Grant, LeaseDemand, LeaseGrant, parse_lease

OLDER: list[dict[str, Any]] = [
    {
        "kind": "demand",
        "provider": "main",
        "model": "*",
        "worker_id": "w",
        "at": "2026-01-01T00:00:00Z",
        "requests": 2,
        "tokens": 500,
        "head_tokens": 200,
        "left": {"requests": 1, "tokens": 300},
        "slots": [{"number": 4, "requests": 1, "tokens": 90}],
        "provider_view": {"limit_tokens": 1000, "pause_s": 0.5},
    },
    {
        "kind": "grant",
        "provider": "main",
        "grantor_id": "g",
        "epoch": 3,
        "seq": 9,
        "valid_from": "2026-01-01T00:00:00Z",
        "valid_until": "2026-01-01T00:00:03Z",
        "grants": {"w": {"requests": 1, "tokens": 700}},
        "limit_tokens": 90000,
    },
]


@pytest.mark.parametrize("message", OLDER, ids=["demand", "grant"])
def test_what_an_older_worker_wrote_is_read(message: dict[str, Any]) -> None:
    found = parse_lease(orjson.dumps(message))
    if isinstance(found, LeaseDemand):
        assert found.left == Grant(1, 300)
        assert (found.slots[0].input, found.head_input, found.input_used) == (0, 0, 0)
    else:
        assert isinstance(found, LeaseGrant)
        assert found.grants == {"w": Grant(1, 700)}
        assert (found.recalled, found.limit_input) == ([], None)


@pytest.mark.parametrize("message", OLDER, ids=["demand", "grant"])
def test_what_is_new_stands_beside_what_an_older_worker_reads(message: dict[str, Any]) -> None:
    written = orjson.loads(parse_lease(orjson.dumps(message)).to_json())
    for name, value in message.items():
        if name in ("at", "valid_from", "valid_until"):
            continue
        found = written[name]
        if isinstance(value, dict) and name != "grants":
            assert value.items() <= found.items()
        elif name not in ("grants", "slots"):
            assert found == value
