"""Every seam between the stages: what passes, and the little that one stage knows of the next.

A request goes intake -> cache -> flow -> providers -> cache -> delivery; a hit goes from the cache to delivery at once. Stages
hand over lists and return at once. The stage that ends a request hands it to its `Responder`, in the end delivery, which finishes
the record once the broker has the answer. No stage imports another: `streams/worker.py` puts them together.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

from schemas.dead_letter import DeadLetterReason
from schemas.errors import clip
from schemas.request import Request
from schemas.response import NO_USAGE, CacheResult, ErrorType, Status, Usage, WireError
from streams.kafka.records import Origin, Original, Record
from streams.kept import Kept, Upstream
from streams.limits.route import Route
from streams.limits.token_estimate import NO_ESTIMATE, Estimate
from streams.money.spent import NOTHING, Spent
from streams.trace.marks import CallMarks, Marks
from topics.names import Priority

NOWHERE: Final = Route("", "")
"""The route of a request that does not wait for dispatch yet."""


class Source(Protocol):
    """Where a record came from: finished by its index when its answer is safe."""

    @property
    def live(self) -> bool:
        """Whether this worker still owns the record, so that work on it is not in vain."""

    def finish(self, start: int, stop: int | None = None) -> None: ...

    def stuck(self, is_stuck: bool) -> None:
        """An answer to one of its records cannot be delivered now, or can again."""


Owner = str | tuple[str, str]
"""An agent: its id, or its tenant and its id."""


@dataclass(slots=True, eq=False)
class PendingRequest:
    """A valid request between intake and delivery. Times are Unix seconds, by the broker's timestamps."""

    request: Request
    request_id: str
    agent_id: str
    priority: Priority
    source: Source
    index: int
    event_id: bytes
    """`topic:partition:offset` of its record: the same for every answer to it."""
    received_at: float
    """The record's timestamp."""
    dispatch_by: float
    """When waiting for dispatch ends: the class's bound, or the request's own limit."""
    expires_at: float | None
    """The request's own total limit; a call under way is cancelled at that moment."""
    reply_topic: str
    reply_partition: int | None = None
    """The partition of the reply topic that its sender reads; None, or one that is not there: by the agent's id."""
    traceparent: bytes | None = None
    size: int = 0
    """Bytes of its record's value."""
    original: Original | None = None
    """Its record as it came; kept only where a provider wants dead letters, as it doubles what a waiting request holds,
    or where the answer goes to a topic of the caller's own, which may take none."""
    streams: bool = False
    """Whether its sender wants the answer in deltas too, as it comes."""
    dispatched_at: float | None = None
    """When the first provider call was made ready; None before."""
    digest: bytes = b""
    """The same for every request of the same operation and payload. Empty until somebody needs it."""
    identity: bytes = b""
    """The same for every record of this request: agent, request_id and payload. Empty until somebody needs it."""
    read_key: bytes | None = None
    """Where an answer of somebody else's identical request may be found; None: it wants one of its own."""
    store_key: bytes | None = None
    """Where its answer is kept for others; None: it is not."""
    route: Route = NOWHERE
    """Which requests it waits with, for the same things: provider and model group. Known once it waits for dispatch."""
    estimate: Estimate = NO_ESTIMATE
    """What its call may use. Known with the route."""
    payer: str = ""
    """Who pays, where a budget asks: requests of different payers never share a call. Known with the route."""
    decode_s: float = 0.0
    """Time that decoding it took, where that was worth counting: its agent is charged with it."""
    tenant: str = ""
    """Whose it is, by the topic of its record; "" where it came from a common one."""
    key: str = ""
    """The front's key that it came with, as the front has proved; "" without one."""
    read_at: float = 0.0
    """When the worker had its record."""
    marks: Marks | None = None
    """For its trace. None while the cache may have its answer: a hit has none."""
    tracestate: bytes | None = None
    """That of its `traceparent`."""

    @property
    def owner(self) -> Owner:
        """Its agent, told from agents of the same name that other tenants have."""
        return (self.tenant, self.agent_id) if self.tenant else self.agent_id


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a request ended. `payload` is the provider's answer, JSON as it came."""

    status: Status
    payload: bytes | None = None
    error: WireError | None = None
    usage: Usage = NO_USAGE
    cache: CacheResult = "none"
    provider: str | None = None
    model: str | None = None
    """The model that was called last, as its provider calls it."""
    attempts: int = 0
    provider_s: float = field(default=0.0, compare=False)
    """Time spent in provider calls."""
    spent: Spent = NOTHING
    """What its provider calls cost, those that failed and were paid among them."""
    dead_letter: bool = False
    """Whether the record becomes a dead letter besides: what may pass did not, in all its attempts."""
    shareable: bool = True
    """Whether the answer may be kept for others who ask the same: not where it was cut off, or another model stood in."""
    call: CallMarks | None = field(default=None, compare=False)
    """For the trace of its request: the attempts, and what was waited for between them."""
    of: PendingRequest | None = field(default=None, compare=False)
    """The request whose call this was, where it joined one."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """Why a record is no request. `agent_id` None: there is nobody to answer."""

    reason: DeadLetterReason
    error_type: ErrorType
    message: str
    request_id: str
    agent_id: str | None = None
    conversation_id: str | None = None
    reply_topic: str | None = None
    """Where the answer is wanted, if its headers say; delivery decides whether it may go there."""
    reply_partition: int | None = None


def error_outcome(kind: ErrorType, message: str, *, retryable: bool = False, status: Status = "error") -> Outcome:
    """An outcome that no provider had a part in. A message that quotes a stranger's text is cut to what the wire allows."""
    return Outcome(status, error=WireError(kind, clip(message), retryable))


