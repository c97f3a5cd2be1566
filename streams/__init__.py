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

Before the pipeline: cancels/ drops what nobody wants any more, actions/ carries out what operators ask of the whole fleet
(classes paused, endpoints drained, dead letters sent again). tenants/ says what each may ask for and use; whose a request is
says its topic (topics/).

Beside it: front/ is the HTTP side, for clients with an OpenAI or Anthropic SDK. money/ counts what calls cost and keeps
budgets. signing/ lets only the fleet write its control topics. trace/ is what an answer tells of its way, otel/ makes spans of
it. governor/ keeps the worker inside its memory. metrics/ counts and samples, windows/ makes windows of samples, scaling/
decides the number of workers from these. settings/ is every setting, kafka/ the wall around the client library.

Loose files, begin with the first three: pipeline.py is every seam between stages (Stage, Responder, Permit, Outcome); worker.py
puts the stages of one worker together, control.py those of a control process. app.py makes their Faust apps. What several
stages share: waits.py and record_states.py (where a request is, why it waits), unanswered.py, kept.py, paid.py,
route_shares.py, slots.py, backoff.py, alarm.py, heartbeat.py, record_clock.py, identity.py, hosts.py, patterns.py,
redaction.py; supervise.py and unhandled.py own what runs in the background. errors.py is the root of errors that end a command.

Floors, held by `make lint`: a package imports from lower floors only, and no stage imports another.

    worker, control, front
    record_states
    actions, cancels, intake, cache, flow, providers, windows
    delivery, governor, otel, scaling
    app
    paid, route_shares, unanswered, waits
    pipeline
    kept, trace
    money
    limits
    transport
    kafka
    supervise, unhandled
    metrics
    tenants
    redaction
    alarm, backoff, heartbeat, hosts, identity, patterns, record_clock, settings, slots
    signing
    errors

Words: docs/glossary.md. Tasks, states and surprises: docs/internals.md. Read pipeline.py, then the front page of each package
above, in that order.
"""
