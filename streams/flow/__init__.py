"""Flow: the queues of a worker, and which request is dispatched next.

In: requests that no cache could answer. Out: calls to providers, and their outcomes to the cache and delivery.

Promises: every class gets its weight's share, in a class the agents take turns, and what is blocked holds up nobody else;
a request whose wait is over is answered `expired` without a call; no request leaves its queue before there is a dispatcher,
a token of the admission rate and its provider's permit for it.

Read in this order, all pure but dispatch:
    dispatch     the loop: queues in, calls under way, outcomes out; wake: when it looks at the queues again
    scheduler    which class, and in it which request, goes next (stride scheduling); class_queue: whose turn it is in one
    lanes        the requests of one route in a class, by tenant and agent; tenants: what each uses and may use
    agents       one agent's share: over its threshold it waits behind the others; ordering: a conversation's requests one by one
    refusals     who is refused before it waits; wait_estimate: how long the wait would be; expiry: who waited too long
    admission    the token bucket of dispatches; pool: how many dispatchers; streams/slots.py: how many calls
    coalesce     embeddings that share a call and linger for each other; mates: who shares one that begins; merge, parts,
                 input_caps: how they are joined and cut; answers: what becomes of each when their call has ended
    queue_states  what is told of a request that somebody asks for: turn_order (its place), throughput and predicted_wait
                 (how long yet); held_up: what it waited for, for its trace
    timer_wheel  what is due when; stats: for `headrace agents`; rules, build: from the settings
"""