def expired(
    where: str,
    *,
    attempts: int = 0,
    provider: str | None = None,
    provider_s: float = 0.0,
    spent: Spent = NOTHING,
    call: CallMarks | None = None,
) -> Outcome:
    """Out of time; `where` says in words what the request was waiting for."""
    error = WireError("deadline", f"the time limit passed {where}", retryable=True)
    return Outcome(
        "expired", error=error, attempts=attempts, provider=provider, provider_s=provider_s, spent=spent, call=call
    )


def cancelled(why: str | None) -> Outcome:
    """Somebody has ended the request; `why` is their word. Not retryable: whoever asks again would undo it."""
    return error_outcome("cancelled", f"the request was cancelled: {why}" if why else "the request was cancelled")


def is_cancelled(outcome: Outcome) -> bool:
    """Whether somebody has ended the request: that says nothing about others that ask the same."""
    return outcome.error is not None and outcome.error.type == "cancelled"


EndedAs = Literal["unread", "waiting", "joined", "call", "shared"]
"""Where a request was when it was cancelled: not in the worker yet; in a queue; among those who wait for somebody else's call;
in a call of its own, which was closed; in a call that goes on for others."""


class Stage(Protocol):
    """A step that takes requests over."""

    def accept(self, requests: Sequence[PendingRequest]) -> None:
        """Take the requests over. Returns at once; each ends in `Responder`, once."""


class Responder(Protocol):
    """The end of the pipeline, as the stages before it see it. Every request ends in one call of one of these."""

    def respond(self, request: PendingRequest, outcome: Outcome) -> None:
        """Write the response; the record is finished when the broker has acked it."""

    def abandon(self, request: PendingRequest) -> None:
        """Drop the request: its record belongs to another worker now, which answers it."""


class KeptAnswer(Protocol):
    """A provider's answer that the cache holds."""

    @property
    def payload(self) -> bytes: ...
    @property
    def provider(self) -> str: ...
    @property
    def model(self) -> str | None: ...
    def outcome(self, found_in: CacheResult) -> Outcome: ...


Hit = tuple[PendingRequest, KeptAnswer]


class HitResponder(Responder, Protocol):
    """The end of the pipeline, as the cache sees it."""

    def respond_hits(self, hits: Sequence[Hit], found_in: CacheResult) -> None:
        """As `respond` of each, with `outcome(found_in)`; but what a list of hits shares is made once."""


class Ends(Protocol):
    """Whom ends of requests are told to, for spans (streams/otel)."""

    def ended(self, request: PendingRequest, outcome: Outcome, now: float) -> bytes | None:
        """A request ends now, in Unix seconds. The `traceparent` of its answer, where it is told; None where it is not. Raises
        nothing.
        """

    def hit(self, request: PendingRequest, answer: KeptAnswer, found_in: CacheResult, now: float) -> bytes | None:
        """As `ended`, of a hit in the cache."""

    def refused(self, record: Record, origin: Origin, refused: Rejected, now: float) -> bytes | None:
        """As `ended`, of a record that is no request."""


Scope = Literal["route", "class", "agent", "model"]

