"""Every metric: its name, what it means, its labels, in the order in which a request meets them. The only global state there is.

Labels come from small fixed sets; an agent or a request is never one. Buckets are seconds. What OpenTelemetry has a name for in
its GenAI conventions bears that name, spelled as Prometheus does it (docs/metrics.md has the mapping).

Prometheus sees no increase in a series that begins with its first count: what an alert waits for is there from the start, as 0.
"""

from __future__ import annotations

from itertools import product, starmap
from typing import Final, get_args

from prometheus_client import REGISTRY, Counter, Gauge, Histogram

from schemas.dead_letter import DeadLetterReason
from schemas.request import Operation
from streams.metrics.answers import AnswerCounts, Tags
from streams.metrics.fine_histogram import LATENCY_BOUNDS_S, FineHistogram
from topics.names import PRIORITIES

_LATENCY_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


def _from_the_start(counter: Counter, *values: str) -> Counter:
    """The counter, with these values of its one label as 0."""
    for value in values:
        counter.labels(value)
    return counter


# transport
PARTITIONS = Gauge("headrace_partitions", "Request partitions that this worker owns.")
PAUSED_PARTITIONS = Gauge(
    "headrace_paused_partitions", "Owned partitions that are given nothing now: over a quota, or held."
)
PAUSED_SECONDS = Counter(
    "headrace_paused_partition_seconds", "Time that owned partitions were paused, summed over them, to within a second."
)
UNFINISHED = Gauge(
    "headrace_unfinished_records", "Records handed to the pipeline that are neither answered nor dead letters."
)
REBALANCES = Counter("headrace_rebalances", "Assignments of partitions to this worker.")
SKIPPED = Counter("headrace_skipped_records", "Records that an earlier owner had finished, by the commit's metadata.")
COMMITS = _from_the_start(
    Counter("headrace_commits", "Offset commits by result: ok, refused (partitions are moving), failed.", ["result"]),
    *("ok", "refused", "failed"),
)
COMMIT_SECONDS = Histogram("headrace_commit_seconds", "Duration of an offset commit.", buckets=_LATENCY_S)

CONTROL_REFUSED = Counter(
    "headrace_control_records_refused",
    "Records of control topics that do not count, by topic: not signed by the fleet, changed, written again, or too large.",
    ["topic"],
)

# intake
RECEIVED = Counter("headrace_received_records", "Records taken from the request topics, by class.", ["priority"])
CORRUPT_BATCHES = Counter("headrace_corrupt_batches", "Fetches that ended at a corrupt batch of a request partition.")
DEAD_LETTERS = _from_the_start(
    Counter(
        "headrace_dead_letters", "Dead letters by reason: poison, exhausted, too_large, undeliverable.", ["reason"]
    ),
    *get_args(DeadLetterReason),
)

# money
BUDGET_RESERVATIONS = _from_the_start(
    Counter(
        "headrace_budget_reservations",
        "Money that calls asked budgets for, by result: held, waited, refused.",
        ["result"],
    ),
    *("held", "waited", "refused"),
)
BUDGET_ALERTS = Counter(
    "headrace_budget_alerts", "Times that a budget of the settings was used up to a share of it.", ["budget", "share"]
)
BUDGET_ENTRIES = Counter("headrace_budget_entries", "Entries written to the ledger of budgets.")
COST_USD = Counter(
    "headrace_cost_usd",
    "US dollars that answered requests cost, by tenant; exact sums: headrace cost.",
    ["tenant", "provider"],
)
COST_WINDOWS = _from_the_start(
    Counter(
        "headrace_cost_windows", "Windows of costs written, by result: ok, failed (it is written again).", ["result"]
    ),
    *("ok", "failed"),
)
COST_UNKNOWN = Counter("headrace_cost_unknown", "Calls whose model has no known price, by provider.", ["provider"])

# tenants; the labels are bounded in streams/metrics/tenants.py
TENANT_RESPONSES = Counter(
    "headrace_tenant_responses", "Responses by tenant and status; `other` beyond 50 tenants.", ["tenant", "status"]
)
TENANT_TOKENS = Counter(
    "headrace_tenant_tokens", "Tokens of a tenant's answered calls by kind: input, output.", ["tenant", "kind"]
)
TENANT_COST = Counter(
    "headrace_tenant_cost",
    "What a tenant's calls cost, in the currency of the prices; unknown prices left out.",
    ["tenant"],
)

# cache
CACHE_REQUESTS = _from_the_start(
    Counter(
        "headrace_cache_requests", "Requests by where their answer came from: memory, disk, joined, miss.", ["result"]
    ),
    *("memory", "disk", "joined", "miss"),
)

