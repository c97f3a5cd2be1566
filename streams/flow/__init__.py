"""Who goes next: admission, classes, agents, dispatchers.

In: requests that no cache could answer. Out: calls to providers, and their outcomes to delivery.

Promises: every class gets its weight's share, in a class the agents take turns, and what is blocked holds up nobody else;
a request whose wait is over is answered `expired` without a call; no request leaves its queue before there is a dispatcher,
a token of the admission rate and its provider's reservation for it.
"""
