"""Which request holds an idempotency key, by the order of the log."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from schemas.claim import Claim
from streams.front.idempotency.claims import KEEP_S, Claims, body_of, scope_of

_BODY = "0f" * 32
_KEY = b"key"


def claim(request_id: str, after: str | None = None) -> Claim:
    return Claim(request_id=request_id, body=_BODY, after=after)


def test_the_first_claim_on_the_log_holds() -> None:
    claims = Claims(10)
    claims.note(_KEY, claim("a"), 100)
    claims.note(_KEY, claim("b"), 101)
    assert claims.holder(_KEY, 102) == ("a", bytes.fromhex(_BODY))
    assert claims.holder(b"other", 102) is None


def test_a_key_is_free_again_after_a_day() -> None:
    claims = Claims(10)
    claims.note(_KEY, claim("a"), 100)
    assert claims.holder(_KEY, 100 + KEEP_S) is None
    claims.note(_KEY, claim("b"), 100 + KEEP_S)
    assert claims.holder(_KEY, 101 + KEEP_S) == ("b", bytes.fromhex(_BODY))


def test_a_failed_request_is_followed_by_the_first_that_names_it() -> None:
    claims = Claims(10)
    for each in (claim("a"), claim("b", after="a"), claim("c", after="a"), claim("d", after="c")):
        claims.note(_KEY, each, 100)
    assert claims.holder(_KEY, 101) == ("b", bytes.fromhex(_BODY))


@given(
    st.lists(
        st.tuples(st.sampled_from([b"x", b"y"]), st.sampled_from("abc"), st.sampled_from([None, "a", "b", "c"])),
        max_size=30,
    )
)
def test_fronts_that_read_the_same_log_agree(records: list[tuple[bytes, str, str | None]]) -> None:
    """Whatever is read, and however far one is behind: who has read all says the same as a slow obvious model."""
    claims, model = Claims(100), dict[bytes, str]()
    for key, request_id, after in records:
        claims.note(key, claim(request_id, after), 5)
        if key not in model or model[key] == after:
            model[key] = request_id
    assert {key: holder[0] for key in (b"x", b"y") if (holder := claims.holder(key, 6))} == model


def test_memory_is_bounded_and_the_oldest_go_first() -> None:
    claims = Claims(2)
    for name in ("a", "b", "c"):
        claims.note(name.encode(), claim(name), 1)
    assert len(claims) == 2
    assert claims.holder(b"a", 2) is None


def test_callers_and_keys_do_not_run_into_each_other() -> None:
    assert scope_of("a", "bc") != scope_of("ab", "c")
    assert scope_of("1:a", "") != scope_of("1", ":a")
    assert body_of("msg_", b"{}") != body_of("resp_", b"{}")
