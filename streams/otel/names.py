"""What spans and their attributes are called: the one table. Pure.

Names are OpenTelemetry's semantic conventions, https://opentelemetry.io/docs/specs/semconv/ (messaging, GenAI, HTTP, general),
and ours where it has none. Code says the current name; what a reader of older names sees is made of it at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Literal, NamedTuple

Semconv = Literal["new", "old", "both"]
Value = str | int | float | bool | tuple[str, ...]
Attributes = dict[str, Value]

MESSAGING_SYSTEM: Final = "messaging.system"
OPERATION_TYPE: Final = "messaging.operation.type"
OPERATION_NAME: Final = "messaging.operation.name"
DESTINATION: Final = "messaging.destination.name"
PARTITION: Final = "messaging.destination.partition.id"
OFFSET: Final = "messaging.kafka.offset"
GROUP: Final = "messaging.consumer.group.name"
MESSAGE_ID: Final = "messaging.message.id"
BODY_SIZE: Final = "messaging.message.body.size"
GEN_AI_OPERATION: Final = "gen_ai.operation.name"
GEN_AI_PROVIDER: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
MAX_TOKENS: Final = "gen_ai.request.max_tokens"
TEMPERATURE: Final = "gen_ai.request.temperature"
TOP_P: Final = "gen_ai.request.top_p"
STREAM: Final = "gen_ai.request.stream"
RESPONSE_ID: Final = "gen_ai.response.id"
RESPONSE_MODEL: Final = "gen_ai.response.model"
FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
AGENT: Final = "gen_ai.agent.id"
CONVERSATION: Final = "gen_ai.conversation.id"
ERROR_TYPE: Final = "error.type"
HTTP_METHOD: Final = "http.request.method"
HTTP_STATUS: Final = "http.response.status_code"
HTTP_ROUTE: Final = "http.route"
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"
CLASS: Final = "headrace.class"
TENANT: Final = "headrace.tenant"
STATUS: Final = "headrace.status"
ATTEMPTS: Final = "headrace.attempts"
ENDPOINT: Final = "headrace.endpoint"
LOG_WAIT: Final = "headrace.log_wait_ms"
CACHE: Final = "headrace.cache"
LINK: Final = "headrace.link"
RECORD: Final = "headrace.record"
WAIT_REASON: Final = "headrace.wait.reason"

CACHE_HIT: Final = "headrace.cache.hit"
CACHE_JOINED: Final = "headrace.cache.joined"
"""Events."""

LABELS: Final[Mapping[str, str]] = {"gen_ai_provider_name": "gen_ai_system"}
"""Labels of metrics, and what they were called before."""


def wait_ms(reason: str) -> str:
    """Time that a request waited for one thing, by its word in `streams/trace/words.py`, a small fixed set."""
    return f"headrace.wait.{reason}_ms"


class Old(NamedTuple):
    """What an attribute was called, and how its value was written."""

    name: str
    value: Callable[[Value], Value] = lambda value: value


def _number(value: Value) -> Value:
    return int(value) if isinstance(value, str) and value.isdecimal() else value


def _operation(value: Value) -> Value:
    return "publish" if value == "send" else value


OLD: Final[Mapping[str, Old]] = {
    GEN_AI_PROVIDER: Old("gen_ai.system"),
    INPUT_TOKENS: Old("gen_ai.usage.prompt_tokens"),
    OUTPUT_TOKENS: Old("gen_ai.usage.completion_tokens"),
    OPERATION_TYPE: Old("messaging.operation", _operation),
    GROUP: Old("messaging.kafka.consumer.group"),
    PARTITION: Old("messaging.kafka.destination.partition", _number),
    OFFSET: Old("messaging.kafka.message.offset"),
    HTTP_METHOD: Old("http.method"),
    HTTP_STATUS: Old("http.status_code"),
    SERVER_ADDRESS: Old("net.peer.name"),
    SERVER_PORT: Old("net.peer.port"),
}
"""Current names that replaced others; all that is not here has one name."""


def written(attributes: Attributes, semconv: Semconv) -> Attributes:
    """The attributes under the names that are asked for.

    >>> written({GEN_AI_PROVIDER: "sim", CLASS: "high"}, "old")
    {'gen_ai.system': 'sim', 'headrace.class': 'high'}
    """
    if semconv == "new":
        return attributes
    found: Attributes = {}
    for name, value in attributes.items():
        old = OLD.get(name)
        if old is None or semconv == "both":
            found[name] = value
        if old is not None:
            found[old.name] = old.value(value)
    return found
