"""The settings as a whole, and what must hold between sections."""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Final, Self

from pydantic import Field, model_validator

from schemas import limits
from streams.settings.base import Section, conflict, setting
from streams.settings.cache import Cache
from streams.settings.errors import SecretMissingError, SettingsError
from streams.settings.fleet import Http, Metrics, Targets
from streams.settings.flow import Agents, Backpressure, Concurrency, Pool, Queueing
from streams.settings.front import Front
from streams.settings.kafka import Kafka
from streams.settings.limits import Limits
from streams.settings.money import Budget, Costs, Price
from streams.settings.providers import Provider
from streams.settings.redaction import Redaction
from streams.settings.requests import Requests, Topics
from streams.settings.routing import Routing
from streams.settings.runtime import Gc, Logging, Loop, Memory, Network, Pooling
from streams.settings.scaling import Scaling, Supervisor
from streams.settings.signing import Fleet
from streams.settings.tenants import MOST_TENANTS, Tenant, TenantName
from streams.settings.tracing import SHORTEST_KEY, Trace, collector_headers
from streams.settings.ui import Ui
from topics.catalogue import TopicSpec, catalogue

# What a record carries besides its payload, at most: envelope, key and headers. A dead letter adds nine headers to its
# record's own, one of them up to 1 KB.
RECORD_OVERHEAD_BYTES: Final = limits.ANSWER_RECORD_BYTES - limits.ANSWER_PAYLOAD_BYTES


