"""Requests hold their records only where somebody wants dead letters of them."""

from __future__ import annotations

import orjson
import pytest

from streams.intake.decode import Decoder
from streams.pipeline import PendingRequest
from streams.transport.offsets import Original
from tests.support.requests import SampleRecord, SampleSource


@pytest.mark.parametrize("keeps", [True, False])
def test_a_request_holds_its_record_only_if_told(keeps: bool) -> None:
    payload = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    record = SampleRecord(orjson.dumps({"agent_id": "a", "payload": payload}))
    decoder = Decoder(4096, {"high": 10.0, "normal": 30.0, "low": 60.0}, keeps_records=keeps)
    found = decoder.decode(record, record.origin, SampleSource(), 0)
    assert isinstance(found, PendingRequest)
    assert found.original == (Original(record, record.origin) if keeps else None)
