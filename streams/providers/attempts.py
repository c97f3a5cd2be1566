"""What came of a request's attempts: what is known of each endpoint, and how to say it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import urlsplit

from schemas.errors import clip
from streams.providers.endpoint import Endpoint
from streams.providers.formats.wire import Answer, Failure
from streams.providers.health import Begun
from streams.providers.target import Target


@dataclass(slots=True)
class Attempts:
    """The failed attempts of one call."""

    last: dict[Endpoint, Failure] = field(default_factory=dict)
    """The last failure of each endpoint."""
    _open: list[tuple[Endpoint, Begun, Failure]] = field(default_factory=list)

    def failed(self, endpoint: Endpoint, begun: Begun, failure: Failure, *, repeated: bool) -> None:
        """Tell the endpoint; what it cannot judge yet is judged when the request has ended."""
        self.last[endpoint] = failure
        if endpoint.observe(begun, failure, repeated=repeated):
            self._open.append((endpoint, begun, failure))

    def judge(self, *, answered: bool) -> None:
        """The request has been answered, or has failed wherever it was tried."""
        for endpoint, begun, failure in self._open:
            endpoint.judge(begun, failure, everywhere=not answered)
        self._open.clear()

    def summary(self, failure: Failure) -> str:
        """What went wrong: in the words of the one endpoint that was called, or which of them failed with what."""
        if len(self.last) < 2 or failure.fault == "request":
            return failure.message
        each = "; ".join(f"{label(endpoint)}: {last.message}" for endpoint, last in self.last.items())
        return clip(f"{len(self.last)} endpoints failed: {each}")


def label(endpoint: Endpoint) -> str:
    """An endpoint in words: its provider, and its name or else its host."""
    return _label(endpoint.provider, endpoint.url, endpoint.label)


@lru_cache(maxsize=1024)
def _label(provider: str, url: str, name: str) -> str:
    return f"{provider} ({urlsplit(url).netloc if name == url else name})"


def ended(result: Answer | Failure | None) -> tuple[str, int]:
    """How an attempt ended, and its HTTP status, as marks say it; 0 where there was none."""
    if isinstance(result, Failure):
        return result.type, result.status or 0
    return "cancelled" if result is None else "ok", 0


class SaidHeaders:
    """Keeps the headers of an answer until it is known what it means."""

    __slots__ = ("headers",)

    def __init__(self) -> None:
        self.headers: Mapping[str, str] | None = None

    def __call__(self, headers: Mapping[str, str]) -> None:
        self.headers = headers

    def observe(self, target: Target, result: Answer | Failure) -> None:
        """What they say of the limits. A wait that one of several endpoints asks for binds that one, not the fleet."""
        budget = target.provider.budget
        if self.headers is not None:
            budget.observe_headers(target.route, self.headers)
        if isinstance(result, Answer) or result.fault != "capacity" or not result.retry_after_s:
            return
        if len(target.provider.endpoints) == 1:
            budget.pause(target.route, result.retry_after_s)