CACHE_BYTES = Gauge("headrace_cache_bytes", "Bytes in the memory tier, by segment.", ["segment"])
CACHE_ENTRIES_HELD = Gauge("headrace_cache_entries", "Entries in the memory tier, by segment.", ["segment"])
CACHE_EVICTED = Gauge(
    "headrace_cache_evicted", "Entries that made room for others since the start, by segment.", ["segment"]
)
CACHE_DISK_BYTES = Gauge("headrace_cache_disk_bytes", "Bytes of this worker's store on disk, its log included.")
CACHE_DISK_ENTRIES = Gauge("headrace_cache_disk_entries", "Entries on disk, as RocksDB estimates them.")
CACHE_DISK_FILES = Gauge("headrace_cache_disk_files", "Files of this worker's store on disk.")
CACHE_DISK_EXPIRED = Gauge(
    "headrace_cache_disk_expired", "Look-ups that found only an expired entry on disk, since the start."
)
CACHE_STORE_OPEN = Gauge(
    "headrace_cache_store_open", "Whether the cache's store on disk can be used: 1, or 0, as when its disk is full."
)
CACHE_TORN = Gauge("headrace_cache_torn", "Values on disk that were not what had been written; none was served.")
CACHE_LAG = Gauge("headrace_cache_lag", "Entries of other workers that are not in this worker's table yet.")
CACHE_UNSHARED = Gauge("headrace_cache_unshared", "Entries that could not be shared since the start.")

# flow
WAITING = Gauge("headrace_waiting_requests", "Requests waiting for dispatch, by class.", ["priority"])
IN_FLIGHT = Gauge("headrace_in_flight_requests", "Requests dispatched to a provider and not answered yet.")
QUEUE_SECONDS = FineHistogram(
    "headrace_queue_seconds",
    "From the record's timestamp to dispatch, by class.",
    ["priority"],
    LATENCY_BOUNDS_S,
    REGISTRY,
    from_the_start=[(priority,) for priority in PRIORITIES],
)
ADMITTED = Counter("headrace_admitted_requests", "Requests dispatched to a provider, by class.", ["priority"])
REFUSED = Counter(
    "headrace_refused_requests",
    "Requests refused before they waited, by class and reason: queue_full, deadline, or what the provider's limits say.",
    ["priority", "reason"],
)
MERGED = Counter("headrace_merged_requests", "Requests that shared a provider call with others.")
DISPATCHERS = Gauge("headrace_dispatchers", "Dispatchers, each with up to a batch of calls under way.")

# cancels
CANCELLED = _from_the_start(
    Counter(
        "headrace_cancelled",
        "Requests that were cancelled, by where they were: unread, waiting, joined, call (closed), shared (goes on for others).",
        ["stage"],
    ),
    *("unread", "waiting", "joined", "call", "shared"),
)

# actions
ADMIN_MALFORMED = Counter(
    "headrace_admin_malformed_records", "Records of agent.admin that are no action and no outcome: left out."
)
CLASS_PAUSED = Gauge(
    "headrace_class_paused", "1 while an operator has paused the class: it is not dispatched.", ["priority"]
)
REDRIVEN = Counter("headrace_redriven_dead_letters", "Dead letters that a redrive of this process has sent again.")

# providers
GEN_AI_OPERATIONS: Final[dict[Operation, str]] = {"chat.completions": "chat", "embeddings": "embeddings"}
"""OpenTelemetry's names for our operations: values of the label `gen_ai_operation_name`."""
_GEN_AI = ("gen_ai_provider_name", "gen_ai_operation_name")

_GEN_AI_BOUNDS_S = tuple(round(0.01 * 2 ** (n / 8), 5) for n in range(8 * 13 + 1))
"""Those that the GenAI conventions recommend, 0.01 to 81.92 s, and seven more between each two: 9 % apart."""

