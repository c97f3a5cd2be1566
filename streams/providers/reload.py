"""What of a provider's settings takes effect while it is called: its endpoints and their weights, time limits, retries."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import structlog

from streams.providers.checks import HealthChecks
from streams.providers.endpoint_maker import EndpointMaker, Planned
from streams.providers.keys import KeyFile, KeyFiles
from streams.providers.provider import Provider, Timing
from streams.providers.providers import Providers
from streams.providers.retry import RetryPolicy
from streams.settings import Settings
from streams.settings.providers import Provider as ProviderSettings

log = structlog.get_logger("headrace.providers")


class EndpointChanges:
    """Of the providers that are there since the start; `makers` by their names.

    A call under way keeps what it began with, and ends at its endpoint, also at one that is gone. No call begins there any more.
    """

    def __init__(
        self, providers: Providers, makers: Mapping[str, EndpointMaker], checks: HealthChecks, key_files: KeyFiles
    ) -> None:
        self._providers = providers
        self._makers = makers
        self._checks = checks
        self._key_files = key_files

    def prepare(self, settings: Settings) -> Callable[[], None]:
        """What takes these settings over. Raises SettingsError for a key or a certificate that is not there."""
        given = {each.name: (number, each) for number, each in enumerate(settings.providers)}
        plans: list[tuple[Provider, ProviderSettings, list[Planned]]] = []
        for provider in self._providers.all:
            if provider.name in given:
                number, wanted = given[provider.name]
                plans.append((provider, wanted, self._makers[provider.name].plan(wanted, f"providers[{number}]")))

        def take() -> None:
            for provider, wanted, planned in plans:
                _take_rules(provider, wanted)
                self._take_endpoints(provider, planned)
            endpoints = [each for provider in self._providers.all for each in provider.endpoints]
            self._checks.follow(endpoints)
            keys = (each.client.key for each in endpoints)
            self._key_files.follow(each for each in keys if isinstance(each, KeyFile))
            self._providers.look_again()

        return take

    def _take_endpoints(self, provider: Provider, planned: list[Planned]) -> None:
        endpoints, gone = self._makers[provider.name].carry_out(planned)
        for endpoint in gone:
            log.info("an endpoint leaves", provider=provider.name, endpoint=endpoint.label, calls=endpoint.in_flight)
        provider.leaving = [each for each in (*provider.leaving, *gone) if each.in_flight]
        provider.endpoints = endpoints
        for endpoint in endpoints:
            self._providers.listen(endpoint)


def _take_rules(provider: Provider, new: ProviderSettings) -> None:
    at_end = new.rate_limit.counted_at == "end"  # the books hold a use for as long as a call may take
    provider.timing = Timing(provider.timing.call_s if at_end else new.timeout, new.retry.max_time)
    retry, dead_letter = new.retry, provider.retry.dead_letter
    provider.retry = RetryPolicy(retry.max_attempts, retry.base_delay, retry.max_delay, dead_letter)