class Settings(Section):
    """Everything that can be set, from headrace.toml and the environment."""

    fleet: Fleet = Field(default_factory=Fleet)
    kafka: Kafka = Field(default_factory=Kafka)
    topics: Topics = Field(default_factory=Topics)
    requests: Requests = Field(default_factory=Requests)
    trace: Trace = Field(default_factory=Trace)
    queueing: Queueing = Field(default_factory=Queueing)
    backpressure: Backpressure = Field(default_factory=Backpressure)
    pool: Pool = Field(default_factory=Pool)
    concurrency: Concurrency = Field(default_factory=Concurrency)
    agents: Agents = Field(default_factory=Agents)
    providers: list[Provider] = setting([], "LLM providers; a worker needs at least one.")
    routing: Routing = Field(default_factory=Routing)
    limits: Limits = Field(default_factory=Limits)
    tenants: dict[TenantName, Tenant] = setting({}, "Teams that share the fleet, by name.", max_length=MOST_TENANTS)
    costs: Costs = Field(default_factory=Costs)
    prices: list[Price] = setting([], "Prices of models, before the price list's.")
    budgets: list[Budget] = setting([], "What may be spent.")
    cache: Cache = Field(default_factory=Cache)
    metrics: Metrics = Field(default_factory=Metrics)
    http: Http = Field(default_factory=Http)
    front: Front = Field(default_factory=Front)
    ui: Ui = Field(default_factory=Ui)
    scaling: Scaling = Field(default_factory=Scaling)
    supervisor: Supervisor = Field(default_factory=Supervisor)
    targets: Targets = Field(default_factory=Targets)
    memory: Memory = Field(default_factory=Memory)
    gc: Gc = Field(default_factory=Gc)
    loop: Loop = Field(default_factory=Loop)
    pooling: Pooling = Field(default_factory=Pooling)
    network: Network = Field(default_factory=Network)
    logging: Logging = Field(default_factory=Logging)
    redaction: Redaction = Field(default_factory=Redaction)

    @model_validator(mode="after")
    def _agree(self) -> Self:
        for key in ("max_bytes", "max_answer_bytes"):
            if getattr(self.requests, key) + RECORD_OVERHEAD_BYTES > self.kafka.max_request_bytes:
                raise conflict(
                    f"requests.{key} must stay {RECORD_OVERHEAD_BYTES // 1024}KiB below kafka.max_request_bytes, "
                    "so that every answer and dead letter can be written",
                    f"requests.{key}",
                    "kafka.max_request_bytes",
                )
        if self.topics.prefix and "group_id" not in self.kafka.model_fields_set:
            group_id = self.topics.prefix + self.kafka.group_id
            object.__setattr__(self, "kafka", self.kafka.model_copy(update={"group_id": group_id}))
        if self.fleet.signs:
            object.__setattr__(self, "kafka", self.kafka.sealed_by(partial(self.fleet.seal, self.topics.names)))
        if self.tenants:
            object.__setattr__(self, "topics", self.topics.with_tenants(self.tenants))
            if (longest := max(map(len, self.topics.names.all))) > limits.TOPIC_NAME_CHARS:
                raise conflict(
                    f"the names of the tenants' topics would have {longest} characters, the most is {limits.TOPIC_NAME_CHARS}",
                    "topics.prefix",
                    "tenants",
                )
        if self.topics.partitions < self.scaling.limits.max:
            raise conflict(
                "topics.partitions must be at least scaling.limits.max, or some workers get nothing to do",
                "topics.partitions",
                "scaling.limits.max",
            )
        if not self.fleet.signs and any(budget.scope == "key" for budget in self.budgets):
            raise conflict(
                'a budget of scope "key" needs fleet.secret_env or fleet.secret_file: without it nobody can prove a key',
                "budgets",
                "fleet.secret_env",
            )
        if self.gc.aggressive > self.memory.hold:
            raise conflict("gc.aggressive must be at most memory.hold", "gc.aggressive", "memory.hold")
        repeated = [name for name, count in Counter(provider.name for provider in self.providers).items() if count > 1]
        if repeated:
            raise conflict(f"two providers are named {repeated[0]}; names are unique", "providers")
        for rule in self.routing.models:
            unknown = set(rule.providers) - {provider.name for provider in self.providers}
            if unknown:
                raise conflict(
                    f"routing.models names the provider {min(unknown)}, which there is not", "routing.models"
                )
        return self

    def catalogue(self) -> tuple[TopicSpec, ...]:
        """Every topic of this fleet, as it must be on the broker."""
        names, kept = self.topics.names, dict[str, float]()
        for tenant, given in self.tenants.items():
            named, retention = names.tenants[tenant], given.retention
            for topics, seconds in (
                (named.topic_of.values(), retention.requests),
                ((named.responses,), retention.answers),
                ((named.dead_letters,), retention.dead_letters),
            ):
                if seconds is not None:
                    kept.update(dict.fromkeys(topics, seconds))
        return catalogue(self.topics.partitions, self.topics.replication_factor, self.front.lanes, names, kept)

    def ensure_provider(self) -> None:
        """SettingsError if there is no provider: every other command works without one, a worker does not."""
        if not self.providers:
            raise SettingsError("providers is empty: a worker needs a [[providers]] with a name and an endpoint's url")

    def secrets(self, environ: Mapping[str, str] | None = None, *, missing_too: bool = True) -> list[str]:
        """Every secret that the settings point to, for the log to scrub. SettingsError with a line for each that is bad or,
        with `missing_too`, not there.
        """
        found: list[str] = []
        problems: list[str] = []
        if self.trace.export.exporter != "none":
            found += [
                value for value in collector_headers(environ or os.environ).values() if len(value) >= SHORTEST_KEY
            ]
        for read in self._secret_readers():
            try:
                secret = read(environ)
            except SettingsError as error:
                if missing_too or not isinstance(error, SecretMissingError):
                    problems += error.problems
            else:
                found += [secret] if secret is not None else []
        if problems:
            raise SettingsError(*problems)
        return found

    def _secret_readers(self) -> Iterator[Callable[[Mapping[str, str] | None], str | None]]:
        yield partial(self.fleet.secret, 0)
        yield partial(self.fleet.secret, 1)
        for name, tenant in self.tenants.items():
            yield partial(tenant.cache.keys, f"tenants.{name}.cache")
        yield self.kafka.sasl_password
        yield self.kafka.sasl_token
        yield self.http.token
        yield partial(self.ui.token, "viewer")
        yield partial(self.ui.token, "operator")
        for number, provider in enumerate(self.providers):
            for place, endpoint in enumerate(provider.endpoints):
                yield partial(endpoint.api_key, place=f"providers[{number}].endpoints[{place}]")
