"""How much of a caller's prompts its provider reads from the prompt cache: learnt from answers, on the safe side. Pure.

Before a call nobody knows. What is expected is the least of a caller's last answers, less the more the fewer they were: after n
answers that all had a share s, n/(n+1) of s (Laplace's rule of succession). A cache that was not used for five minutes is gone
(https://docs.claude.com/en/docs/build-with-claude/prompt-caching), and so is what was learnt of it.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from math import inf
from typing import Final

from streams.limits.usage import Used

_SEEN: Final = 8
_KEPT_S: Final = 240.0
_CALLERS: Final = 10_000


@dataclass(slots=True)
class _Caller:
    shares: deque[float] = field(default_factory=lambda: deque(maxlen=_SEEN))
    at: float = -inf


class CachedShares:
    """Of each caller. Times are any clock's that runs.

    >>> shares = CachedShares()
    >>> shares.observe("agent", Used(input=10_000, output=10, cached=9_000), now=0.0)
    >>> shares.expected("agent", now=1.0), shares.expected("agent", now=300.0)
    (0.45, 0.0)
    """

    def __init__(self) -> None:
        self._callers: OrderedDict[str, _Caller] = OrderedDict()

    def expected(self, caller: str, now: float) -> float:
        """The share of its next prompt that will be read from the cache, at the least."""
        seen = self._callers.get(caller)
        if seen is None or now > seen.at + _KEPT_S:
            return 0.0
        return min(seen.shares) * len(seen.shares) / (len(seen.shares) + 1)

    def observe(self, caller: str, used: Used, now: float) -> None:
        """Learn from an answer."""
        seen = self._callers.get(caller)
        if seen is None:
            if not used.cached:
                return  # a first prompt fills the cache
            seen = self._callers[caller] = _Caller()
            if len(self._callers) > _CALLERS:
                self._callers.popitem(last=False)
        elif now > seen.at + _KEPT_S:
            seen.shares.clear()
        self._callers.move_to_end(caller)
        seen.at = now
        seen.shares.append(used.cached / used.input if used.input else 0.0)
