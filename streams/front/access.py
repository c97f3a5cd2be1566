"""Who may ask a front: a middleware that finds the key of a request, and the check of what is about to be published.

The key stands in a context variable while its request is handled, and `admit` is called by `Front.publish`: whatever route makes
a request, none reaches the log that its key may not make. Credentials are in no log, metric, record or error: they are hashed
here and go no further.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Collection
from contextvars import ContextVar
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from schemas.front_key import FrontKey
from streams.front.ids import is_of
from streams.front.inbound import NOBODY, Inbound
from streams.front.keys.ring import Held, KeyRing
from streams.front.keys.rules import agent_of, may_class, may_model, unusable
from streams.front.problem_response import HTTP_ID, refusal
from streams.front.problems import Problem, ProblemError
from streams.hosts import is_asked_for_by_name
from streams.patterns import matches

OPEN_PATHS: Final = frozenset({"/healthz", "/readyz"})
"""What load balancers ask for, without a key. They say nothing but ok or not."""

_NO_KEY: Final = "an API key is needed: Authorization: Bearer, or x-api-key"
_KEY_OF_REQUEST: ContextVar[Held | None] = ContextVar("key_of_request", default=None)


class Access:
    """Lets requests in.

    Args:
        ring: all keys.
        always: every request needs a key. Otherwise none does until the first key is there; from then on every one does, also if
            all keys are gone again: a front never becomes open by itself.
        hosts: names besides addresses and `localhost` by which a front without keys may be asked for.
        monotonic, now: clocks.
    """

    def __init__(
        self,
        ring: KeyRing,
        *,
        always: bool,
        hosts: Collection[str] = (),
        monotonic: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._ring = ring
        self._always = always
        self._hosts = hosts
        self._monotonic = monotonic
        self._now = now

    @property
    def needs_key(self) -> bool:
        """Whether a request needs a key now."""
        self._always = self._always or len(self._ring) > 0
        return self._always

    def middleware(self) -> Middleware:
        """For an application. It looks before the body is read."""

        @web.middleware
        async def access(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.path in OPEN_PATHS:
                return await handler(request)
            http_id = request[HTTP_ID] = f"req_{secrets.token_hex(12)}"
            try:
                held = self._let_in(request)
            except ProblemError as error:
                named = {"x-headrace-id": http_id, "x-request-id": http_id, "request-id": http_id}
                told = {**named, **error.headers}
                return refusal(error.problem, request.path, told, request_id=http_id)
            token = _KEY_OF_REQUEST.set(held)
            try:
                return await handler(request)
            finally:  # the next request of this connection runs in the same task
                _KEY_OF_REQUEST.reset(token)

        return access

    def _let_in(self, request: web.Request) -> Held | None:
        if not self.needs_key:
            self._insist_on_this_machine(request)
            return None
        credentials = _credentials(request)
        held = next((found for each in credentials if (found := self._ring.find(each)) is not None), None)
        if held is None:
            raise ProblemError(_refused("this API key is not known" if credentials else _NO_KEY))
        if (why := unusable(held.key, self._now())) is not None:
            raise ProblemError(_refused(f"this API key is {why}"))
        if request.method == "POST" and held.key.rate is not None:
            wait_s = held.rate.take(held.key.rate, self._monotonic())
            if wait_s is not None:
                raise ProblemError(_over(held.key, wait_s), limit_headers(held, self._monotonic()))
        return held

    def _insist_on_this_machine(self, request: web.Request) -> None:
        """Without keys a front serves programs of this machine, and no page that a browser on it shows."""
        host = request.headers.get("Host")  # `request.host` would ask DNS where there is none
        if host is not None and not is_asked_for_by_name(host, self._hosts):
            raise ProblemError(_forbidden("not by this Host: see http.hosts", "host_not_allowed"))
        origin = request.headers.get("Origin")
        if origin is not None and origin.partition("://")[2] != host:
            raise ProblemError(_forbidden("a front without keys serves no pages of other sites", "origin_not_allowed"))


def admit(inbound: Inbound) -> Inbound:
    """The request as its key allows it: with the agent that it runs as, and the key's tenant. Without a key it stays as it is.

    Raises ProblemError for an agent, a class or a model that the key may not name.
    """
    held = _KEY_OF_REQUEST.get()
    if held is None:
        return inbound
    key = held.key
    agent_id = agent_of(key, None if inbound.agent_id == NOBODY else inbound.agent_id)
    if agent_id is None:
        raise ProblemError(_forbidden("this API key may not name this agent", "agent_not_allowed"))
    if not may_class(key, inbound.priority):
        raise ProblemError(_forbidden(f"this API key may not use class {inbound.priority}", "class_not_allowed"))
    if not may_model(key, inbound.model):
        raise ProblemError(_forbidden("this API key may not use this model", "model_not_allowed", param="model"))
    fields = {**inbound.fields, "agent_id": agent_id}
    return replace(inbound, agent_id=agent_id, fields=fields, tenant=key.tenant or "")


def limits_of_caller() -> dict[str, str]:
    """What the key of the request under way may still ask, as headers; empty without a key that has a rate."""
    held = _KEY_OF_REQUEST.get()
    return {} if held is None else limit_headers(held, time.monotonic())


def limit_headers(held: Held, now: float) -> dict[str, str]:
    """The names of both APIs: requests a minute of this key at this front, how many are left, and when all of them are again.
    https://platform.openai.com/docs/guides/rate-limits, https://docs.claude.com/en/api/rate-limits
    """
    rate = held.key.rate
    if rate is None:
        return {}
    left, reset_s = held.rate.left(rate, now)
    reset_at = datetime.now(UTC) + timedelta(seconds=reset_s)
    return {
        "x-ratelimit-limit-requests": str(rate),
        "x-ratelimit-remaining-requests": str(left),
        "x-ratelimit-reset-requests": f"{reset_s:.3f}s",
        "anthropic-ratelimit-requests-limit": str(rate),
        "anthropic-ratelimit-requests-remaining": str(left),
        "anthropic-ratelimit-requests-reset": reset_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def caller() -> str | None:
    """Who asks, by the key of the request under way; None without one. Keys of one name and tenant are one caller's."""
    held = _KEY_OF_REQUEST.get()
    return None if held is None else _caller_of(held.key)