PROVIDER_SECONDS = FineHistogram(
    "gen_ai_client_operation_duration_seconds",
    "Duration of one provider call, retries apart; error_type is empty for an answer.",
    [*_GEN_AI, "error_type"],
    _GEN_AI_BOUNDS_S,
    REGISTRY,
)
PROVIDER_TOKENS = Histogram(
    "gen_ai_client_token_usage",
    "Tokens of one answered provider call, as the provider reported them, by type: input, output.",
    [*_GEN_AI, "gen_ai_token_type"],
    buckets=[4**n for n in range(14)],
)
PROVIDER_LIMITED = Counter(
    "headrace_provider_limited_waits", "Calls that had to wait because their provider's limit is reached.", ["provider"]
)
FIRST_TOKEN_SECONDS = FineHistogram(
    "gen_ai_client_operation_time_to_first_chunk_seconds",
    "From a provider call to the first part of its answer's text; of streamed answers only.",
    [*_GEN_AI],
    _GEN_AI_BOUNDS_S,
    REGISTRY,
)
PROVIDER_RETRIES = Counter(
    "headrace_provider_retries", "Calls made again after a failure, by the provider that got them.", ["provider"]
)
PROVIDER_CHECKS = Counter(
    "headrace_provider_checks", "Health checks of endpoints by result: ok, failed.", ["provider", "result"]
)
ENDPOINT_STATE = Gauge(
    "headrace_endpoint_state",
    "1 for the state that an endpoint is in: healthy, half_open, open, refused, unhealthy, draining.",
    ["provider", "endpoint", "state"],
)
ENDPOINT_SET_ASIDE = Gauge(
    "headrace_endpoint_set_aside",
    "An endpoint (1), or so many of its models, that get no calls or are being tried again, by whose fault it is: illness, key, "
    "credit, model.",
    ["provider", "endpoint", "fault"],
)
PROVIDER_CONNECTIONS = Gauge("headrace_provider_connections", "Calls under way, by provider.", ["provider"])
PROVIDER_BODY_BYTES = Gauge(
    "headrace_provider_body_bytes",
    "Bytes of bodies in memory, by provider and kind: requests under way, answers being read.",
    ["provider", "kind"],
)
PROVIDER_BYTES = Counter(
    "headrace_provider_bytes", "Bytes of bodies to and from a provider, as the network carried them.", ["provider"]
)

# limits
LIMIT_TOKENS = Counter(
    "headrace_limit_tokens",
    "Tokens of limits in this worker by what became of them: granted, reserved, used, owed (beyond what was reserved).",
    ["provider", "state"],
)
LIMIT_DEMANDS = _from_the_start(
    Counter("headrace_limit_demands", "Demands on limits.leases by result: ok, failed.", ["result"]), "ok", "failed"
)
LIMIT_GRANTOR = Gauge("headrace_limit_grantor", "1 while this worker grants what providers allow the fleet.")

# delivery
RESPONSES = AnswerCounts(
    ("headrace_responses", "Responses, by class, the stage that ended the request, operation and status."),
    ("headrace_response_seconds", "From the record's timestamp to the response, by class; bounds within 1.1 %."),
    LATENCY_BOUNDS_S,
    REGISTRY,
    list(starmap(Tags, product(PRIORITIES, ("cache", "flow", "providers"), GEN_AI_OPERATIONS, ("error", "expired")))),
)
SEND_FAILURES = Counter(
    "headrace_send_failures", "Batches of answers that the broker did not take and that are sent again."
)

# metrics
SAMPLES_SENT = Counter(
    "headrace_samples", "Metric samples that this process published, by result: ok, failed.", ["result"]
)
SAMPLES_DROPPED = Counter(
    "headrace_samples_dropped",
    "Metric samples that no window counts, by reason: duplicate, late, ahead (a clock is), surplus, unreadable.",
    ["reason"],
)
WINDOWS = Counter(
    "headrace_windows", "Metric windows that this process published; more than one a minute and scope after a restart."
)
LAG = Gauge("headrace_lag_records", "Records of the request topics that are not committed, by class.", ["priority"])
OLDEST_SECONDS = Gauge(
    "headrace_lag_oldest_seconds",
    "Age of the oldest record behind a commit that does not move; 0 while all of them move.",
)

# scaling
SCALING_LEADER = Gauge("headrace_scaling_leader", "1 in the control process that decides now, else 0.")
SCALING_DECISIONS = Counter(
    "headrace_scaling_decisions", "Decisions by what they ask for: scale_out, scale_in, hold.", ["action"]
)
SCALING_REASONS = Counter(
    "headrace_scaling_reasons",
    "Decisions by what asked for a step: cpu, memory, queue_length, wait, expired, calm, below_min, above_max.",
    ["reason"],
)
SCALING_BLOCKED = _from_the_start(
    Counter(
        "headrace_scaling_blocked",
        "Decisions by what held a step back: at_max, at_min, cooldown, provider_limited, pending, ineffective, missing_data.",
        ["reason"],
    ),
    "at_max",
)
SCALING_WANTED = Gauge("headrace_scaling_wanted_workers", "Workers that there should be, by the newest decision.")
SCALING_REPORTED = Gauge("headrace_scaling_reported_workers", "Workers that reported in the newest window.")
SCALING_EPOCH = Gauge("headrace_scaling_epoch", "Epoch of the newest decision that this process knows.")
SCALING_OUTCOMES = Counter(
    "headrace_scaling_outcomes", "What came of decisions: applied, failed, superseded.", ["result"]
)
SUPERVISED = Gauge(
    "headrace_supervised_processes",
    "Processes of this supervisor by kind (worker, control, front) and state: starting, ready, draining, waiting, given_up.",
    ["kind", "state"],
)
SUPERVISED_RESTARTS = _from_the_start(
    Counter(
        "headrace_supervised_restarts", "Processes of this supervisor that ended by themselves, by kind.", ["kind"]
    ),
    *("worker", "control", "front"),
)

