"""Every metric of a worker: its name, what it means, its labels. The only global state there is.

Labels come from small fixed sets; an agent or a request is never one. Buckets are seconds.
"""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

_LATENCY_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

# transport
PARTITIONS = Gauge("headrace_partitions", "Request partitions that this worker owns.")
PAUSED_PARTITIONS = Gauge(
    "headrace_paused_partitions", "Owned partitions that are given nothing now: over a quota, or held."
)
UNFINISHED = Gauge(
    "headrace_unfinished_records", "Records handed to the pipeline that are neither answered nor dead letters."
)
REBALANCES = Counter("headrace_rebalances", "Assignments of partitions to this worker.")
SKIPPED = Counter("headrace_skipped_records", "Records that an earlier owner had finished, by the commit's metadata.")
COMMITS = Counter(
    "headrace_commits", "Offset commits by result: ok, refused (partitions are moving), failed.", ["result"]
)
COMMIT_SECONDS = Histogram("headrace_commit_seconds", "Duration of an offset commit.", buckets=_LATENCY_S)

# intake
RECEIVED = Counter("headrace_received_records", "Records taken from the request topics, by class.", ["priority"])
DEAD_LETTERS = Counter("headrace_dead_letters", "Dead letters by reason: poison, exhausted, too_large.", ["reason"])

# cache
CACHE_REQUESTS = Counter(
    "headrace_cache_requests", "Requests by where their answer came from: memory, disk, joined, miss.", ["result"]
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
CACHE_TORN = Gauge("headrace_cache_torn", "Values on disk that were not what had been written; none was served.")
CACHE_LAG = Gauge("headrace_cache_lag", "Entries of other workers that are not in this worker's table yet.")
CACHE_UNSHARED = Gauge("headrace_cache_unshared", "Entries that could not be shared since the start.")

# flow
WAITING = Gauge("headrace_waiting_requests", "Requests waiting for dispatch, by class.", ["priority"])
IN_FLIGHT = Gauge("headrace_in_flight_requests", "Requests dispatched to a provider and not answered yet.")
QUEUE_SECONDS = Histogram(
    "headrace_queue_seconds", "From the record's timestamp to dispatch, by class.", ["priority"], buckets=_LATENCY_S
)

# providers
PROVIDER_CALLS = Counter(
    "headrace_provider_calls", "Calls by provider and result: ok, or the error's type.", ["provider", "result"]
)
PROVIDER_SECONDS = Histogram(
    "headrace_provider_seconds", "Duration of one call, by provider.", ["provider"], buckets=_LATENCY_S
)
PROVIDER_TOKENS = Counter(
    "headrace_provider_tokens",
    "Tokens that providers reported, by provider and kind: prompt, completion.",
    ["provider", "kind"],
)

# delivery
RESPONSES = Counter("headrace_responses", "Responses acked by the broker, by class and status.", ["priority", "status"])
RESPONSE_SECONDS = Histogram(
    "headrace_response_seconds",
    "From the record's timestamp to the response, by class.",
    ["priority"],
    buckets=_LATENCY_S,
)
SEND_FAILURES = Counter(
    "headrace_send_failures", "Batches of answers that the broker did not take and that are sent again."
)