def _caller_of(key: FrontKey) -> str:
    """No "/" is in the name of a key or a tenant."""
    return f"{key.tenant}/{key.name}" if key.tenant else key.name


def may_see(request_id: str, agent_id: str | None) -> bool:
    """Whether the request of that id is one that the key of the request under way has sent, or one of an agent of its pattern.
    `agent_id`: of that request, None where nobody knows. Without a key everything is seen.
    """
    held = _KEY_OF_REQUEST.get()
    if held is None or is_of(request_id, _caller_of(held.key)):
        return True
    if held.key.tenant is not None:  # an agent of this name may be another tenant's
        return False
    pattern = held.key.agents
    return agent_id is not None and pattern is not None and matches(pattern, agent_id)


def sees_agents() -> bool:
    """Whether the key of the request under way has a pattern of agents, whose requests it sees whoever sent them."""
    held = _KEY_OF_REQUEST.get()
    return held is not None and held.key.agents is not None and held.key.tenant is None


def models_for_caller(models: Collection[str]) -> list[str]:
    """Those of the models that the key of the request under way may name."""
    held = _KEY_OF_REQUEST.get()
    return [name for name in models if held is None or may_model(held.key, name)]


def _credentials(request: web.Request) -> list[str]:
    """What may be keys, by where SDKs put them: OpenAI's, then Anthropic's. Some send both."""
    scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
    found = [bearer.strip()] if scheme.lower() == "bearer" else []
    return [*found, *filter(None, [request.headers.get("x-api-key", "").strip()])]


def _refused(message: str) -> Problem:
    return Problem(401, "authentication_error", "invalid_api_key", message)


def _forbidden(message: str, code: str, param: str | None = None) -> Problem:
    return Problem(403, "permission_error", code, message, param)


def _over(key: FrontKey, wait_s: float) -> Problem:
    message = f"over the {key.rate} requests a minute of this API key"
    return Problem(429, "rate_limit_error", "rate_limit_exceeded", message, retryable=True, retry_after_s=wait_s)
