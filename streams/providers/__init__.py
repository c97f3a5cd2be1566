"""Calls to LLM providers: an endpoint with a free slot, the wire format, retries inside the time left.

In: a request that holds a reservation. Out: its outcome.

Promises: at most so many calls under way as the connections allow, to a provider and to each host; a call and its retries
together take no longer than the provider's timeout and the request's own limit; an answer larger than the limit is never
kept in memory.
"""
