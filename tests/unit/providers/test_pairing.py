"""Which endpoint of new settings goes on as which of those that run."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from streams.providers.pairing import Identity, pair

NAMES = st.sampled_from(["a", "b", "c"])
SETS = st.lists(st.builds(Identity, NAMES, st.sampled_from(["K1", "K2", None]), NAMES), max_size=6)


def one(url: str, key: str = "K", label: str = "") -> Identity:
    return Identity(url, key, label or url)


@given(SETS, SETS)
def test_each_goes_on_as_at_most_one_and_always_of_its_own_address(
    running: list[Identity], wanted: list[Identity]
) -> None:
    found = pair(running, wanted)
    known = [place for place in found if place is not None]
    assert len(found) == len(wanted)
    assert len(set(known)) == len(known)
    for number, place in enumerate(found):
        if place is not None:
            before, after = running[place], wanted[number]
            assert before.url == after.url
            assert before.key == after.key or before.label == after.label


@given(SETS, SETS)
def test_nobody_is_new_who_is_there_with_the_same_key_or_the_same_name(
    running: list[Identity], wanted: list[Identity]
) -> None:
    """What is left over on both sides differs in the address, or in key and name."""
    found = pair(running, wanted)
    left = [running[place] for place in set(range(len(running))) - {place for place in found if place is not None}]
    for number, place in enumerate(found):
        if place is None:
            new = wanted[number]
            assert not any(each.url == new.url and (each.key == new.key or each.label == new.label) for each in left)


@given(SETS, st.randoms())
def test_another_order_changes_nobody(running: list[Identity], random: object) -> None:
    wanted = list(running)
    random.shuffle(wanted)  # type: ignore[attr-defined]
    found = pair(running, wanted)
    assert Counter(found) == Counter(range(len(running)))
    assert [running[place] for place in found if place is not None] == wanted


def test_the_first_of_two_keys_on_one_url_goes_and_the_second_stays_itself() -> None:
    """Without names the second is `URL#2` before, and `URL` after."""
    assert pair([one("u", "K1", "u"), one("u", "K2", "u#2")], [one("u", "K2", "u")]) == [1]


def test_another_key_under_the_same_name_is_the_same_endpoint() -> None:
    assert pair([one("u", "OLD", "main")], [one("u", "NEW", "main")]) == [0]


def test_another_address_under_the_same_name_is_another_endpoint() -> None:
    assert pair([one("u", "K", "main")], [one("v", "K", "main")]) == [None]
