"""What was used in the last minute, entry by entry, and how fast one may go on without ever having to stop.

A provider counts in a sliding window or in a token bucket. What keeps to "at most L in any window of 60 s" keeps to both: a
bucket that holds L and refills L in 60 s lets at least that much through.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from math import inf

from streams.limits.amount import NONE, Amount


class SlidingWindow:
    """Amounts with their times. Times are seconds and do not fall; an entry counts for `window_s` after its time.

    >>> window = SlidingWindow(60.0)
    >>> window.put("a", 0.0, Amount(1, 500)); window.put("a", 5.0, Amount(1, 300))     # less was used than reserved
    >>> window.total.tokens, window.expire(60.0), window.total.tokens
    (300, None, 0)
    """

    def __init__(self, window_s: float) -> None:
        self.window_s = window_s
        self.total = NONE
        self._entries: dict[Hashable, tuple[float, Amount]] = {}
        self._last_at = -inf

    def __contains__(self, key: Hashable) -> bool:
        return key in self._entries

    def put(self, key: Hashable, at: float, used: Amount) -> None:
        """Set an entry's amount. Its time is that of the first mention."""
        entry = self._entries.get(key)
        if entry is None:
            at = self._last_at = max(at, self._last_at)
            before = NONE
        else:
            at, before = entry
        self._entries[key] = (at, used)
        self.total += used - before

    def expire(self, now: float) -> None:
        """Drop what is older than the window."""
        while self._entries:
            key, (at, used) = next(iter(self._entries.items()))
            if at + self.window_s > now:
                return
            del self._entries[key]
            self.total -= used

    def leaving(self, now: float) -> Iterator[tuple[float, Amount]]:
        """In how many seconds how much leaves the window, soonest first."""
        for at, used in self._entries.values():
            yield at + self.window_s - now, used


# Short stops are left to the room itself, and the room is used up a little faster than it comes. With the tokens of the
# Azure conversation trace, 3 workers in tests/unit/limits/world.py used 94.3 % of the limit at (0, 1.0), 95.7 % at
# (1/12, 1.1), 97.3 % at (1/12, 1.5); the longest stop was 2.8 s at 1.1 and 6.7 s at 1.5.
_AHEAD_SHARE = 1 / 12
_FASTER = 1.3


def steady_rate(window: SlidingWindow, now: float, room: Amount) -> Amount:
    """About the highest constant rate (a second) that finds room through the whole window to come.

    Until the moment `h` from now, `room` and what leaves the window by then can be used: the rate is the least of
    (room + left by h) / h. A burst is so paid back by a slower pace for a minute and not by a stop at its end; where all of
    the room is taken at once each time, the stops of one minute come again in every minute after it.
    """
    requests, tokens, given, made = room.requests, room.tokens, room.input, room.output
    most_requests = most_tokens = most_given = most_made = inf
    ahead_s = window.window_s * _AHEAD_SHARE
    for in_s, used in window.leaving(now):  # numbers and not amounts: 700 entries at every demand that is read
        if in_s > ahead_s:
            most_requests = min(most_requests, requests / in_s)
            most_tokens = min(most_tokens, tokens / in_s)
            most_given = min(most_given, given / in_s)
            most_made = min(most_made, made / in_s)
        requests += used.requests
        tokens += used.tokens
        given += used.input
        made += used.output
    at_last = Amount(requests, tokens, given, made) * (1 / window.window_s)
    return Amount(most_requests, most_tokens, most_given, most_made).least(at_last).most(NONE) * _FASTER
