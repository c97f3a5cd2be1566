"""[[providers]] and [routing]: who answers, under which limits, and how one of its endpoints is chosen."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from streams.settings.base import Section, conflict, required, setting
from streams.settings.secrets import EnvName, secret_from_env
from streams.settings.units import BandwidthLimit, Bytes, Count, RateLimit, Seconds

# Headers that carry a credential: their place is api_key_env.
_CREDENTIAL_HEADERS = re.compile(
    r"authorization|proxy-authorization|cookie|.*(api[-_]?key|token|secret).*", re.IGNORECASE
)


def _url(value: str) -> str:
    form = 'a URL such as "https://host/v1", without user, password, query or fragment'
    try:
        parts = urlsplit(value)
        plain = parts.username is None and not parts.query and not parts.fragment and parts.port != 0
    except ValueError:
        raise ValueError(form) from None
    if parts.scheme not in ("http", "https") or not parts.hostname or not plain:
        raise ValueError(form)
    return value.rstrip("/")


def _headers(value: dict[str, str]) -> dict[str, str]:
    for name, text in value.items():
        if _CREDENTIAL_HEADERS.fullmatch(name):
            raise ValueError("headers without credentials; a key goes into the variable that api_key_env names")
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) or not re.fullmatch(r"[\x20-\x7e\t]*", text):
            raise ValueError("headers as HTTP allows them: a token for a name, printable ASCII for a value")
    return value


def _label(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", value):
        raise ValueError('1 to 64 letters, digits, ".", "_" and "-"')
    return value


class Endpoint(Section):
    """One address of a provider."""

    url: Annotated[str, AfterValidator(_url)] = required("Base address, up to and with the version, such as /v1.")
    weight: Count = setting(1, "Share of the calls, against the provider's other endpoints.", ge=1, le=1000)
    api_key_env: EnvName | None = setting(
        None, "Name of the environment variable that holds the API key; none for endpoints without a key."
    )
    headers: Annotated[dict[str, str], AfterValidator(_headers)] = setting({}, "Further headers of every call.")

    def api_key(self, environ: Mapping[str, str] | None = None) -> str | None:
        """The API key, read now; None for an endpoint without one. SettingsError if the variable is not set."""
        if self.api_key_env is None:
            return None
        return secret_from_env("providers.endpoints.api_key_env", self.api_key_env, environ)


class ProviderRateLimit(Section):
    """What the provider allows the whole fleet."""

    requests: RateLimit = setting("3500/minute", "Requests that the provider allows the fleet.")
    tokens: RateLimit = setting("90000/minute", "Tokens that the provider allows the fleet.")
    counted_at: Literal["start", "end"] = setting(
        "start", "When the provider counts a call: as it comes, or as it ends; then calls under way take room besides."
    )

    @property
    def unlimited(self) -> bool:
        return self.requests is None and self.tokens is None


class ProviderMemory(Section):
    """Bytes of requests and answers of one provider in a worker."""

    baseline: Bytes = setting("100MB", "What calls of the provider are planned to use.")
    peak: Bytes = setting("300MB", "What calls of the provider may use at most.", ge=1)
    buffer: Bytes = setting("50MB", "What of it is kept free for answers.")

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.baseline > self.peak:
            raise conflict("baseline must be at most peak", "baseline", "peak")
        if self.buffer > self.peak:
            raise conflict("buffer must be at most peak", "buffer", "peak")
        return self


class ProviderConnections(Section):
    """Connections of one worker to the provider."""

    max: Count = setting(50, "Most connections to the provider.", ge=1)
    per_host: Count = setting(10, "Most connections to one of its hosts.", ge=1)

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.per_host > self.max:
            raise conflict("per_host must be at most max", "per_host", "max")
        return self


class Retry(Section):
    """What happens after a failure that may pass."""

    backoff: Literal["exponential"] = setting("exponential", "How the pause grows from attempt to attempt.")
    max_attempts: Count = setting(3, "Most attempts of one request, the first among them.", ge=1, le=20)
    base_delay: Seconds = setting("500ms", "Pause after the first attempt, before jitter.", gt=0)
    max_delay: Seconds = setting("8s", "Longest pause, before jitter.", gt=0)

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.base_delay > self.max_delay:
            raise conflict("base_delay must be at most max_delay", "base_delay", "max_delay")
        return self


class Provider(Section):
    """An LLM provider: its wire format, models, endpoints and limits."""

    name: Annotated[str, AfterValidator(_label)] = required("Name in responses, metrics and leases.")
    format: Literal["openai", "anthropic"] = setting("openai", "Wire format of the provider.")
    models: list[str] = setting(["*"], 'Models that it serves; "*" stands for any text.', min_length=1)
    endpoints: list[Endpoint] = required("Addresses of the provider.", min_length=1)
    rate_limit: ProviderRateLimit = Field(default_factory=ProviderRateLimit)
    memory: ProviderMemory = Field(default_factory=ProviderMemory)
    bandwidth: BandwidthLimit = setting("10MB/s", "Bytes a second to and from the provider.")
    connections: ProviderConnections = Field(default_factory=ProviderConnections)
    timeout: Seconds = setting("60s", "Longest time of one call.", gt=0)
    retry: Retry = Field(default_factory=Retry)


class HealthCheck(Section):
    """How endpoints are found to be ill, and well again."""

    interval: Seconds = setting("30s", "Time between two checks of an endpoint.", gt=0)
    timeout: Seconds = setting("5s", "A check without an answer for so long has failed.", gt=0)
    unhealthy_threshold: Count = setting(3, "Failed checks in a row after which an endpoint gets no calls.", ge=1)

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.timeout > self.interval:
            raise conflict("timeout must be at most interval", "timeout", "interval")
        return self


class Distribution(Section):
    """How load is spread inside a worker and over workers."""

    local: Literal["in-memory"] = setting("in-memory", "How requests are spread inside a worker.")
    remote: Literal["consistent-hashing"] = setting("consistent-hashing", "How agents are spread over partitions.")


class Routing(Section):
    """How one of a provider's endpoints is chosen."""

    algorithm: Literal["round_robin", "least_connections", "weighted"] = setting(
        "round_robin", "How an endpoint is chosen."
    )
    health_check: HealthCheck = Field(default_factory=HealthCheck)
    distribution: Distribution = Field(default_factory=Distribution)
