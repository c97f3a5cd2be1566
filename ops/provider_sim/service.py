"""What the simulator does with each request, whatever HTTP server it came through."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import orjson

from ops.provider_sim import answers, anthropic, continuing, events, reply, responses
from ops.provider_sim.anthropic_strict import check_strictly
from ops.provider_sim.background import Background
from ops.provider_sim.background_calls import BackgroundCalls
from ops.provider_sim.behaviour import Plan, outage, plan_call
from ops.provider_sim.book import Book
from ops.provider_sim.ledger import Ledger
from ops.provider_sim.limits import Limits, Verdict, openai_headers
from ops.provider_sim.reply import JSON, Reply
from ops.provider_sim.settings import LIMIT_KEYS, Hint, SimSettings

_STATUS_CLIENT_GONE: Final = 499
_STREAM: Final = {"content-type": events.STREAM_TYPE, "cache-control": "no-cache"}


@dataclass(frozen=True, slots=True)
class Prepared:
    """A call that was understood."""

    request_id: str | None
    model: str
    operation: str
    hint: Hint
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    most_tokens: int
    """Prompt and all that the answer may have."""
    answer: Callable[[], dict[str, Any]]
    events: Callable[[], Iterable[bytes]] | None
    """Set where a stream is asked for."""
    error: Callable[[int, str], dict[str, Any]]
    limit_headers: Callable[[SimSettings, Verdict], dict[str, str]]
    in_background: Callable[[Plan], Background] | None = None
    """Set where it is to go on without a reader."""
    reasoning_tokens: int = 0
    """Of the completion's, those that are said to be thought."""
    continues: bool = False
    """Whether it goes on behind a partial answer."""


