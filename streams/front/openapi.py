"""The front's HTTP interface as an OpenAPI 3.1 document, made from the contract's models. Pure.

Bodies are described as far as a front checks them: all else passes on to the provider as it came. A test holds `ENDPOINTS` to the
routes of the application.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic.json_schema import models_json_schema

from schemas import limits
from schemas.response import Response
from streams.front.inbound import AGENT, CACHE, CLASS, CONVERSATION, PREFER, TIMEOUT
from topics.names import PRIORITIES

VERSION: Final = "3.1.0"

Method = Literal["get", "post", "delete"]
Schema = Mapping[str, Any]


def _object(required: Mapping[str, Schema], **optional: Schema) -> dict[str, Any]:
    """An object with these fields, and any others."""
    return {"type": "object", "required": list(required), "properties": {**required, **optional}}


_TEXT: Final = {"type": "string"}
_MODEL: Final = {"type": "string", "minLength": 1, "maxLength": limits.MODEL_CHARS}
_AGENTS: Final[dict[str, Any]] = {
    "user": _TEXT,
    "safety_identifier": _TEXT,
    "service_tier": {"type": ["string", "null"]},
}
_MESSAGES: Final = {"type": "array", "minItems": 1, "items": {"type": "object"}}
_INPUT: Final = {"anyOf": [{"type": "string", "minLength": 1}, {"type": "array", "minItems": 1}]}
_LISTED: Final = _object({"id": _TEXT, "object": {"const": "model"}})
_STATE: Final = {
    **_object({"id": _TEXT, "object": {"const": "request"}, "state": _TEXT}),
    "description": "`waiting`, `unknown`, or the status of its response.",
}
_RESPONSE: Final = _object({"id": _TEXT, "object": {"const": "response"}, "status": _TEXT})
_FOUND: Final = _object(_STATE["properties"], response={"$ref": "#/components/schemas/Response"})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One operation."""

    method: Method
    path: str
    summary: str
    answer: Schema
    """Of its 200, as JSON."""
    body: Schema | None = None
    accepted: bool = False
    """Whether it may be answered 202 with an id, and takes the headers of a request."""
    streams: bool = False


ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    Endpoint(
        "post",
        "/v1/chat/completions",
        "Ask for a chat completion, as with OpenAI's API.",
        answer=_object({}),
        body=_object({"model": _MODEL, "messages": _MESSAGES}, stream={"type": ["boolean", "null"]}, **_AGENTS),
        accepted=True,
        streams=True,
    ),
    Endpoint(
        "post",
        "/v1/embeddings",
        "Ask for embeddings, as with OpenAI's API.",
        answer=_object({}),
        body=_object({"model": _MODEL, "input": _INPUT}, **_AGENTS),
        accepted=True,
    ),
    Endpoint(
        "get",
        "/v1/models",
        "Models that the settings name and the key may use.",
        answer=_object({"object": {"const": "list"}, "data": {"type": "array", "items": _LISTED}}),
    ),
    Endpoint("get", "/v1/models/{model}", "One of them.", answer=_LISTED),
    Endpoint("get", "/v1/requests/{id}", "Where a request is, and its response once it has one.", answer=_FOUND),
    Endpoint(
        "get",
        "/v1/requests/{id}/stream",
        "A chat's stream, behind `Last-Event-ID` where that is given.",
        {},
        streams=True,
    ),
    Endpoint("delete", "/v1/requests/{id}", "Cancel a request.", answer=_STATE, accepted=True),
    Endpoint("post", "/v1/requests/{id}/cancel", "Cancel a request.", answer=_STATE, accepted=True),
    Endpoint(
        "post",
        "/v1/messages",
        "Ask for a message, as with Anthropic's API.",
        answer=_object({"type": {"const": "message"}}),
        body=_object({"model": _MODEL, "messages": _MESSAGES, "max_tokens": {"type": "integer", "minimum": 1}}),
        accepted=True,
        streams=True,
    ),
    Endpoint(
        "post",
        "/v1/messages/count_tokens",
        "An estimate of a message's tokens.",
        answer=_object({"input_tokens": {"type": "integer"}}),
        body=_object({"model": _MODEL, "messages": _MESSAGES}),
    ),
    Endpoint(
        "post",
        "/v1/responses",
        "Ask for a response, as with OpenAI's API.",
        answer=_RESPONSE,
        body=_object({"model": _MODEL, "input": _INPUT}, stream={"type": ["boolean", "null"]}, **_AGENTS),
        accepted=True,
        streams=True,
    ),
    Endpoint("get", "/v1/responses/{id}", "A response, or how far it is.", answer=_RESPONSE, streams=True),
    Endpoint("delete", "/v1/responses/{id}", "Delete a response.", answer=_object({"id": _TEXT})),
    Endpoint("post", "/v1/responses/{id}/cancel", "Cancel a response.", answer=_RESPONSE),
    Endpoint("get", "/openapi.json", "This document.", answer={"type": "object"}),
)

