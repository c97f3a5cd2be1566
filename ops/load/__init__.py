"""Load: from a recorded trace to requests with a time, free of Kafka.

In comes a trace of arrivals (`read_trace`), out come `PlannedRequest`s in the order in which they are due: `schedule`
keeps the trace's inter-arrival times and token counts and gives each arrival an agent and a chat, `plan_requests`
writes the request that travels. Everything is deterministic: the same trace, options and seed give the same requests.
"""

from ops.load.request import PlannedRequest, PriorityMix, plan_requests
from ops.load.schedule import Arrival, rate_scale_for, schedule
from ops.load.trace import SHIPPED_TRACE, TraceError, TraceRow, read_trace

__all__ = [
    "SHIPPED_TRACE",
    "Arrival",
    "PlannedRequest",
    "PriorityMix",
    "TraceError",
    "TraceRow",
    "plan_requests",
    "rate_scale_for",
    "read_trace",
    "schedule",
]
