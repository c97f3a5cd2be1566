"""The governor: keeps a worker inside its memory budget, and sees when its event loop stands still.

In: the process's resident memory and the loop's own clock, ten times a second. Out: garbage collected, the memory cache cut to
what fits, memory given back to the system, partitions held, and a line with the stack when the loop is stuck. It promises that
it never spins (`policy.py`) and that a hold always ends.
"""

from streams.governor.budget import Budget, memory_budget
from streams.governor.governor import Governor
from streams.governor.policy import MemoryPolicy, MemoryRules, Reading, Step

__all__ = ["Budget", "Governor", "MemoryPolicy", "MemoryRules", "Reading", "Step", "memory_budget"]
