"""What the Messages API refuses, for tests of what is sent to it: one rule after the other, with the texts that it answers.

Written from its public documentation (https://docs.claude.com/en/api/messages and the pages on tool use, prompt caching, vision,
thinking, effort and structured outputs at https://platform.claude.com/docs/en/build-with-claude) and from the texts of its errors
in public reports, named at their rules. The messages have a file of their own, `anthropic_strict_messages`. It knows nothing of
how requests are translated. What depends on a model is told by its name; of a name that is none of Claude's nothing is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from ops.provider_sim.answers import BadRequestError
from ops.provider_sim.anthropic_strict_messages import check_messages, check_text_blocks

_FIELDS: Final = frozenset(
    {
        "model",
        "messages",
        "max_tokens",
        "system",
        "metadata",
        "stop_sequences",
        "stream",
        "temperature",
        "top_k",
        "top_p",
    }
    | {
        "tools",
        "tool_choice",
        "thinking",
        "service_tier",
        "container",
        "cache_control",
        "output_config",
        "inference_geo",
    }
    | {"headrace_sim"}  # the simulator's own
)
_BETA: Final = frozenset({"context_management", "mcp_servers", "speed", "fallbacks", "diagnostics", "output_format"})
_TOOL_FIELDS: Final = frozenset(
    {"type", "name", "description", "input_schema", "cache_control", "strict", "defer_loading", "allowed_callers"}
    | {"eager_input_streaming", "input_examples"}
)
_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_PROPERTY: Final = re.compile(r"[a-zA-Z0-9_.-]{1,64}")
_SERVER_TOOL: Final = re.compile(r"[a-z0-9_]+_\d{8}")
_MAIL: Final = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+")
_PHONE: Final = re.compile(r"\+?[0-9][0-9 ().-]{6,18}")
_SCHEMA_WORDS: Final = frozenset(
    {
        "type",
        "properties",
        "required",
        "additionalProperties",
        "items",
        "minItems",
        "enum",
        "const",
        "anyOf",
        "allOf",
        "$ref",
    }
    | {"$defs", "definitions", "description", "title", "default", "format"}
)
_VERSION: Final = re.compile(r"claude-(?:[a-z]+-)?(\d{1,2})(?!\d)(?:[-.](\d{1,2})(?!\d))?")


def check_strictly(headers: Mapping[str, str], body: dict[str, Any]) -> None:
    """Raise BadRequestError for the first rule that is broken. Names of headers are in lower case."""
    version = _version(body["model"])
    _check_fields(headers, body)
    _check_numbers(body, version)
    _check_labels(body)
    _check_thinking(body, version)
    _check_tools(body)
    _check_tool_choice(body)
    _check_output(body, version)
    if "system" in body:
        check_text_blocks(body["system"], "system")
    check_messages(body, prefill=version is None or version < (4, 6))
    _check_marks(body)


def _version(model: str) -> tuple[int, int] | None:
    found = _VERSION.search(model)
    return (int(found[1]), int(found[2] or 0)) if found else None


def _check_fields(headers: Mapping[str, str], body: Mapping[str, Any]) -> None:
    for name in body:
        if name in _FIELDS or (name in _BETA and "anthropic-beta" in headers):
            continue
        raise BadRequestError(f"{name}: Extra inputs are not permitted")
    for name in ("max_tokens", "messages"):
        if name not in body:
            raise BadRequestError(f"{name}: Field required")


def _check_numbers(body: Mapping[str, Any], version: tuple[int, int] | None) -> None:
    for name in ("temperature", "top_p"):
        if name in body and (type(body[name]) not in (int, float) or not 0 <= body[name] <= 1):
            raise BadRequestError(f"{name}: Input should be between 0 and 1")
    for name, least in (("max_tokens", 1), ("top_k", 0)):
        if name in body and (type(body[name]) is not int or body[name] < least):
            raise BadRequestError(f"{name}: Input should be greater than or equal to {least}")
    if "stream" in body and type(body["stream"]) is not bool:
        raise BadRequestError("stream: Input should be a valid boolean")
    if version is not None and version >= (4, 7):  # NousResearch/hermes-agent#11137
        for name in ("temperature", "top_p", "top_k"):
            if name in body:
                raise BadRequestError(f"`{name}` is not supported for this model")
    # BerriAI/litellm#15097; the documentation says of every model to alter one of them only
    if "temperature" in body and "top_p" in body:
        raise BadRequestError("`temperature` and `top_p` cannot both be specified for this model. Please use only one.")


def _check_labels(body: Mapping[str, Any]) -> None:
    metadata = body.get("metadata", {})
    for name in metadata:
        if name != "user_id":
            raise BadRequestError(f"metadata.{name}: Extra inputs are not permitted")
    user = metadata.get("user_id", "")
    if type(user) is not str or len(user) > 256:
        raise BadRequestError("metadata.user_id: String should have at most 256 characters")
    if _MAIL.search(user):  # BerriAI/litellm#10106
        raise BadRequestError("metadata.user_id: user_id appears to contain an email address")
    if _PHONE.fullmatch(user):
        raise BadRequestError("metadata.user_id: user_id appears to contain a phone number")
    if body.get("service_tier", "auto") not in ("auto", "standard_only"):
        raise BadRequestError("service_tier: Input should be 'auto' or 'standard_only'")
    stops = body.get("stop_sequences", [])
    if type(stops) is not list or not all(type(stop) is str for stop in stops):
        raise BadRequestError("stop_sequences: Input should be a valid list of strings")
    if any(not stop.strip() for stop in stops):  # BerriAI/litellm#3286
        raise BadRequestError("stop_sequences: each stop sequence must contain non-whitespace")


def _check_thinking(body: Mapping[str, Any], version: tuple[int, int] | None) -> None:
    thinking = body.get("thinking")
    if thinking is None:
        return
    kind = thinking.get("type") if type(thinking) is dict else None
    known = {"enabled": {"type", "budget_tokens", "display"}, "adaptive": {"type", "display"}, "disabled": {"type"}}
    if kind not in known:
        raise BadRequestError("thinking.type: Input should be 'enabled', 'adaptive' or 'disabled'")
    for name in thinking.keys() - known[kind]:
        raise BadRequestError(f"thinking.{kind}.{name}: Extra inputs are not permitted")
    if kind == "disabled":
        return
    if kind == "enabled":
        if version is not None and version >= (4, 7):
            raise BadRequestError(
                '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive"'
            )
        budget = thinking.get("budget_tokens")
        if type(budget) is not int or budget < 1024:
            raise BadRequestError("thinking.enabled.budget_tokens: Input should be greater than or equal to 1024")
        if budget >= body["max_tokens"]:
            raise BadRequestError("`max_tokens` must be greater than `thinking.budget_tokens`")
    elif version is not None and version < (4, 6):
        raise BadRequestError("adaptive thinking is not supported on this model")
    if version is not None and version < (3, 7):
        raise BadRequestError("thinking is not supported on this model")
    if body.get("temperature", 1) != 1:
        raise BadRequestError("`temperature` may only be set to 1 when thinking is enabled or in adaptive mode.")
    if "top_k" in body:
        raise BadRequestError("`top_k` must be unset when thinking is enabled or in adaptive mode.")
    if body.get("top_p", 1) < 0.95:
        raise BadRequestError("`top_p` must be greater than or equal to 0.95 or unset when thinking is enabled.")
    choice = body.get("tool_choice")
    if type(choice) is dict and choice.get("type") in ("any", "tool"):  # can1357/oh-my-pi#341
        raise BadRequestError("Thinking may not be enabled when tool_choice forces tool use.")


def _check_tools(body: Mapping[str, Any]) -> None:
    names: set[str] = set()
    tools = body.get("tools", [])
    if type(tools) is not list:
        raise BadRequestError("tools: Input should be a valid list")
    for index, tool in enumerate(tools):
        where = f"tools.{index}"
        if type(tool) is not dict:
            raise BadRequestError(f"{where}: Input should be a valid dictionary")
        kind = tool.get("type", "custom")
        if kind != "custom":
            if type(kind) is not str or not _SERVER_TOOL.fullmatch(kind):
                raise BadRequestError(
                    f"{where}: Input tag '{kind}' found using 'type' does not match any of the expected tags"
                )
        else:
            _check_custom_tool(tool, f"{where}.custom")
        if tool.get("name") in names:
            raise BadRequestError("tools: Tool names must be unique.")
        names.add(str(tool.get("name")))


def _check_custom_tool(tool: Mapping[str, Any], where: str) -> None:
    for name in tool:
        if name not in _TOOL_FIELDS:
            raise BadRequestError(f"{where}.{name}: Extra inputs are not permitted")
    if type(tool.get("name")) is not str or not _NAME.fullmatch(tool["name"]):
        raise BadRequestError(f"{where}.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'")
    if type(tool.get("description", "")) is not str:
        raise BadRequestError(f"{where}.description: Input should be a valid string")
    schema = tool.get("input_schema")
    if type(schema) is not dict:
        raise BadRequestError(f"{where}.input_schema: Field required")
    if "type" not in schema:  # envoyproxy/ai-gateway#2358
        raise BadRequestError(f"{where}.input_schema.type: Field required")
    if schema["type"] != "object":
        raise BadRequestError(f"{where}.input_schema.type: Input should be 'object'")
    if schema.keys() & {"oneOf", "anyOf", "allOf"}:  # anomalyco/opencode#35516
        raise BadRequestError(
            f"{where}.input_schema: input_schema does not support oneOf, allOf, or anyOf at the top level"
        )
    for name in schema.get("properties") or ():
        if not _PROPERTY.fullmatch(name):
            raise BadRequestError(
                f"{where}.input_schema.properties: Property keys should match pattern '^[a-zA-Z0-9_.-]{{1,64}}$'"
            )


def _check_tool_choice(body: Mapping[str, Any]) -> None:
    choice = body.get("tool_choice")
    if choice is None:
        return
    if not body.get("tools"):
        raise BadRequestError("tool_choice may only be specified while providing tools.")
    kind = choice.get("type") if type(choice) is dict else None
    if kind not in ("auto", "any", "tool", "none"):
        raise BadRequestError(
            "tool_choice: Input tag does not match any of the expected tags: 'auto', 'any', 'tool', 'none'"
        )
    known = (
        {"type"}
        | ({"disable_parallel_tool_use"} if kind != "none" else set())
        | ({"name"} if kind == "tool" else set())
    )
    for name in choice.keys() - known:
        raise BadRequestError(f"tool_choice.{kind}.{name}: Extra inputs are not permitted")
    if kind == "tool" and choice.get("name") not in {tool.get("name") for tool in body["tools"]}:
        raise BadRequestError(f"Tool '{choice.get('name')}' not found in provided tools")


def _check_output(body: Mapping[str, Any], version: tuple[int, int] | None) -> None:
    config = body.get("output_config", {})
    for name in config.keys() - {"effort", "format"}:
        raise BadRequestError(f"output_config.{name}: Extra inputs are not permitted")
    effort = config.get("effort", "high")
    if effort not in ("low", "medium", "high", "xhigh", "max"):
        raise BadRequestError("output_config.effort: Input should be 'low', 'medium', 'high', 'xhigh' or 'max'")
    if "effort" in config and version is not None and version < (4, 5):
        raise BadRequestError("This model does not support the effort parameter.")
    if effort == "xhigh" and version is not None and version < (4, 7):
        raise BadRequestError("This model does not support effort level 'xhigh'.")
    form = config.get("format")
    if form is None:
        return
    if form.keys() != {"type", "schema"} or form["type"] != "json_schema":  # maximhq/bifrost#881
        raise BadRequestError("output_config.format: Input should be a json_schema with its schema alone")
    _check_answer_schema(form["schema"])


def _check_answer_schema(schema: Any) -> None:
    """https://platform.claude.com/docs/en/build-with-claude/structured-outputs, "JSON Schema limitations"."""
    if type(schema) is not dict:
        raise BadRequestError("output_config.format.schema: Input should be a valid dictionary")
    for word in schema:
        if word not in _SCHEMA_WORDS:
            raise BadRequestError(
                f"output_config.format.schema: For '{schema.get('type')}' type, property '{word}' is not supported"
            )
    if schema.get("type") == "object" and schema.get("additionalProperties") is not False:
        raise BadRequestError(
            "output_config.format.schema: For 'object' type, 'additionalProperties' must be explicitly set to false"
        )
    if schema.get("minItems", 0) not in (0, 1):
        raise BadRequestError(
            "output_config.format.schema: For 'array' type, 'minItems' values other than 0 or 1 are not supported"
        )
    for inner in _inner_schemas(schema):
        _check_answer_schema(inner)