Lack = Literal[
    "agent_connections",
    "provider_limit",
    "provider_pause",
    "provider_connections",
    "endpoint_slots",
    "endpoints_down",
    "bandwidth",
    "body_memory",
    "unknown",
]
"""What there was not enough of for a call: see docs/waiting.md."""


@dataclass(frozen=True, slots=True)
class Busy:
    """No call now, and whom that holds up.

    `scope` is `route`: every request of the route; `class`: only those of the request's class and of lower ones (what is
    left is kept for high); `agent`: only those of the request's agent on this route, until one of that agent's calls ends;
    `model`: only those of the request's model on this route, which wait apart from then on.

    `retry_in_s` is when another try may be worth it, in seconds (tokens refill); None: the next time `on_room` notifies.
    """

    scope: Scope
    retry_in_s: float | None = None
    lack: Lack = field(default="unknown", compare=False)
    """Why, for people who ask (streams/waits.py)."""
    of: str = field(default="", compare=False)
    """Of what, where `lack` does not say it alone: `tokens` of a limit."""


Doing = Literal["attempt", "backoff", "room", "budget"]
"""An attempt is under way; a pause before the next one; a wait for room for it, or for its money."""


@dataclass(frozen=True, slots=True)
class Attending:
    """What a call does now."""

    doing: Doing
    provider: str
    model: str
    endpoint: str
    """URL of the endpoint that was called last, or is called."""
    attempts: int


class Deltas(Protocol):
    """Where the pieces of one answer go on their way. Never in the way of the answer: what cannot be written is left out."""

    async def kept(self) -> Kept | None:
        """What another worker has told of the answer; None where no other can have."""

    def begin(self, *, restart: bool, upstream: Upstream | None = None, held: bool = False) -> None:
        """Another attempt at the answer. `restart`: its reader may begin again where an earlier attempt has told something.
        `upstream`: where it is made, for who goes on with it. `held`: nothing goes out before `promise`.
        """

    async def promise(self, upstream: Upstream) -> bool:
        """Make sure that whoever comes next finds this, before anything else goes out; whether it is safe: else nothing does."""

    def put(self, chunk: bytes, brought: bool, reached: int | None = None) -> None:
        """A chunk, an OpenAI `chat.completion.chunk` as JSON without line feeds. `brought`: it has a part of the text. `reached`:
        the number of the upstream's event that it came with, all of which is told with it.
        """

    def rest(self) -> Awaitable[None] | None:
        """For who reads the stream: wait until then before reading on, what comes sooner leaves no sooner; None: read on."""

    def end(self) -> None:
        """No more chunks of this attempt: what is held goes out now."""


class DeltaWriter(Protocol):
    """Makes deltas of requests that want them."""

    def of(self, request: PendingRequest) -> Deltas | None:
        """Its deltas; None where it wants none."""


class _NoDeltas:
    def of(self, request: PendingRequest) -> None: ...


NO_DELTAS: Final[DeltaWriter] = _NoDeltas()
"""Of whoever has no broker to write them to."""


class Permit(Protocol):
    """The right to one call: a slot with its host, connection and rate-limit reservation."""

    async def call(self, request: PendingRequest) -> Outcome:
        """Make the call, with retries and failover, inside the time left to the request. Raises only when cancelled."""

    def cut_off(self, outcome: Outcome) -> Outcome:
        """The outcome, with what was done until `call` was cancelled: attempts, provider, time. Asked after that only."""

    def attending(self) -> Attending | None:
        """What it does now; None before `call`, and where nobody knows."""

    def release(self) -> None:
        """Give everything back. Once, after `call` or instead of it."""


class Providers(Protocol):
    """Where calls go."""

    def route(self, request: PendingRequest) -> Route | Outcome:
        """The name of the request's route: requests of one route wait for the same things (provider and model group).

        Asked once, when the request begins to wait; sets `request.estimate`. An outcome if it can never be served.
        """

    def reserve(self, request: PendingRequest) -> Permit | Outcome | Busy:
        """The right to one call; an outcome if it can never have one; Busy if it has to wait."""

    def why_not(self, request: PendingRequest) -> str:
        """Why the request gets no call now, where its endpoints are the cause: in words, for its caller. Else empty."""

    def on_room(self, tell: Callable[[Route], None]) -> None:
        """`tell(route)` is called when a route that was Busy may have room: a slot freed, tokens granted, an endpoint healthy.

        It may be called from inside `release`.
        """
