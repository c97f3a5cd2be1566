"""What a provider allows the whole fleet: requests and tokens a minute.

In: one provider call that is about to be made, with its estimated tokens. Out: a hold, the right to make that call now; or
how long to wait; or that it can never be made. Promises: the calls of all workers together never exceed the limit, whatever
dies, pauses or moves.
"""

from streams.limits.budget import UNLIMITED, Budget, Hold, Reserved, TooLarge, Unlimited, Wait
from streams.limits.route import Route

__all__ = ["UNLIMITED", "Budget", "Hold", "Reserved", "Route", "TooLarge", "Unlimited", "Wait"]
