"""Load: from a recorded trace to requests, sent when they are due, and books of what came back.

    trace       a trace of arrivals, read (formats). Read it first
    schedule    when which agent asks: the trace's inter-arrival times and token counts, with an agent and a chat each
    request     the request that travels for an arrival
    traffic     requests out and answers in, over Kafka; play: at their times
    ledger      who was asked and who was answered (pure); report: how that is shown
    demand      what a load asks of a provider's limits

All but `traffic` and `play` are free of Kafka, and deterministic: the same trace, options and seed give the same requests.
"""

from ops.load.request import PlannedRequest, PriorityMix, plan_requests
from ops.load.schedule import Arrival, rate_scale_for, schedule
from ops.load.trace import SHIPPED_TRACE, read_trace
from ops.load.trace_row import TraceError, TraceRow

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
