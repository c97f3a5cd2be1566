"""Which endpoint of new settings is which of those that run. Pure.

What is known of an endpoint, its breakers and the calls under way, is known of an address and a key. So an endpoint that keeps
its URL goes on under another key or another name, and one of another URL is another endpoint, whatever its name.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Identity:
    """`key`: where its API key is read, not what it is."""

    url: str
    key: Hashable
    label: str


_PASSES: tuple[Callable[[Identity], Hashable], ...] = (
    lambda each: each,
    lambda each: (each.url, each.key),  # it has another name: two keys on one URL, of which one goes
    lambda each: (each.url, each.label),  # it has another key
)


def pair(running: Sequence[Identity], wanted: Sequence[Identity]) -> list[int | None]:
    """For each wanted endpoint the place of the running one that it goes on as, each at most once; None: it is new.

    >>> a, b = Identity("http://a", "K1", "http://a"), Identity("http://a", "K2", "http://a#2")
    >>> pair([a, b], [Identity("http://a", "K2", "http://a"), Identity("http://c", None, "c")])
    [1, None]
    """
    found: list[int | None] = [None] * len(wanted)
    free = dict.fromkeys(range(len(running)))
    for known_by in _PASSES:
        places: dict[Hashable, list[int]] = {}
        for place in free:
            places.setdefault(known_by(running[place]), []).append(place)
        for number, each in enumerate(wanted):
            alike = places.get(known_by(each))
            if found[number] is None and alike:
                found[number] = place = alike.pop(0)
                del free[place]
    return found
