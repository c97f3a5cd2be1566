"""Which key of the front a request came with: only what a front has signed counts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.intake.decode import Decoder
from streams.kafka.records import Origin
from streams.pipeline import PendingRequest
from streams.providers.payers import payer_of
from streams.signing import KeyProofs, Secret
from tests.support.requests import SampleRecord, SampleSource
from tests.unit.intake.test_decode import DECODER, value
from tests.unit.signing.records import NOW, ONE, OTHER, TWO

TOPIC = "agent.requests.normal"


def proofs(*secrets: Secret) -> KeyProofs:
    return KeyProofs(lambda: secrets or (ONE,), lambda: NOW)


@given(st.from_regex(r"\A[A-Za-z0-9._-]{1,64}\Z"), st.binary(max_size=200))
def test_what_a_front_has_proved_counts_also_after_the_secret_has_changed(name: str, body: bytes) -> None:
    _, header = proofs(ONE).header(TOPIC, f"team-a/{name}", body)
    assert proofs(TWO, ONE).proved(TOPIC, header, body) == f"team-a/{name}"


def test_a_proof_of_another_request_topic_name_or_secret_proves_nothing() -> None:
    _, header = proofs().header(TOPIC, "bot", b"{}")
    signature = header.split(b" ")[0]
    assert proofs().proved(TOPIC, header, b"{}") == "bot"
    assert proofs().proved("agent.requests.high", header, b"{}") == ""
    assert proofs().proved(TOPIC, header, b'{"a": 1}') == ""
    assert proofs().proved(TOPIC, signature + b" other", b"{}") == ""
    assert proofs(OTHER).proved(TOPIC, header, b"{}") == ""
    for broken in (b"", b"bot", signature, b" bot", header + b"x" * 600, b"\xff \xff"):
        assert proofs().proved(TOPIC, broken, b"{}") == ""


def test_the_key_of_a_request_pays_and_a_claim_does_not() -> None:
    body = value()
    header = proofs().header(TOPIC, "team-a/bot", body)
    decoder = Decoder(4096, DECODER.waits_s, proofs=proofs())

    def payer(by: Decoder, *headers: tuple[str, bytes]) -> str:
        found = by.decode(SampleRecord(body, headers=list(headers)), Origin(TOPIC, 3), SampleSource(), 0)
        assert isinstance(found, PendingRequest)
        return payer_of(found).key

    assert payer(decoder, header) == "team-a/bot"
    assert payer(decoder, ("front_key", b"bot")) == ""
    assert payer(decoder) == ""
    assert payer(DECODER, header) == ""  # a fleet without a secret proves nothing
