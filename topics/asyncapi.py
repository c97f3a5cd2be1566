"""The contract as an AsyncAPI 3.1 document: channels from the catalogue, messages from schemas/, Kafka bindings 0.5.0.

Operations are Headrace's own: it receives requests and sends responses. A reader of the document is on the other side.
"""

from collections.abc import Iterable
from typing import Any, Final

from schemas import limits
from schemas.export import MESSAGES, schema_file
from topics import names
from topics.catalogue import TopicSpec
from topics.headers import ce_type

VERSION: Final = "3.1.0"
_BINDING_VERSION: Final = "0.5.0"
_JSON: Final = "application/json"

# The replies' channel has no address of its own: the request's reply_to header gives it.
_REPLIES: Final = "replies"

_SENDS: Final = "send"
_RECEIVES: Final = "receive"
_OPERATIONS: Final[dict[str, tuple[str, ...]]] = {
    **dict.fromkeys(names.REQUEST_TOPICS, (_RECEIVES,)),
    names.RESPONSES: (_SENDS,),
    names.FRONT_RESPONSES: (_SENDS, _RECEIVES),
    names.FRONT_KEYS: (_RECEIVES,),
    names.FRONT_CLAIMS: (_SENDS, _RECEIVES),
    names.DELTAS: (_SENDS, _RECEIVES),
    names.DEAD_LETTERS: (_SENDS,),
    names.CANCELS: (_RECEIVES,),
    names.ADMIN: (_SENDS, _RECEIVES),
    names.CACHE_ENTRIES: (_SENDS, _RECEIVES),
    names.LEASES: (_SENDS, _RECEIVES),
    names.BUDGET_LEDGER: (_SENDS, _RECEIVES),
    names.BUDGET_STATE: (_SENDS, _RECEIVES),
    names.COST_WINDOWS: (_SENDS, _RECEIVES),
    names.METRIC_SAMPLES: (_SENDS, _RECEIVES),
    names.METRIC_WINDOWS: (_SENDS, _RECEIVES),
    names.SCALING_DECISIONS: (_SENDS, _RECEIVES),
    names.SCALING_EVENTS: (_SENDS,),
}

_LISTS: Final = frozenset({"cleanup.policy"})

_TEXT: Final = {"type": "string"}
_TIME: Final = {"type": "string", "format": "date-time"}
_TRACE: Final = {
    "type": "string",
    "format": "binary",
    "description": "What became of the request; see docs/contract.md.",
}


def document(specs: Iterable[TopicSpec]) -> dict[str, Any]:
    """The AsyncAPI document for these topics. Schemas are referred to as files beside it."""
    specs = tuple(specs)
    return {
        "asyncapi": VERSION,
        "info": {
            "title": "Headrace",
            "version": "1.0.0",
            "description": (
                "A Kafka-native request pipeline for AI agents. Publish a request, consume the response; every request "
                "that the broker accepted ends in at least one response or dead letter. Where a fleet has a prefix (its "
                "setting topics.prefix), every address has it in front."
            ),
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": _JSON,
        "channels": {spec.name: _channel(spec) for spec in specs} | {_REPLIES: _replies()},
        "operations": {
            f"{action}.{spec.name}": _operation(action, spec) for spec in specs for action in _OPERATIONS[spec.name]
        },
        "components": {"messages": {name: _message(name) for name in MESSAGES}},
    }


def _channel(spec: TopicSpec) -> dict[str, Any]:
    configuration: dict[str, Any] = {}
    for key, value in spec.config.items():
        configuration[key] = value.split(",") if key in _LISTS else int(value) if value.isdecimal() else value
    return {
        "address": spec.name,
        "description": f"Record key: {spec.key}.",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in spec.messages},
        "bindings": {
            "kafka": {
                "topic": spec.name,
                "partitions": spec.partitions,
                "replicas": spec.replication_factor,
                "topicConfiguration": configuration,
                "bindingVersion": _BINDING_VERSION,
            }
        },
    }


def _replies() -> dict[str, Any]:
    return {
        "address": None,
        "description": (
            f"Where a request's reply_to header points: {names.RESPONSES} or an existing topic whose name begins with "
            f"{names.REPLY_TO_PREFIX}"
        ),
        "messages": {"response": {"$ref": "#/components/messages/response"}},
    }


