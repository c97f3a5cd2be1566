"""Calls to LLM providers: an endpoint that is fit and has room, the wire format, retries and failover inside the time left.

In: a request that waits for dispatch. Out: a reservation for it, or whom the lack of one holds up; then its outcome.

Promises: at most so many calls under way as the connections allow, to a provider, to each host, and of each agent; so many
bytes in memory and a second; a call and its retries together take no longer than their time and the request's own limit;
failures cost no more extra calls than the retry budget; an answer larger than the limit is never kept in memory.

The cores are pure: routing, breaker, health, retry, retry_budget, slots, bandwidth, memory, and the wire formats. Around them:
client (HTTP), endpoint, provider, call, providers, checks; build makes them from the settings.
"""
