"""The smallest part of a failing schedule that still fails: delta debugging, within a number of runs.

Zeller and Hildebrandt, Simplifying and Isolating Failure-Inducing Input, IEEE TSE 28(2), 2002: try the parts of a set, then what
is left without each of them, then smaller parts. Real time is not repeatable: a part that passes by luck is kept apart wrongly,
so what comes out fails at least once more than it was seen to, but need not be the least.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence


async def shrink(
    places: Sequence[int], fails: Callable[[tuple[int, ...]], Awaitable[bool]], most_runs: int
) -> tuple[int, ...]:
    """A part of `places` for which `fails` was true, in at most `most_runs` calls of it; `places` where no smaller one failed."""
    left, parts, runs = tuple(places), 2, 0
    if left and runs < most_runs:
        runs += 1
        if await fails(()):
            return ()
    while len(left) > 1 and runs < most_runs:
        size = -(-len(left) // parts)
        chunks = [left[start : start + size] for start in range(0, len(left), size)]
        tries = [*chunks, *(tuple(each for each in left if each not in chunk) for chunk in chunks if parts > 2)]
        for number, tried in enumerate(tries):
            if runs >= most_runs:
                return left
            runs += 1
            if await fails(tried):
                left, parts = tried, 2 if number < len(chunks) else max(parts - 1, 2)
                break
        else:
            if parts >= len(left):
                return left
            parts = min(len(left), parts * 2)
    return left
