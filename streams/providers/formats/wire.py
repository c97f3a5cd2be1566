"""What a wire format must do: say what is sent, and read what comes back. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

from schemas.errors import clip
from schemas.request import Operation, Request
from schemas.response import NO_USAGE, ErrorType, Usage
from streams.kept import Kept
from streams.money.usage import Billed
from streams.providers.formats.error_bodies import read_error
from streams.providers.formats.json_body import parse_body

_MOST_TOKENS: Final = 1_000_000_000_000
"""A count beyond it is nonsense; sums of 64-bit counts could not be written into a response."""


Fault = Literal["request", "context", "capacity", "key", "credit", "model", "illness"]
"""Whose fault a failure is: the request's own, final everywhere; the context window's of this model; the provider's, which has no
room now; or the endpoint's: its key, its credit, that it has not this model, or that it is ill.
"""


@dataclass(frozen=True, slots=True)
class Asked:
    """What an answer has to be an answer to. `inputs`: the texts to embed."""

    operation: Operation
    inputs: int = 1


@dataclass(frozen=True, slots=True)
class Answer:
    """A provider's answer: its body, JSON in the OpenAI format, and the tokens that it says were used."""

    body: bytes
    usage: Usage
    whole: bool = True
    """False: cut off or filtered. Its caller gets it, others do not share it."""
    cached_tokens: int = 0
    """Prompt tokens that the provider read from its own cache, part of `usage.prompt_tokens`."""
    billed: Billed | None = field(default=None, compare=False)
    """What the provider bills; None where its answer does not say."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a call brought no answer."""

    type: ErrorType
    message: str
    fault: Fault
    retry_after_s: float | None = None
    """The wait that the failing side asks for. It binds that provider, not the request."""
    charged: bool = False
    """Whether the provider may have worked for it, so that its tokens count as used."""
    sent: bool = True
    """False: the provider never saw the call."""
    certain: bool = False
    """Whether the endpoint said it of itself, in words or by a status that no request can bring about."""
    unusable: bool = False
    """An answer came, was paid for and is none: at most one more is bought."""
    status: int | None = None
    """The HTTP status that it stands for."""
    codes: tuple[str, ...] = ()
    """What the provider calls it, in lower case."""

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed later."""
        return self.fault not in ("request", "context")


class CannotTranslateError(Exception):
    """A request that the provider's format has no words for; the message says which part of it."""


class Assembler(Protocol):
    """Puts a streamed answer together."""

    def feed(self, data: bytes) -> bool:
        """Take one event's data. Whether it brought a part of the answer's text."""

    @property
    def is_chunk(self) -> bool:
        """Whether what was fed last is a chunk of a chat completion as it stands, so that nobody has to parse it again."""

    @property
    def size_bytes(self) -> int:
        """Bytes of text taken so far."""

    @property
    def ended(self) -> bool:
        """Whether nothing that counts comes any more."""

    def finish(self) -> Answer | Failure:
        """The whole answer, once the stream has ended."""


class Chunker(Protocol):
    """Makes chunks of a chat completion of a stream's events, as they come."""

    upstream_id: str | None
    """What the upstream calls an answer that it goes on making without a reader, once it has said so."""
    reached: int | None
    """The number of the last event, where the upstream numbers them. An event of plain text brings at most one chunk."""
    failed: bool
    """Whether the upstream said that the answer failed."""

    def feed(self, data: bytes) -> Iterable[bytes]:
        """The chunks that one event's data brings: `chat.completion.chunk` objects as JSON without line feeds. Raises ValueError,
        KeyError, TypeError or AttributeError for what is no event.
        """


class Format(Protocol):
    """A wire format."""

    def path(self, operation: Operation) -> str | None:
        """Where an operation is called, below the endpoint's base; None: the format does not have it."""

    def headers(self, api_key: str | None) -> Mapping[str, str]:
        """Headers of every call, the key's among them."""

    def encode(self, request: Request, *, stream: bool) -> bytes:
        """The request's body. Raises CannotTranslateError."""

    def decode(self, asked: Asked, status: int, body: bytes, headers: Mapping[str, str]) -> Answer | Failure:
        """Read an answer of any status that was not streamed."""

    def assembler(self, asked: Asked, told: Sequence[bytes] = ()) -> Assembler:
        """`told`: chunks of an earlier attempt that the stream goes on behind."""

    def chunker(self, head: Mapping[str, Any] | None = None) -> Chunker:
        """`head`: the name, time and model that the chunks of an earlier attempt bore."""

    def continued(self, body: bytes, kept: Kept) -> bytes | None:
        """The body of a call that goes on behind what was told of its answer; None where that cannot be asked for."""

    def reattached(self, response_id: str, after: int | None) -> str | None:
        """Path and query by which an answer that goes on without a reader is read on behind an event, or from its start; None
        where the format has no such thing.
        """


def broken(what: str) -> Failure:
    """An answer that is none: an interrupted stream, a connection that ended."""
    return Failure("provider_error", what, fault="illness", charged=True)


def unusable(what: str) -> Failure:
    """An answer that came whole, and that nobody can use."""
    return Failure("provider_error", what, fault="illness", charged=True, unusable=True)


def parse(body: bytes, headers: Mapping[str, str] | None = None) -> dict[str, Any] | Failure:
    """A JSON object, or why there is none. `headers` tell a page from an answer that was cut off."""
    try:
        parsed, _ = parse_body(body)
    except ValueError:
        return no_json(body, headers or {})
    return parsed if type(parsed) is dict else unusable("the provider's answer is not a JSON object")


def no_json(body: bytes, headers: Mapping[str, str]) -> Failure:
    """Whose fault a body is that is no JSON: an answer that was cut off was paid for and is not bought again and again; a page
    or another kind of content comes from something that stands where a provider should (a proxy, a login, a wrong address).
    """
    start = body[:64].lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if start == b"<" or (kind and "json" not in kind and start not in (b"", b"{", b"[")):
        what = "a page" if start == b"<" else f"content of the type {kind}"
        said = read_error(body).message
        message = clip(f"the provider's answer is {what} and not JSON{': ' if said else ''}{said}")
        return Failure("provider_error", message, fault="illness")
    return unusable("the provider's answer is not JSON")


def tokens(given: Any) -> int:
    """A count of tokens; 0 where it is none."""
    if type(given) is float and given.is_integer():
        given = int(given)
    return given if type(given) is int and 0 <= given <= _MOST_TOKENS else 0


def usage_of(given: Any) -> Usage:
    """The usage that an answer in the OpenAI format states; zeros for what it does not."""
    if type(given) is not dict:
        return NO_USAGE
    prompt, completion = tokens(given.get("prompt_tokens")), tokens(given.get("completion_tokens"))
    return Usage(prompt, completion, tokens(given.get("total_tokens")) or prompt + completion)


def cached_tokens_of(given: Any, usage: Usage) -> int:
    """Prompt tokens from the provider's cache, as usage in the OpenAI format states them: in `prompt_tokens_details` (OpenAI,
    Gemini, xAI), as `prompt_cache_hit_tokens` (DeepSeek) or `cached_tokens` (Moonshot). Never more than the prompt's.
    """
    if type(given) is not dict:
        return 0
    for name in ("prompt_tokens_details", "input_tokens_details"):
        if type(details := given.get(name)) is dict and (cached := tokens(details.get("cached_tokens"))):
            return min(cached, usage.prompt_tokens)
    for name in ("prompt_cache_hit_tokens", "cached_tokens", "cache_read_input_tokens"):
        if cached := tokens(given.get(name)):
            return min(cached, usage.prompt_tokens)
    return 0
