"""The open connections of a front: how many, and for how long one may say nothing.

aiohttp bounds the size of a request's head and the pipelined requests behind one, but not the time in which a head arrives
(xorbitsai/inference#5213 tells how a byte a second holds a connection), nor the number of connections. So each connection is
guarded: bytes pass through, a clock runs while a head is awaited. Public interfaces of asyncio and aiohttp alone.
"""

from __future__ import annotations

import asyncio
import resource
from dataclasses import dataclass
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from schemas.json_nodes import too_many_nodes
from streams.front.problem_response import api_of, refusal
from streams.front.problems import Problem, invalid
from streams.metrics import definitions as metrics

_OTHER_FILES: Final = 100
"""File descriptors of this process that are no client's: connections to brokers, the log, the other port."""

_TOLD: Final = frozenset({401, 403, 408, 429})
"""Statuses that are counted by themselves, others by their hundred."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What clients may take. Times in seconds."""

    connections: int
    head_s: float
    body_s: float
    idle_s: float


def most_connections(wanted: int) -> int:
    """So many as are wanted, or as this process may open. Its soft limit of open files is raised as far as that takes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + _OTHER_FILES
    if needed > soft != resource.RLIM_INFINITY:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return max(1, min(needed, soft if soft != resource.RLIM_INFINITY else needed) - _OTHER_FILES)


def receiving(body_s: float, most_nodes: int) -> Middleware:
    """Reads the body before the handler runs, within `body_s`; what cannot be read is refused, and what would become more than
    `most_nodes` arrays, objects and keys.
    """

    @web.middleware
    async def receive(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            async with asyncio.timeout(body_s):
                body = await request.read()
        except TimeoutError:
            problem = Problem(408, "invalid_request_error", "body_timeout", f"the body took longer than {body_s:g} s")
        except web.HTTPRequestEntityTooLarge as error:
            problem = invalid(f"the body is larger than a request may be: {error.text}", code="too_large", status=413)
        except (web.RequestPayloadError, ValueError):
            problem = invalid("the body is not what its headers say")
        else:
            if not too_many_nodes(body, most_nodes):
                return await handler(request)
            problem = invalid(
                f"the body has more than {most_nodes} arrays, objects and keys", code="too_large", status=413
            )
        response = refusal(problem, request.path)
        response.force_close()
        return response

    return receive


class Guards:
    """The open connections."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self._open: dict[Guard, None] = {}
        """In the order in which they were last idle."""

    def __len__(self) -> int:
        return len(self._open)

    def guard(self, inner: asyncio.Protocol) -> Guard:
        """A guard for a connection that is about to be made."""
        return Guard(inner, self)

    def middleware(self) -> Middleware:
        """Tells the guard when a head has arrived and when its request is answered, and counts responses. The outermost one."""

        @web.middleware
        async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
            guard = None if request.transport is None else request.transport.get_protocol()
            if not isinstance(guard, Guard):
                return await handler(request)
            guard.begin()
            response: web.StreamResponse | None = None
            try:
                response = await handler(request)
                return response
            except web.HTTPException as error:
                response = error
                raise
            finally:
                guard.end()
                if response is not None:
                    metrics.FRONT_HTTP.labels(api_of(request.path), _status(response.status)).inc()

        return guarded

    def add(self, guard: Guard) -> bool:
        """Take a new connection, in the place of one that has nothing under way where there are too many; False if all work."""
        if len(self._open) >= self.bounds.connections:
            victim = next((each for each in self._open if each.is_idle), None)
            metrics.FRONT_CLOSED.labels("full").inc()
            if victim is None:
                return False
            victim.abort()
        self._open[guard] = None
        return True

    def idle(self, guard: Guard) -> None:
        """It has nothing under way from now on."""
        if guard in self._open:
            del self._open[guard]
            self._open[guard] = None

    def drop(self, guard: Guard) -> None:
        """It is closed."""
        self._open.pop(guard, None)

    def close_idle(self) -> None:
        """Close what has nothing under way."""
        for guard in [each for each in self._open if each.is_idle]:
            guard.abort()


class Guard(asyncio.Protocol):
    """One connection: all passes through to aiohttp's protocol; a timer runs while a head is awaited.

    idle      -> head      its first byte came: `head_s` from then on, however it trickles. A new connection begins here
    head      -> working   a request reached the application
    working   -> idle      it was answered: `idle_s`
    """

    def __init__(self, inner: asyncio.Protocol, guards: Guards) -> None:
        self._inner = inner
        self._guards = guards
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._working = 0
        self._in_head = False

    @property
    def is_idle(self) -> bool:
        return not self._working

    def begin(self) -> None:
        """A head has arrived."""
        self._working += 1
        self._in_head = False
        self._set_timer(None)

    def end(self) -> None:
        """Its request is answered."""
        self._working -= 1
        if not self._working and self._transport is not None:
            self._set_timer(self._guards.bounds.idle_s, "idle")
            self._guards.idle(self)

    def abort(self) -> None:
        """Close at once."""
        self._set_timer(None)
        self._guards.drop(self)
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._inner.connection_made(transport)
        if not self._guards.add(self):
            transport.abort()
            return
        self._in_head = True
        self._set_timer(self._guards.bounds.head_s, "late_head")

    def data_received(self, data: bytes) -> None:
        if not self._working and not self._in_head:
            self._in_head = True
            self._set_timer(self._guards.bounds.head_s, "late_head")
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._set_timer(None)
        self._transport = None
        self._guards.drop(self)
        self._inner.connection_lost(exc)

    def _set_timer(self, after_s: float | None, why: str = "") -> None:
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer = None if after_s is None else loop.call_later(after_s, self._too_late, why)

    def _too_late(self, why: str) -> None:
        metrics.FRONT_CLOSED.labels(why).inc()
        self.abort()


def _status(status: int) -> str:
    return str(status) if status in _TOLD else f"{status // 100}xx"
