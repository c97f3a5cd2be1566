"""Endpoints of one provider from its settings: at the start, and later while others of it are called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

from streams.providers.breaker import BreakerPolicy
from streams.providers.endpoint import Endpoint, forget_series
from streams.providers.formats.wire import Format
from streams.providers.health import Health
from streams.providers.http.body import Traffic
from streams.providers.http.client import EndpointClient, Limits
from streams.providers.http.transports import Transports
from streams.providers.keys import KeyFile, KeySource
from streams.providers.pairing import Identity, pair
from streams.settings import Settings
from streams.settings.providers import Endpoint as EndpointSettings
from streams.settings.providers import Provider as ProviderSettings
from streams.settings.routing import Routing
from streams.slots import Slots

HostSlots = WeakValueDictionary[str, Slots]
"""By scheme and address; a host that no endpoint has any more is forgotten."""


@dataclass(frozen=True, slots=True)
class Planned:
    """An endpoint as it will be. `client` is None where the one that is there stays."""

    label: str
    wanted: EndpointSettings
    goes_on_as: Endpoint | None
    client: EndpointClient | None


class EndpointMaker:
    """Of one provider. Everything but its endpoints is as `given` at the start.

    `of_worker`: the slots of each host, over all providers of the worker.
    """

    def __init__(
        self,
        settings: Settings,
        given: ProviderSettings,
        wire: Format,
        traffic: Traffic,
        transports: Transports,
        of_worker: HostSlots,
    ) -> None:
        self._settings = settings
        self._given = given
        self._wire = wire
        self._traffic = traffic
        self._transports = transports
        self._of_worker = of_worker
        self._of_provider: HostSlots = WeakValueDictionary()
        self._made_of: dict[Endpoint, EndpointSettings] = {}

    def plan(self, wanted: ProviderSettings, place: str) -> list[Planned]:
        """How the endpoints will be that are `wanted`; nothing is changed yet. Raises SettingsError for a key or a certificate
        that is not there. `place`: of the provider in the settings.
        """
        running = list(self._made_of.items())
        labels = wanted.endpoint_labels
        known = pair(
            [_identity(made_of, endpoint.label) for endpoint, made_of in running],
            [_identity(each, label) for each, label in zip(wanted.endpoints, labels, strict=True)],
        )
        planned = []
        for number, (each, label, before) in enumerate(zip(wanted.endpoints, labels, known, strict=True)):
            endpoint, made_of = running[before] if before is not None else (None, None)
            same = made_of is not None and _wiring(made_of) == _wiring(each)
            client = None if same else self._new_client(each, f"{place}.endpoints[{number}]")
            planned.append(Planned(label, each, endpoint, client))
        return planned

    def carry_out(self, planned: list[Planned]) -> tuple[list[Endpoint], list[Endpoint]]:
        """The endpoints as planned, in their order, and those that are none of them any more."""
        labels = {endpoint.label for endpoint in self._made_of}
        endpoints = [self._take(number, each) for number, each in enumerate(planned)]
        gone = [endpoint for endpoint in self._made_of if endpoint not in endpoints]
        for endpoint in gone:
            endpoint.leave()
        self._made_of = {endpoint: each.wanted for endpoint, each in zip(endpoints, planned, strict=True)}
        for label in labels - {endpoint.label for endpoint in endpoints}:
            forget_series(self._given.name, label)
        return endpoints, gone

    def _take(self, place: int, planned: Planned) -> Endpoint:
        endpoint, wanted, client = planned.goes_on_as, planned.wanted, planned.client
        if endpoint is None:
            assert client is not None, "a new endpoint is called by a client of its own"
            slots, health = self._slots(wanted.url), _health(self._settings.routing)
            endpoint = Endpoint(self._given.name, place, wanted.weight, client, slots, health, planned.label)
            client.key.on_change = endpoint.new_key
            return endpoint
        endpoint.place, endpoint.weight = place, wanted.weight
        endpoint.rename(planned.label)
        if client is not None:
            other_key = _key_of(self._made_of[endpoint]) != _key_of(wanted)
            endpoint.client = client
            client.key.on_change = endpoint.new_key
            if other_key:
                endpoint.new_key()
        return endpoint

    def _slots(self, url: str) -> tuple[Slots, Slots]:
        """Those that a call to the address takes: of its host within the provider, and within the worker."""
        concurrency, host = self._settings.concurrency, _host(url)
        of_provider = self._of_provider.get(host) or Slots(self._given.connections.per_host, concurrency.high_share)
        of_worker = self._of_worker.get(host) or Slots(concurrency.per_host, concurrency.high_share)
        self._of_provider[host], self._of_worker[host] = of_provider, of_worker
        return of_provider, of_worker

    def _new_client(self, each: EndpointSettings, place: str) -> EndpointClient:
        settings, given, compression = self._settings, self._given, self._settings.network.compression
        gzip = each.accepts_gzip and compression.algorithm == "gzip"
        threshold = compression.threshold if gzip else None
        return EndpointClient(
            given.name,
            each.url,
            self._transports.of(each.url),
            self._wire,
            Limits(settings.requests.max_answer_bytes, threshold, given.stream_idle_timeout),
            self._traffic,
            headers=each.headers,
            key=_key(given.name, each, place),
            health_path=each.health_path,
        )


def _key_of(each: EndpointSettings) -> tuple[str | None, str | None]:
    return each.api_key_env, None if each.api_key_file is None else str(each.api_key_file)


def _identity(each: EndpointSettings, label: str) -> Identity:
    return Identity(each.url, _key_of(each), label)


def _wiring(each: EndpointSettings) -> Mapping[str, object]:
    """What a client is made of."""
    return each.model_dump(exclude={"name", "weight"})


def _key(provider: str, endpoint: EndpointSettings, place: str) -> KeySource:
    current = endpoint.api_key(place=place)
    if endpoint.api_key_file is None or current is None:
        return KeySource(current)
    return KeyFile(endpoint.api_key_file, current, provider, endpoint.url)


def _health(routing: Routing) -> Health:
    breaker, check = routing.breaker, routing.health_check
    policy = BreakerPolicy(
        breaker.calls,
        breaker.window,
        breaker.min_volume,
        breaker.error_share,
        breaker.open_for,
        breaker.probes,
        breaker.in_a_row,
        breaker.most_open_for,
        breaker.refused_for,
        breaker.most_refused_for,
    )
    return Health(policy, check.unhealthy_threshold, check.healthy_threshold)


def _host(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
