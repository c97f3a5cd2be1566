"""The front door: HTTP clients with an OpenAI SDK, joined to the fleet behind Kafka.

In: an HTTP request. Out: a record on a request topic, acked by the broker before anything is promised; then its answer, from the
one partition of `agent.responses.front` (the lane) that this front reads. Nothing is kept here that cannot be found on the log
again, so that any number of fronts may stand behind any load balancer.

Read in this order:
    inbound     an HTTP request as a request of the contract, or the problem with it. Pure
    front       published, waited for, answered; or refused, where too many wait
    waiting     who waits for which answer. Pure; lane: where the answers come from; finder: answers that nobody waited for;
                request_records: whether one that was found is of the request
    deadlines   until when a request is waited for. Pure; watching: ends it then
    workers     asked where a request is; worker_directory: which of them; request_state: what it says, and as a comment of SSE
    exchange    a request and what comes of it as events: follower (nothing twice) over partial; stream, api_stream: as SSE;
                pieces: a whole answer as a stream; replay: told again from the log
    problems    what went wrong, as the SDKs expect it. Pure; problem_response: as a response of the API that was called
    access      who may ask, by keys/; idempotency/: the same `Idempotency-Key` gets the same answer
    cancelling  clients that go away, and explicit cancels
    ids         which name the lane and the time. Pure; tracing: trace context of clients
    listener    where clients connect; guards: how many, and for how long one may say nothing; tls: the certificate
    routes/     a file an API, over anthropic/ and responses/; server: puts them together; openapi: their description
"""