_HEADERS: Final[Mapping[str, tuple[Schema, str]]] = {
    CLASS: ({"type": "string", "enum": list(PRIORITIES)}, "The class; else by `service_tier`."),
    AGENT: (
        {"type": "string", "maxLength": limits.ID_CHARS},
        "The agent; else `safety_identifier`, `user`, the key's name.",
    ),
    TIMEOUT: ({"type": "number", "exclusiveMinimum": 0, "maximum": limits.TIMEOUT_S}, "Seconds in all."),
    CONVERSATION: ({"type": "string", "maxLength": limits.ID_CHARS}, "As `conversation_id` of the contract."),
    CACHE: ({"enum": ["read_write", "read_only", "write_only", "off"]}, "As `cache.mode` of the contract."),
    PREFER: (_TEXT, "`respond-async`, or `wait=N` seconds: then 202 with the id (RFC 7240)."),
}


def document() -> dict[str, Any]:
    """The whole document."""
    _, models = models_json_schema([(Response, "serialization")], ref_template="#/components/schemas/{model}")
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in ENDPOINTS:
        paths.setdefault(endpoint.path, {})[endpoint.method] = _operation(endpoint)
    return {
        "openapi": VERSION,
        "info": {
            "title": "Headrace front",
            "version": "1.0.0",
            "description": "HTTP clients, joined to a fleet behind Kafka.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{}, {"bearer": []}, {"apiKey": []}],
        "paths": paths,
        "components": {
            "schemas": {**models["$defs"], "Error": _error()},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            },
        },
    }


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    content = {"application/json": {"schema": endpoint.answer}}
    if endpoint.streams:
        content["text/event-stream"] = {}  # its events are of the API
    responses = {"200": {"description": "The answer.", "content": content}}
    if endpoint.accepted:
        accepted = {"application/json": {"schema": _STATE}}
        responses["202"] = {"description": "It goes on; GET /v1/requests/{id} has its answer.", "content": accepted}
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    for status, why in (("4XX", "Refused."), ("5XX", "Not answered.")):
        responses[status] = {"description": why, "content": error}
    operation: dict[str, Any] = {"summary": endpoint.summary, "responses": responses}
    if parameters := [*_in_path(endpoint.path), *(_in_header() if endpoint.accepted else [])]:
        operation["parameters"] = parameters
    if endpoint.body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": endpoint.body}}}
    return operation


def _in_path(path: str) -> list[dict[str, Any]]:
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    return [{"name": name, "in": "path", "required": True, "schema": _TEXT} for name in names]


def _in_header() -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "header", "schema": schema, "description": description}
        for name, (schema, description) in _HEADERS.items()
    ]


def _error() -> dict[str, Any]:
    """OpenAI's error object, Anthropic's, or where nothing is known of a request, its state."""
    said = {"message": _TEXT, "type": _TEXT}
    openai = _object({"error": _object({**said, "code": _TEXT}, param={"type": ["string", "null"]})})
    anthropic = _object({"type": {"const": "error"}, "error": _object(said)})
    return {"anyOf": [openai, anthropic, _STATE]}
