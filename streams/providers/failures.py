"""Whose fault a failure is: the one table from what an endpoint answered to what that means. Pure.

A failure answers two questions. May the same endpoint succeed later, and when? May another endpoint, provider or model succeed
now? docs/failures.md shows the table with the same rows. Sources of the codes: the vendors' pages on errors (OpenAI, Anthropic,
Azure OpenAI, Google Gemini, Mistral, Groq, DeepSeek, OpenRouter, Alibaba DashScope, Moonshot, Amazon Bedrock, vLLM, llama.cpp).
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from schemas.errors import clip
from streams.limits.retry_after import retry_after_s
from streams.providers.formats.error_bodies import Said
from streams.providers.formats.wire import Failure, Fault

_STATUSES: Final[dict[int, Fault]] = {
    401: "key",
    402: "credit",
    403: "key",
    404: "model",
    405: "model",  # a wrong address: nothing there takes this call
    406: "illness",
    407: "key",
    408: "illness",
    409: "illness",
    410: "model",
    413: "context",  # too large for this one
    414: "context",
    415: "illness",  # it does not take what we send everybody, such as compressed bodies
    421: "illness",
    423: "illness",
    424: "illness",
    425: "illness",
    426: "illness",
    429: "capacity",
    498: "capacity",  # Groq: flex capacity exceeded
    499: "illness",
    501: "model",
    529: "capacity",
}
"""Statuses that say something of their own. All others from 400 to 499 are the request's fault, the rest is illness."""

_CODES: Final[dict[str, Fault]] = {
    # the request's own content
    "content_filter": "request",
    "content_policy_violation": "request",
    "responsibleaipolicyviolation": "request",
    "data_inspection_failed": "request",
    "moderation": "request",
    # larger than this model takes
    "context_length_exceeded": "context",
    "context_window_exceeded": "context",
    "model_context_window_exceeded": "context",
    "exceed_context_size_error": "context",
    "string_above_max_length": "context",
    "request_too_large": "context",
    # nobody pays
    "insufficient_quota": "credit",
    "insufficient_balance": "credit",
    "insufficient_credits": "credit",
    "insufficient_user_quota": "credit",
    "billing_hard_limit_reached": "credit",
    "billing_not_active": "credit",
    "billing_error": "credit",
    "exceeded_current_quota_error": "credit",
    "arrearage": "credit",
    # the key
    "invalid_api_key": "key",
    "incorrect_api_key_provided": "key",
    "api_key_invalid": "key",
    "authentication_error": "key",
    "invalid_authentication_error": "key",
    "unauthenticated": "key",
    "account_deactivated": "key",
    "unrecognizedclientexception": "key",
    # not this model
    "model_not_found": "model",
    "model_not_available": "model",
    "model_not_supported": "model",
    "model_decommissioned": "model",
    "invalid_model": "model",
    "deploymentnotfound": "model",
    # no room now
    "rate_limit_exceeded": "capacity",
    "rate_limit_error": "capacity",
    "rate_limit_reached_error": "capacity",
    "too_many_requests": "capacity",
    "tokens_per_minute_exceeded": "capacity",
    "resource_exhausted": "capacity",
    "throttlingexception": "capacity",
    "overloaded_error": "capacity",
    "engine_overloaded_error": "capacity",
    "server_overloaded": "capacity",
    "slow_down": "capacity",
}
"""Codes that mean the same with every status."""

_BEGINS: Final[tuple[tuple[re.Pattern[str], Fault], ...]] = (
    (re.compile(r"your credit balance is too low|insufficient (balance|credits?|funds)", re.IGNORECASE), "credit"),
    (re.compile(r"api key (is )?(not valid|invalid|expired)|(invalid|incorrect) api key", re.IGNORECASE), "key"),
    (
        re.compile(
            r"(the )?model:? [`'\"]?\S{1,256}[`'\"]? (does not exist|(is|was)? ?not found|has been (decommissioned|deprecated))"
            r"|model: \S{1,256}$|\S{1,256} is not a valid model|(invalid|unknown|no such) model\b",
            re.IGNORECASE,
        ),
        "model",
    ),
)
"""How a message begins that says it in words only: Anthropic's empty credit is a 400, so is Gemini's wrong key. Only its
beginning counts: further on it may quote what a stranger wrote, who could so set an endpoint aside for everybody.
"""

