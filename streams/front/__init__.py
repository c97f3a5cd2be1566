"""The front door: HTTP clients with an OpenAI SDK, joined to the fleet behind Kafka.

In: an HTTP request. Out: a record on a request topic, acked by the broker before anything is promised; then its answer, from the
one partition of `agent.responses.front` (the lane) that this front reads. Nothing is kept here that cannot be found on the log
again, so that any number of fronts may stand behind any load balancer.

Read in this order:
    inbound     an HTTP request as a request of the contract, or the problem with it. Pure
    front       published, waited for, answered
    waiting     who waits for which answer. Pure; lane: where the answers come from; finder: answers that nobody waited for
    problems    what went wrong, as the SDKs expect it; chunks: a whole answer as a stream. Pure
    cancelling  clients that go away, and explicit cancels
    ids         which name the lane and the time. Pure
    routes      a file an API; server: puts them together
"""
