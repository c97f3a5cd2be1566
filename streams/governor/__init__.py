"""The governor: keeps a worker inside its memory budget, and reports an event loop that stands still.

In: the process's resident memory and the loop's own clock, ten times a second. Out: garbage collected, the memory cache cut to
what fits, memory given back to the system, partitions held (paused while memory is short), and a line with the stack when the
loop is stuck. It promises that it never spins (`policy.py`) and that a hold always ends.

Read in this order:
    budget     how much memory a worker may use; rss: how much it has
    policy     pure: a reading in, a step out; when to collect, cut, hold
    governor   the loop around it; reclaim: what a step does
    stall      the thread that sees a loop that stands still
"""

from streams.governor.budget import Budget, memory_budget
from streams.governor.governor import Governor
from streams.governor.policy import MemoryPolicy, MemoryRules, Reading, Step

__all__ = ["Budget", "Governor", "MemoryPolicy", "MemoryRules", "Reading", "Step", "memory_budget"]
