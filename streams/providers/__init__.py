"""Calls to LLM providers: an endpoint that is fit and has room, the wire format, retries and failover inside the time left.

In: a request that waits for dispatch. Out: a permit for one call, or whom the lack of one holds up; then its outcome.

Promises: calls under way are bounded by connections, of a provider, of each host, and of each agent; bytes in memory and bytes a
second are bounded; a call and its retries together take no longer than their time and the request's own limit;
failures cost no more extra calls than the retry budget; an answer larger than the limit is never kept in memory.

Read in this order:
    providers   all of them, as flow sees them; routes: which may be asked, by target
                and model_names; provider: one of them, its endpoints and slots (room, agent_connections)
    call        one reserved call: failover (where the next attempt goes), attempts (what came of them), retry, retry_budget;
                payers: whose money it spends; held_body: its bytes while they count; resumption: a stream that goes on
    endpoint    one endpoint: routing picks it, health and breaker close it, failures says whose fault a failure is;
                checks: active health checks; keys: its API key; stats: what is told of it
    upstream_cancels  ends answers that nobody wants at upstreams that go on without a reader
    formats/    what is sent, and what an answer says, in each wire format
    http/       how it is sent: connections, bodies inside their bounds
    build       all of these from the settings; endpoint_maker, pairing, reload: their endpoints, also as the settings change
"""