class Service:
    """Counts, decides and answers."""

    def __init__(self, settings: SimSettings, ledger: Ledger) -> None:
        self._at_start = self.settings = settings
        self._rng = random.Random(settings.seed)
        self._limits = Limits(settings)
        self.ledger = ledger
        self.book = Book()
        self._background = BackgroundCalls()
        self.on_change: Callable[[], Awaitable[None]] | None = None
        """Told when the settings have changed: a server that is to refuse connections has to act."""
        self._calls = {
            "/v1/chat/completions": self._prepare_chat,
            "/v1/embeddings": self._prepare_embeddings,
            "/v1/messages": self._prepare_messages,
            "/v1/responses": self._prepare_response,
        }

    async def handle(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
        to: Reply,
        query: Mapping[str, str] | None = None,
    ) -> None:
        """One request of the API. Names of headers are lower case."""
        prepare = self._calls.get(path)
        if method == "POST" and prepare is not None:
            await self._call(path, prepare, headers, body, to)
        elif method == "GET" and path in ("/v1/models", "/healthz"):
            await self._check(path, to)
        elif self.settings.outage == "none" and await self._background.handle(method, path, query or {}, to):
            self.ledger.counts.attached += 1
        else:
            await to.send(404, JSON, orjson.dumps(answers.error_answer(404, f"there is no {method} {path}")))

    async def _check(self, path: str, to: Reply) -> None:
        settings = self.settings
        self.ledger.counts.checks += 1
        found = answers.models_answer() if path == "/v1/models" else {"status": "ok"}
        if settings.outage == "none":
            return await to.send(200, JSON, orjson.dumps(found))
        if settings.outage == "hang":
            return await reply.hang()
        outcome, status = outage(settings.outage, settings.error_status)
        if outcome == "error":
            found = answers.error_answer(status, "simulated outage")
        drip_s = settings.drip_interval_ms / 1000
        return await reply.whole(to, Plan(0, 0, outcome, status, 0), JSON, orjson.dumps(found), drip_s)

    async def _call(
        self,
        path: str,
        prepare: Callable[[Mapping[str, str], dict[str, Any], Hint], Prepared],
        headers: Mapping[str, str],
        raw: bytes,
        to: Reply,
    ) -> None:
        settings = self.settings
        squeezed = headers.get("content-encoding") == "gzip"
        if squeezed and not settings.accept_gzip:
            return await self._refuse(to, path, 415, "compressed requests are not accepted")
        try:
            body, hint = answers.parse_body(reply.unpacked(raw) if squeezed else raw)
            prepared = prepare(headers, body, hint)
        except (answers.BadRequestError, ValueError) as error:
            return await self._refuse(to, path, 400, str(error))
        plan = plan_call(
            settings,
            hint,
            completion_tokens=prepared.completion_tokens,
            earlier_calls=self.ledger.earlier_calls(prepared.request_id),
            rng=self._rng,
        )
        call = self.ledger.arrive(prepared.request_id, prepared.operation, compressed=squeezed)
        said = {}
        if plan.status < 300:  # what fails by itself is charged nothing
            used = prepared.prompt_tokens + prepared.completion_tokens
            charge = used if settings.limit_charge == "used" else prepared.most_tokens
            charge -= 0 if settings.limit_cached else prepared.cached_tokens
            verdict = self._limits.admit(prepared.model, charge, time.monotonic())
            if verdict is not None:
                said = prepared.limit_headers(settings, verdict)
                if not verdict.admitted:
                    plan = Plan(0, 0, "over_limit", 429, verdict.retry_after_s)
        counts = self.book.of(prepared.request_id)
        paid = prepared.operation != "embeddings" and plan.status < 300 and prepared.in_background is None
        if plan.status < 300 and plan.outcome != "hang":
            counts.begun += not prepared.continues
            counts.continued += prepared.continues
        began = time.monotonic()
        try:
            squeeze = settings.gzip_answers and "gzip" in headers.get("accept-encoding", "")
            await self._answer(to, plan, prepared, said, squeeze)
        except (asyncio.CancelledError, ConnectionError):
            if paid:
                made = _made(plan, prepared.completion_tokens, time.monotonic() - began)
                counts.pay(prepared.prompt_tokens, prepared.cached_tokens, made, prepared.reasoning_tokens)
            gone = plan.outcome if plan.outcome in ("hang", "stall", "slow_drip") else "abandoned"
            self.ledger.end(call, gone, _STATUS_CLIENT_GONE)
            raise
        if paid:
            made = prepared.completion_tokens
            counts.pay(prepared.prompt_tokens, prepared.cached_tokens, made, prepared.reasoning_tokens)
        self.ledger.end(call, plan.outcome, plan.status)
        return None

    async def _answer(self, to: Reply, plan: Plan, prepared: Prepared, said: dict[str, str], squeeze: bool) -> None:
        if plan.outcome == "hang":
            await asyncio.sleep(plan.delay_s)
            await reply.hang()
        drip_s = self.settings.drip_interval_ms / 1000
        if plan.status >= 300:
            await asyncio.sleep(plan.first_s)
            headers = JSON | said
            if plan.outcome == "rate_limited":
                headers["retry-after"] = f"{plan.retry_after_s:g}"
            error = prepared.error(plan.status, f"simulated {plan.status}: {plan.outcome}")
            return await to.send(plan.status, headers, orjson.dumps(error))
        if prepared.in_background is not None:
            stream = prepared.events is not None
            return await self._background.begin(to, plan, prepared.in_background(plan), stream=stream)
        if prepared.events is not None:
            await asyncio.sleep(plan.first_s)
            return await reply.streamed(to, plan, _STREAM | said, prepared.events(), drip_s)
        await asyncio.sleep(plan.delay_s)
        body, headers = orjson.dumps(prepared.answer()), JSON | said
        if squeeze:
            body, headers = reply.packed(body), headers | {"content-encoding": "gzip"}
        return await reply.whole(to, plan, headers, body, drip_s)

    async def _refuse(self, to: Reply, path: str, status: int, why: str) -> None:
        refused = self.ledger.arrive(None, "unknown")
        self.ledger.end(refused, "bad_request", status)
        error = anthropic.error_answer if path == "/v1/messages" else answers.error_answer
        await to.send(status, JSON, orjson.dumps(error(status, why)))

    def _prepare_chat(self, headers: Mapping[str, str], body: dict[str, Any], hint: Hint) -> Prepared:
        least = self.settings.answer_bytes if hint.answer_bytes is None else hint.answer_bytes
        partial, text = continuing.partial_of(body), None
        if partial is not None and not self.settings.continues:
            body, partial = continuing.without_partial(body), None
        if partial is None:
            tokens = self._with_cached(answers.chat_tokens(body, hint), 0.0)
            tokens = replace(tokens, reasoning=int(tokens.completion * self.settings.reasoning_share))
        else:
            tokens, text = continuing.continued(body, hint, partial, least)
        made = answers.chat_answer(body, tokens, least, text)
        stream_options = body.get("stream_options")
        wants_usage = isinstance(stream_options, dict) and bool(stream_options.get("include_usage"))
        limit = body.get("max_completion_tokens", body.get("max_tokens"))
        user = body.get("user")
        return Prepared(
            hint.id if hint.id is not None else user if isinstance(user, str) else None,
            body["model"],
            "chat.completions",
            hint,
            tokens.prompt,
            tokens.cached,
            tokens.completion,
            tokens.prompt + (tokens.completion if limit is None else limit),
            lambda: made,
            (lambda: events.openai_events(made, include_usage=wants_usage)) if body.get("stream") else None,
            answers.error_answer,
            openai_headers,
            reasoning_tokens=tokens.reasoning,
            continues=partial is not None,
        )

    def _prepare_response(self, headers: Mapping[str, str], body: dict[str, Any], hint: Hint) -> Prepared:
        chat = responses.as_chat(body)
        tokens = self._with_cached(answers.chat_tokens(chat, hint), 0.0)
        least = self.settings.answer_bytes if hint.answer_bytes is None else hint.answer_bytes
        background = body.get("background") is True and self.settings.background
        if body.get("background") is True and body.get("store") is False:
            raise answers.BadRequestError("Background mode requires store=true.")
        made = responses.response_of(
            answers.chat_answer(chat, tokens, least), f"resp_{secrets.token_hex(12)}", background=background
        )
        told = list(responses.response_events(made, tokens.completion))
        user = body.get("user")
        request_id = hint.id if hint.id is not None else user if isinstance(user, str) else None

        def in_background(plan: Plan) -> Background:
            return Background(made, told, plan.first_s, plan.rest_s, time.monotonic(), self.book.of(request_id))

        return Prepared(
            request_id,
            body["model"],
            "responses",
            hint,
            tokens.prompt,
            tokens.cached,
            tokens.completion,
            tokens.prompt + int(body.get("max_output_tokens") or tokens.completion),
            lambda: made,
            (lambda: (event for _, event in told)) if body.get("stream") else None,
            answers.error_answer,
            openai_headers,
            in_background if background else None,
        )

    def _prepare_embeddings(self, headers: Mapping[str, str], body: dict[str, Any], hint: Hint) -> Prepared:
        made = answers.embeddings_answer(body, hint)
        prompt, user = made["usage"]["prompt_tokens"], body.get("user")
        request_id = hint.id if hint.id is not None else user if isinstance(user, str) else None
        error, limits = answers.error_answer, openai_headers
        return Prepared(
            request_id, body["model"], "embeddings", hint, prompt, 0, 0, prompt, lambda: made, None, error, limits
        )

    def _prepare_messages(self, headers: Mapping[str, str], body: dict[str, Any], hint: Hint) -> Prepared:
        tokens = self._with_cached(answers.chat_tokens(anthropic.as_chat(body), hint), anthropic.CACHED_SHARE)
        anthropic.check(headers, body)
        if self.settings.strict:
            check_strictly(headers, body)
        least = self.settings.answer_bytes if hint.answer_bytes is None else hint.answer_bytes
        made = anthropic.answer(body, tokens, least)
        return Prepared(
            anthropic.hinted_id(body, hint),
            body["model"],
            "messages",
            hint,
            tokens.prompt,
            tokens.cached,
            tokens.completion,
            tokens.prompt + int(body["max_tokens"]),
            lambda: made,
            (lambda: events.anthropic_events(made)) if body.get("stream") else None,
            anthropic.error_answer,
            anthropic.limit_headers,
        )

    def _with_cached(self, tokens: answers.ChatTokens, usual_share: float) -> answers.ChatTokens:
        share = self.settings.cached_share
        return replace(tokens, cached=int(tokens.prompt * (usual_share if share is None else share)))

    async def admin(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        """The run-time switches: status and answer of `/admin/...`."""
        match method, path:
            case "GET", "/admin/stats":
                used = {model: vars_of(counts) for model, counts in self._limits.used.items()}
                return 200, self.ledger.stats() | {"by_model": used}
            case "GET", "/admin/generations":
                return 200, self.book.stats(self._background.kept.paid())
            case "POST", "/admin/forget":  # what goes on in the background, as an upstream that has lost its store
                self._background.kept.forget_all()
                return 200, {}
            case "GET", "/admin/config":
                return 200, self.settings.model_dump()
            case "POST", "/admin/config":
                return await self._configure(body)
            case "POST", "/admin/reset":
                self._rng = random.Random(self._at_start.seed)
                self.ledger.reset()
                self.book, self._background = Book(), BackgroundCalls()
                self._limits = Limits(self._at_start)
                await self.set(self._at_start)
                return 200, self.settings.model_dump()
        return 404, answers.error_answer(404, f"there is no {method} {path}")

    async def _configure(self, body: bytes) -> tuple[int, dict[str, Any]]:
        """Change the named settings and leave the others."""
        try:
            named = orjson.loads(body)
            changed = SimSettings.model_validate(self.settings.model_dump() | named)
        except (ValueError, TypeError) as error:
            return 400, answers.error_answer(400, str(error))
        await self.set(changed)
        return 200, changed.model_dump()

    async def set(self, changed: SimSettings) -> None:
        """From now on these settings."""
        before, self.settings = self.settings, changed
        if changed.seed != before.seed:
            self._rng = random.Random(changed.seed)
        if any(getattr(changed, key) != getattr(before, key) for key in LIMIT_KEYS):
            self._limits = Limits(changed)
        if self.on_change is not None:
            await self.on_change()


def _made(plan: Plan, tokens: int, took_s: float) -> int:
    """Tokens of a stream that was made for so long: the first one comes at once, the others over the plan's time."""
    if took_s < plan.first_s or not plan.rest_s:
        return 0 if took_s < plan.first_s else tokens
    return min(tokens, 1 + int(tokens * (took_s - plan.first_s) / plan.rest_s))


def vars_of(counts: Any) -> dict[str, int]:
    return {name: getattr(counts, name) for name in ("requests", "tokens", "refused")}
