"""What travels: one module a message, and the JSON Schemas they export.

Each message is a frozen pydantic model: strict where a wrong type would do harm (a number is no agent_id), tolerant of
top-level fields that it does not know, so that a v1 reader survives what is added later. A v1 field never changes its
meaning. Nothing here knows of topics or of the pipeline. Read in this order:

    message             what all models share; limits: their sizes; json_nodes: how many objects a text would become;
                        errors: a validation error in one line
    request, response   what an agent asks and gets; dead_letter: a record that was given up
    admin               what operators ask of a fleet, and what came of it
    cache_entry, lease  between workers: cached answers, and parts of a provider's limit
    metric_sample, metric_window    what workers did (histogram: durations that merge)
    scaling_decision, scaling_event how many workers there should be, and what came of it
    export              all of them as JSON Schema, in exported/
"""

from schemas.admin import AdminAction, AdminOutcome
from schemas.cache_entry import CachedAnswer, CacheEntry, FinishedRequest, parse_cache_entry
from schemas.cancel import Cancel, parse_cancel
from schemas.dead_letter import DeadLetter, DeadLetterReason
from schemas.errors import explain
from schemas.front_key import FrontKey
from schemas.lease import Lease, LeaseClaim, LeaseDemand, LeaseGrant, LeaseMessage, parse_lease
from schemas.metric_sample import MetricSample
from schemas.metric_window import MetricWindow
from schemas.request import CacheControl, CacheMode, Operation, Request
from schemas.response import CacheResult, ErrorType, Response, Status, Timing, Usage, WireError, encode_response
from schemas.scaling_decision import ScalingDecision
from schemas.scaling_event import ScalingEvent

__all__ = [
    "AdminAction",
    "AdminOutcome",
    "CacheControl",
    "CacheEntry",
    "CacheMode",
    "CacheResult",
    "CachedAnswer",
    "Cancel",
    "DeadLetter",
    "DeadLetterReason",
    "ErrorType",
    "FinishedRequest",
    "FrontKey",
    "Lease",
    "LeaseClaim",
    "LeaseDemand",
    "LeaseGrant",
    "LeaseMessage",
    "MetricSample",
    "MetricWindow",
    "Operation",
    "Request",
    "Response",
    "ScalingDecision",
    "ScalingEvent",
    "Status",
    "Timing",
    "Usage",
    "WireError",
    "encode_response",
    "explain",
    "parse_cache_entry",
    "parse_cancel",
    "parse_lease",
]
