"""What a provider allows the whole fleet: requests and tokens a minute.

In: one provider call that is about to be made, with its estimated tokens. Out: a reservation, the right to make that call now; or
how long to wait; or that it can never be made. Promises: the calls of all workers together never exceed the limit, whatever
dies, pauses or moves.

Read in this order:
    budget      the seam to providers; route and amount: what has a limit, and in what it is counted
    worker/     a worker's own part: what it was granted, and what it did with it
    books/      the fleet's books, which every worker keeps from the log, and the grantor that one of them is
    topic       the loops between the two: demands and grants on `limits.leases`
    token_estimate: tokens before a call (tokenizer, cached_share); counting and usage: after it
    provider_view  what a provider says of its limits, how far and how long it is believed; retry_after: how long it asks to wait
    build       budgets from the settings
"""

from streams.limits.budget import UNLIMITED, Budget, Reservation, Reserved, TooLarge, Unlimited, Wait
from streams.limits.route import Route

__all__ = ["UNLIMITED", "Budget", "Reservation", "Reserved", "Route", "TooLarge", "Unlimited", "Wait"]