_TOO_LONG: Final = re.compile(
    r"maximum context length|context (window|length|size|limit)|prompt is too long|input is too long"
    r"|input token count .{0,60}exceeds|exceeds? (the )?(model'?s )?max\w* (input |prompt )?(token|length|context)"
    r"|too many (input )?tokens|input length .{0,80}exceeds?",
    re.IGNORECASE,
)
"""Most servers of open models have no code for a prompt that is too long."""

_STATUS_OF_TYPE: Final[dict[str, int]] = {
    "invalid_request_error": 400,
    "api_error": 500,
    "server_error": 500,
    "internal_server_error": 500,
    "internal_error": 500,
    "timeout_error": 504,
    "permission_error": 403,
    "permission_denied": 403,
    "not_found_error": 404,
    "service_unavailable": 503,
}
"""What a type says where there is no status: in a stream, or inside a 200."""


def failure_of(status: int, said: Said, headers: Mapping[str, str]) -> Failure:
    """What an answer means whose HTTP status is not 2xx, or whose body or stream says `error`."""
    inside = 200 <= status < 300
    wait_s = retry_after_s(headers, time.time())
    wait_s = said.retry_after_s if wait_s is None else wait_s
    meant = _status(status, said)
    fault, certain = _fault(meant, said, waits=wait_s is not None)
    reason = said.message or "no reason given"
    return Failure(
        "provider_error",
        clip(f"the provider answered {f'{status} with an error' if inside else status}: {reason}"),
        fault=fault,
        retry_after_s=wait_s if fault in ("capacity", "illness") else None,
        charged=inside,
        certain=certain,
        status=meant,
        codes=said.codes,
    )


def _status(status: int, said: Said) -> int:
    """The status that counts: one that a gateway hands on in a body says more than its own 200 or 5xx."""
    if 400 <= status < 500:
        return status
    if said.status is not None:
        return said.status
    if status >= 300:
        return status
    return next((_STATUS_OF_TYPE[code] for code in said.codes if code in _STATUS_OF_TYPE), 500)


def _fault(status: int, said: Said, *, waits: bool) -> tuple[Fault, bool]:
    """The fault, and whether it is certain. A 403 may be a firewall that dislikes a prompt, a 404 a file that a request names:
    without a code or words they prove nothing of the endpoint.
    """
    for code in said.codes:
        if code in _CODES:
            return _CODES[code], True
    if status in (400, 403, 404, 413, 422, 500):
        for words, fault in _BEGINS:
            if words.match(said.message):
                return fault, True
        if status != 404 and _TOO_LONG.search(said.message):
            return "context", True
    if status == 503 and waits:
        return "capacity", True
    fault = _STATUSES.get(status) or ("request" if 400 <= status < 500 else "illness")
    return fault, status in (401, 402)


@dataclass(frozen=True, slots=True)
class FaultRules:
    """What a provider's settings say of failures, in place of the table: statuses, codes, `timeout`, `unreachable`."""

    failover: frozenset[str] = frozenset()
    """Another endpoint may do better."""
    fatal: frozenset[str] = frozenset()
    """None will."""

    def apply(self, failure: Failure) -> Failure:
        names = {*failure.codes, str(failure.status), _NAMES.get(failure.type, "")}
        if self.fatal & names:
            return replace(failure, fault="request")
        if self.failover & names and not failure.retryable:
            return replace(failure, fault="illness")
        return failure


_NAMES: Final = {"provider_timeout": "timeout", "provider_unavailable": "unreachable"}