def _operation(action: str, spec: TopicSpec) -> dict[str, Any]:
    channel = f"#/channels/{spec.name}"
    operation: dict[str, Any] = {
        "action": action,
        "channel": {"$ref": channel},
        "messages": [{"$ref": f"{channel}/messages/{name}"} for name in spec.messages],
    }
    if spec.name in names.REQUEST_TOPICS:
        operation["summary"] = f"Answer requests of priority {names.PRIORITY_OF[spec.name]}."
        operation["bindings"] = {
            "kafka": {
                "groupId": {"type": "string", "default": "headrace-workers"},
                "bindingVersion": _BINDING_VERSION,
            }
        }
        operation["reply"] = {
            "address": {
                "location": "$message.header#/reply_to",
                "description": f"Without the header the answer goes to {names.RESPONSES}.",
            },
            "channel": {"$ref": f"#/channels/{_REPLIES}"},
            "messages": [{"$ref": f"#/channels/{_REPLIES}/messages/response"}],
        }
    return operation


def _message(name: str) -> dict[str, Any]:
    message: dict[str, Any] = {
        "name": ce_type(name),
        "title": name.replace("_", " ").capitalize(),
        "contentType": _JSON,
        "headers": _headers(name),
        "payload": {"$ref": f"./{schema_file(name)}"},
        "bindings": {"kafka": {"key": _TEXT, "bindingVersion": _BINDING_VERSION}},
    }
    if name == "request":
        message["correlationId"] = {"location": "$message.payload#/request_id"}
    elif name in ("response", "delta"):
        message["correlationId"] = {"location": "$message.header#/request_id"}
    elif name == "dead_letter":
        # The value is the original record's, which need not be JSON; what is ours is in the headers.
        message["contentType"] = "application/octet-stream"
        message["payload"] = {"description": "The original value, untouched."}
        del message["bindings"]["kafka"]["key"]
    return message


def _headers(name: str) -> dict[str, Any]:
    if name == "dead_letter":
        added = {"type": "object", "properties": {"dlq_trace": _TRACE}}
        return {"allOf": [{"$ref": f"./{schema_file(name)}"}, added]}
    cloud_event: dict[str, Any] = {
        "ce_specversion": {"type": "string", "const": "1.0"},
        "ce_type": {"type": "string", "const": ce_type(name)},
        "ce_source": {"type": "string", "format": "uri-reference"},
        "ce_id": _TEXT,
        "ce_time": _TIME,
        "content-type": {"type": "string", "const": _JSON},
    }
    trace = {
        "traceparent": {
            "type": "string",
            "pattern": "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}",
            "description": "W3C Trace Context. A malformed one is passed over.",
        },
        "tracestate": {
            "type": "string",
            "description": "That of `traceparent`: at most 32 members; of more than 512 bytes the last and largest are left out.",
        },
    }
    if name == "request":
        reply = {
            "reply_to": {"type": "string", "maxLength": limits.TOPIC_NAME_CHARS},
            "reply_partition": {"type": "string", "pattern": "^[0-9]{1,7}$"},
            "stream": {"type": "string", "enum": ["true", "false"]},
        }
        return {
            "type": "object",
            "description": "All optional.",
            "properties": {**cloud_event, "ce_expirytime": _TIME, **trace, **reply},
        }
    if name == "delta":
        number = {"type": "string", "pattern": "^[0-9]{1,19}$"}
        properties = {
            "content-type": cloud_event["content-type"],
            "request_id": _TEXT,
            "ce_id": _TEXT | {"description": "The place of the request's record, as in its answer."},
            "epoch": number | {"description": "Rises with each attempt at the answer."},
            "seq": number | {"description": "0, 1, 2 ... within the epoch."},
        }
        optional = {
            "on_loss": {"type": "string", "const": "restart"},
            "upstream": _TEXT | {"description": "For workers: where the answer is made."},
            "upstream_seq": number | {"description": "For workers: the upstream's event that was told last."},
        }
        return {"type": "object", "properties": properties | optional, "required": list(properties)}
    if name == "response":
        properties = {**cloud_event, **trace, "request_id": _TEXT, "trace": _TRACE}
        return {"type": "object", "properties": properties, "required": [*cloud_event, "request_id"]}
    return {"type": "object", "properties": cloud_event}