# front
DELTAS = _from_the_start(
    Counter(
        "headrace_deltas",
        "Deltas of answers: written, or left out: the broker does not take them, or too many wait.",
        ["result"],
    ),
    "written",
    "left_out",
)
FRONT_REQUESTS = Counter(
    "headrace_front_requests",
    "Requests of HTTP clients that were answered, by operation and status.",
    ["operation", "status"],
)
FRONT_GONE = Counter(
    "headrace_front_clients_gone", "Clients that went away while they waited for answers that nobody else fetches."
)
FRONT_WAITING = Gauge("headrace_front_waiting_requests", "Requests of HTTP clients that wait for their answers.")
FRONT_HTTP = Counter(
    "headrace_front_http_responses",
    "Responses to HTTP clients by API (openai, anthropic, other) and status, as 2xx, 4xx, 401, 403, 408, 429, 5xx.",
    ["api", "status"],
)
FRONT_KEYS = Gauge("headrace_front_keys", "Keys that this front knows, revoked and expired ones too.")
FRONT_CONNECTIONS = Gauge("headrace_front_connections", "Connections of HTTP clients that are open.")
FRONT_CLOSED = _from_the_start(
    Counter(
        "headrace_front_closed_connections",
        "Connections that the front ended, by reason: idle, late_head, full (front.max_connections).",
        ["reason"],
    ),
    *("idle", "late_head", "full"),
)

# spans
TRACE_EXPORTS = _from_the_start(
    Counter(
        "headrace_trace_exports",
        "Requests that were to be told as spans, by result: sent; refused by the collector; dropped, as there was no room or no "
        "collector; limited (trace.export.most_per_second).",
        ["result"],
    ),
    *("sent", "refused", "dropped", "limited"),
)

# governor
MEMORY_BYTES = Gauge("headrace_memory_bytes", "Resident memory of the worker.")
MEMORY_BUDGET_BYTES = Gauge("headrace_memory_budget_bytes", "Resident memory that the worker stays below.")
MEMORY_HELD = Gauge("headrace_memory_held", "1 while no records are taken because memory is short, else 0.")
MEMORY_HOLDS = Counter("headrace_memory_holds", "Times that records were held because memory was short.")
CACHE_SIZE_BYTES = Gauge(
    "headrace_cache_size_bytes", "What the memory tier may hold now; less than set when memory is short."
)
COLLECTIONS = Counter(
    "headrace_collections", "Garbage collections because memory was short, by kind: young, full.", ["kind"]
)
RECLAIM_SECONDS = Histogram(
    "headrace_reclaim_seconds", "Duration of one step that gets memory back.", buckets=_LATENCY_S
)
SETTINGS_RELOADS = _from_the_start(
    Counter(
        "headrace_settings_reloads",
        "Times that the settings file was read again, by result: taken; refused, where something was wrong with it.",
        ["result"],
    ),
    *("taken", "refused"),
)
LOOPS: Final = (
    "flow", "governor", "samples", "checks", "keys", "cache_reader", "cache_upkeep", "cache_joins", "worker_gauges",
    "backlog", "election", "leases", "scaling_tail", "keeper", "fetch", "outbox", "cache_lookups", "cache_publisher",
    "front_lane", "front_cancels", "front_claims", "front_keys", "front_tls", "front_workers", "front_questions",
    "front_deadlines", "cancels", "deltas", "delta_history", "heavy_records", "upstream_cancels", "reply_lookups", "calls",
    "stall_watch", "ui_index", "ui_fleet", "ui_retention", "settings", "budgets", "cost_windows", "admin", "admin_outcomes",
    "redrive", "spans", "callback", "thread", "metadata",
)  # fmt: skip
"""Background loops and work (streams/supervise.py); `callback` and `thread`: streams/unhandled.py."""
LOOP_FAULTS = _from_the_start(
    Counter(
        "headrace_loop_faults",
        "Faults of background loops and work, which begin again or are settled: by name; callback and thread end the process.",
        ["loop"],
    ),
    *LOOPS,
)
LOOP_LAG_SECONDS = Histogram(
    "headrace_event_loop_lag_seconds",
    "How late a timer of the event loop fires, ten times a second.",
    buckets=_LATENCY_S,
)
LOOP_STALLS = Counter("headrace_event_loop_stalls", "Times that the event loop stood still for longer than loop.stall.")
