"""The pipeline: requests from Kafka to LLM providers and back, in the order of the data.

    Kafka        agent.requests.high / .normal / .low
    transport/   fetches, hands out lists of records, keeps offsets, pauses partitions, commits
    intake/      a record becomes a request, or a dead letter
    cache/       answers what it knows, joins identical calls; misses go on
    flow/        queues by class, route and agent; says which request is dispatched next
    limits/      what a provider allows the whole fleet: reserved before a call, settled after it
    providers/   picks an endpoint and calls it; retries and failover
    cache/       sees the outcome: keeps it, shares it, answers the joiners
    delivery/    responses and dead letters out in batches; acked, the record is finished
    transport/   a finished prefix of offsets is committed
    Kafka        agent.responses, agent.requests.dlq, cache.entries

Beside it: governor/ keeps the worker inside its memory, metrics/ counts and samples, windows/ makes windows of samples, scaling/
decides the number of workers from these. front/ is the HTTP side for clients with an OpenAI SDK. settings/ is every
setting, kafka/ the wall around the client library.

Loose files: pipeline.py is every seam between stages (Stage, Responder, Permit, Outcome); worker.py puts the stages of one worker
together, control.py those of a control process, app.py the Faust apps. Shared by stages: slots.py, route_shares.py, backoff.py,
heartbeat.py, record_clock.py, supervise.py and unhandled.py (background work), identity.py. errors.py: the root of errors that
end a command.

Floors, held by `make lint`: a package imports from lower floors only, and no stage imports another.

    worker, control, front
    intake, cache, flow, providers, windows
    delivery, governor, scaling
    app
    route_shares
    pipeline
    limits
    transport
    kafka
    supervise, unhandled
    metrics
    backoff, heartbeat, identity, record_clock, settings, slots
    errors

Words: docs/glossary.md. Tasks, states and surprises: docs/internals.md. Read pipeline.py, then the front page of each package
above, in that order.
"""
