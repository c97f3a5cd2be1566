"""[[providers]]: who answers, how it is called, and under which limits."""

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from streams.settings import secrets
from streams.settings.base import Section, conflict, required, setting
from streams.settings.failures import FailureNames
from streams.settings.model_names import ContextWindows, Models
from streams.settings.secrets import EnvName, secret_from_env, secret_from_file
from streams.settings.units import BandwidthLimit, Bytes, Count, Flag, PerSecond, RateLimit, Seconds, Share

# Headers that carry a credential: their place is api_key_env or api_key_file.
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


def _path(value: str) -> str:
    if not re.fullmatch(r"/[!-~]*", value) or "?" in value or "#" in value:
        raise ValueError('a path such as "/models", without query or fragment')
    return value


def _headers(value: dict[str, str]) -> dict[str, str]:
    for name, text in value.items():
        if _CREDENTIAL_HEADERS.fullmatch(name):
            raise ValueError("headers without credentials; a key goes where api_key_env or api_key_file says")
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) or not re.fullmatch(r"[\x20-\x7e\t]*", text):
            raise ValueError("headers as HTTP allows them: a token for a name, printable ASCII for a value")
    return value


def _label(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", value):
        raise ValueError('1 to 64 letters, digits, ".", "_" and "-"')
    return value


class Endpoint(Section):
    """One address of a provider."""

    name: Annotated[str, AfterValidator(_label)] | None = setting(
        None, "What tables, series and commands call it; by default its URL. Two keys on one URL want two names."
    )
    url: Annotated[str, AfterValidator(_url)] = required("Base address, up to and with the version, such as /v1.")
    weight: Count = setting(1, "Share of the calls, against the provider's other endpoints.", ge=1, le=1000)
    api_key_env: EnvName | None = setting(
        None, "Name of the environment variable that holds the API key; none for endpoints without a key."
    )
    api_key_file: Path | None = setting(
        None, "File that holds the API key, in place of a variable; it is read again when it changes."
    )
    headers: Annotated[dict[str, str], AfterValidator(_headers)] = setting({}, "Further headers of every call.")
    accepts_gzip: Flag = setting(
        False, "Whether it takes compressed request bodies; those from `network.compression.threshold` on are then."
    )
    health_path: Annotated[str, AfterValidator(_path)] = setting(
        "/models", "What a health check asks for, below `url`; an answer with any status below 500 is a good one."
    )

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.api_key_env is not None and self.api_key_file is not None:
            raise conflict("api_key_env and api_key_file exclude each other", "api_key_env", "api_key_file")
        return self

    def api_key(self, environ: Mapping[str, str] | None = None, place: str = "providers[].endpoints[]") -> str | None:
        """The API key, read now; None for an endpoint without one. `place`: where in the settings it stands.

        SettingsError if it is not there, or bad.
        """
        if self.api_key_env is not None:
            return secret_from_env(f"{place}.api_key_env", self.api_key_env, secrets.api_key, environ)
        if self.api_key_file is not None:
            return secret_from_file(f"{place}.api_key_file", self.api_key_file, secrets.api_key)
        return None


_NO = "unlimited"


class ProviderRateLimit(Section):
    """What the provider allows the whole fleet."""

    requests: RateLimit = setting("3500/minute", "Requests that the provider allows the fleet.")
    tokens: RateLimit = setting(
        "90000/minute",
        "Tokens that the provider allows the fleet, input and output together. "
        "Unlimited by default where `input_tokens` or `output_tokens` is set.",
    )
    input_tokens: RateLimit = setting("unlimited", "Input tokens that it allows besides (Anthropic's ITPM).")
    output_tokens: RateLimit = setting("unlimited", "Output tokens that it allows besides (Anthropic's OTPM).")
    count_cached: Flag | None = setting(
        None,
        "Whether input that the provider read from its prompt cache counts. By default as the format's vendor says: "
        "openai true, anthropic false.",
    )
    count_max_tokens: Literal["never", "until_answered", "always"] | None = setting(
        None,
        "How long `max_tokens` counts in place of what an answer had. By default as the format's vendor says: "
        "openai until_answered, anthropic never. Azure: always.",
    )
    counted_at: Literal["start", "end"] = setting(
        "start", "When the provider counts a call: as it comes, or as it ends; then calls under way take room besides."
    )

    @model_validator(mode="before")
    @classmethod
    def _tokens_by_side(cls, given: Any) -> Any:
        sides = ("input_tokens", "output_tokens")
        if isinstance(given, dict) and "tokens" not in given and any(given.get(side, _NO) != _NO for side in sides):
            return {**given, "tokens": _NO}
        return given

    @model_validator(mode="after")
    def _agree(self) -> Self:
        for side, rate in (("input_tokens", self.input_tokens), ("output_tokens", self.output_tokens)):
            if rate is not None and self.tokens is not None and rate.per_second > self.tokens.per_second:
                raise conflict(f"{side} must be at most tokens, or it would never be reached", side, "tokens")
        return self

    @property
    def unlimited(self) -> bool:
        return all(rate is None for rate in (self.requests, self.tokens, self.input_tokens, self.output_tokens))


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


class RetryBudget(Section):
    """How many extra calls failures may cost a worker. A retry beyond it waits until there is budget again."""

    share: Share = setting("10%", "Extra calls that requests earn: so many for each request.")
    floor: PerSecond = setting("1/s", "Extra calls that time earns, so that few requests can be retried too.")
    burst: Count = setting(20, "Most extra calls that are saved up.", ge=1)


class Retry(Section):
    """What happens after a failure that may pass."""

    backoff: Literal["exponential"] = setting("exponential", "How the pause grows from attempt to attempt.")
    max_attempts: Count = setting(3, "Most attempts of one request, the first among them.", ge=1, le=20)
    base_delay: Seconds = setting("500ms", "Pause after the first attempt, before jitter.", gt=0)
    max_delay: Seconds = setting("8s", "Longest pause, before jitter.", gt=0)
    max_time: Seconds = setting(
        "120s", "All calls of a request and the pauses between them; a request's own limit may be shorter.", gt=0
    )
    dead_letter: Flag = setting(
        False,
        "Whether a request whose retries are used up becomes a dead letter besides; records are then kept in memory.",
    )
    budget: RetryBudget = Field(default_factory=RetryBudget)

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.base_delay > self.max_delay:
            raise conflict("base_delay must be at most max_delay", "base_delay", "max_delay")
        return self


class ProviderTls(Section):
    """How `https://` endpoints are known, and how they know us."""

    verify: Flag = setting(
        True, "Whether their certificates are checked. Without it, anybody may read keys and prompts."
    )
    ca_file: Path | None = setting(None, "Certificates to trust instead of the system's (PEM).")
    cert_file: Path | None = setting(None, "Client certificate for mutual TLS (PEM).")
    key_file: Path | None = setting(None, "Key of the client certificate (PEM).")

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.key_file is not None and self.cert_file is None:
            raise conflict("key_file needs cert_file", "key_file", "cert_file")
        return self


class Failover(Section):
    """Failures that are not the request's own fault, whatever the table of docs/failures.md says."""

    on: FailureNames = setting([], "After these, another endpoint, provider or fallback is tried.")


class Fatal(Section):
    """Failures that are the request's own fault, whatever the table of docs/failures.md says."""

    on: FailureNames = setting([], "After these, nothing else is tried.")


class Provider(Section):
    """An LLM provider: its wire format, models, endpoints and limits."""

    name: Annotated[str, AfterValidator(_label)] = required("Name in responses, metrics and leases.")
    format: Literal["openai", "anthropic", "responses"] = setting(
        "openai", "Wire format of the provider; `responses`: OpenAI's Responses API, which `reattach` needs."
    )
    models: Models = setting(
        ["*"],
        'Models that it serves, "*" stands for any text; or a table from what callers say to what it calls them. '
        "The first that fits holds, and each has limits of its own.",
    )
    context_windows: ContextWindows = setting(
        {},
        'Tokens that its models take, by its own names for them ("*" stands for any text, the first that fits holds). '
        "A request that cannot be shorter goes elsewhere.",
    )
    price_list: str | None = setting(
        None, "Its name in the price list, such as `openai`; without it its URL tells. Others' prices are not guessed."
    )
    endpoints: list[Endpoint] = required("Addresses of the provider.", min_length=1)
    rate_limit: ProviderRateLimit = Field(default_factory=ProviderRateLimit)
    memory: ProviderMemory = Field(default_factory=ProviderMemory)
    bandwidth: BandwidthLimit = setting(
        "10MB/s",
        "Bytes of requests and answers a second, to and from the provider: as the network carries them; of a streamed answer "
        "what it brings, without the events around it.",
    )
    connections: ProviderConnections = Field(default_factory=ProviderConnections)
    timeout: Seconds = setting("60s", "Longest time of one call.", gt=0)
    max_inputs: Count | None = setting(
        None, "Most inputs that it takes in one `embeddings` call; without it the number is learnt from refusals.", ge=1
    )
    stream: Flag = setting(
        False,
        "Whether chats are streamed to the worker: the time to the first token is measured, a dead stream noticed.",
    )
    stream_idle_timeout: Seconds = setting(
        "20s", "A stream that has begun and is silent for so long is given up.", gt=0
    )
    stream_on_loss: Literal["error", "restart", "reattach", "continue"] = setting(
        "error",
        "What a client gets whose stream broke off after its first token: `error`, unless the next attempt says the same; "
        "`restart`: the stream begins again, behind an event that says so; `reattach`: it is read on at the upstream, which goes "
        "on in the background (format `responses`); `continue`: the upstream goes on behind the text so far, by vLLM's "
        "`continue_final_message` (format `openai`). What cannot be gone on with restarts. Before its first token it begins "
        "again unseen.",
    )
    tls: ProviderTls = Field(default_factory=ProviderTls)
    retry: Retry = Field(default_factory=Retry)
    failover: Failover = Field(default_factory=Failover)
    fatal: Fatal = Field(default_factory=Fatal)

    @model_validator(mode="after")
    def _named_apart(self) -> Self:
        names = [each.name for each in self.endpoints if each.name is not None]
        if len(set(names)) < len(names):
            raise conflict(
                "two endpoints have the same name; the names of a provider's endpoints are unique", "endpoints"
            )
        return self

    @property
    def endpoint_labels(self) -> list[str]:
        """What each endpoint is called: its name, else its URL; the second one of a URL without a name is `URL#2`."""
        seen: Counter[str] = Counter()
        labels = []
        for each in self.endpoints:
            seen[each.url] += 1
            labels.append(each.name or (each.url if seen[each.url] == 1 else f"{each.url}#{seen[each.url]}"))
        return labels

    @model_validator(mode="after")
    def _can_go_on(self) -> Self:
        needs = {"reattach": "responses", "continue": "openai"}.get(self.stream_on_loss)
        if needs is not None and self.format != needs:
            raise ValueError(f'stream_on_loss = "{self.stream_on_loss}" needs format = "{needs}"')
        return self

    @property
    def model_map(self) -> Mapping[str, str | None]:
        """What it calls each of its models; None: what its callers say."""
        return self.models if isinstance(self.models, dict) else dict.fromkeys(self.models)