def _inner_schemas(schema: Mapping[str, Any]) -> Iterator[Any]:
    for name in ("properties", "$defs", "definitions"):
        yield from (schema.get(name) or {}).values()
    for name in ("anyOf", "allOf"):
        yield from schema.get(name) or ()
    if "items" in schema:
        yield schema["items"]


def _check_marks(body: Mapping[str, Any]) -> None:
    """At most four, and each of the one type that there is: envoyproxy/ai-gateway#1712."""
    marks = list(_marks(body))
    for mark in marks:
        if type(mark) is not dict or mark.get("type") != "ephemeral" or mark.get("ttl", "5m") not in ("5m", "1h"):
            raise BadRequestError("cache_control: Input tag does not match any of the expected tags: 'ephemeral'")
    if len(marks) > 4:
        raise BadRequestError(f"A maximum of 4 blocks with cache_control may be provided. Found {len(marks)}.")


def _marks(node: Any) -> Iterator[Any]:
    """Wherever they stand but in what is the caller's data: inputs of tools, and schemas."""
    if type(node) is list:
        for each in node:
            yield from _marks(each)
    elif type(node) is dict:
        if node.get("cache_control") is not None:
            yield node["cache_control"]
        for name in ("tools", "system", "messages", "content"):
            yield from _marks(node.get(name))
