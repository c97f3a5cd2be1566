"""[tenants.<name>]: teams that share a fleet, each with its own topics, share and limits. Without any there are no tenants."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from schemas.limits import ID_CHARS, MODEL_CHARS
from streams.settings.base import Section, conflict, setting
from streams.settings.secrets import BadSecretError, EnvName, password, secret_from_env, secret_from_file
from streams.settings.units import BandwidthLimit, Bytes, Count, Flag, PerSecond, Seconds
from topics.tenant_names import tenant_fault

MOST_TENANTS = 200
"""Each has five topics, and every partition costs its broker and each fetch a little."""

_PRINCIPAL_CHARS = 512
_MOST_KEYS = 8
_KEY = re.compile(r"[A-Za-z0-9_-]{1,40}:[0-9a-fA-F]{64}").fullmatch


def _name(value: str) -> str:
    if (fault := tenant_fault(value)) is not None:
        raise ValueError(fault)
    return value


def _principal(value: str) -> str:
    kind, _, name = value.partition(":")
    if not kind.isalnum() or not name or len(value) > _PRINCIPAL_CHARS or not value.isprintable():
        raise ValueError('a type and a name, as Kafka writes them: "User:team-a"')
    return value


TenantName = Annotated[str, AfterValidator(_name)]
Pattern = Annotated[str, Field(min_length=1, max_length=MODEL_CHARS)]


def cache_keys(text: str) -> str:
    """Names and keys, with one space between them. BadSecretError for anything else."""
    words = password(" ".join(text.split())).split()
    names = [word.partition(":")[0] for word in words]
    if any(_KEY(word) is None for word in words):
        raise BadSecretError("holds a word that is no NAME:KEY; `echo k1:$(openssl rand -hex 32)` makes one")
    if len(set(names)) < len(names) or len(words) > _MOST_KEYS:
        raise BadSecretError(f"holds two keys of one name, or more than {_MOST_KEYS}")
    return " ".join(words)


class TenantCache(Section):
    """Who shares the tenant's cached answers, and who can read them where they lie."""

    shared: Flag = setting(
        False,
        "Whether it shares cached answers and calls under way with the other tenants that do, and with requests of no tenant.",
    )
    key_env: EnvName | None = setting(
        None,
        "Name of the environment variable with the keys that encrypt its cached answers on the topic and on disk: NAME:KEY, a "
        "key of 64 hexadecimal digits, several with white space between. The first encrypts, all decrypt.",
    )
    key_file: Path | None = setting(
        None, "File with these keys; read at the start, and again at SIGHUP and when the settings file has changed."
    )

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.key_env is not None and self.key_file is not None:
            raise conflict("key_env or key_file, not both", "key_env", "key_file")
        return self

    def keys(self, place: str, environ: Mapping[str, str] | None = None) -> str | None:
        """The keys, with one space between; None where nothing is encrypted. `place`: of this section. Raises SettingsError."""
        if self.key_env is not None:
            return secret_from_env(f"{place}.key_env", self.key_env, cache_keys, environ)
        if self.key_file is not None:
            return secret_from_file(f"{place}.key_file", self.key_file, cache_keys)
        return None


class TenantQuotas(Section):
    """What brokers let its principals do, each; set by `headrace tenants apply`. In Kafka a quota is of each broker."""

    produce: BandwidthLimit = setting("unlimited", "Bytes a second that one principal writes to each broker.")
    fetch: BandwidthLimit = setting("unlimited", "Bytes a second that one principal reads from each broker.")


class TenantRetention(Section):
    """How long what is the tenant's is kept; none: as long as the fleet's own."""

    requests: Seconds | None = setting(
        None, "Its requests, on their topics; at least as long as the longest `timeout_s`.", ge=3600
    )
    answers: Seconds | None = setting(None, "Its answers, on its response topic.", ge=600)
    dead_letters: Seconds | None = setting(None, "Its dead letters.", ge=600)
    cached: Seconds | None = setting(None, "Its cached answers and the memory of its finished requests, at most.", ge=1)


class Tenant(Section):
    """One tenant. Its limits are of each worker, as all limits of flow are."""

    weight: Count = setting(
        1,
        "Its share of the dispatches of a class, in proportion, while other tenants wait too; requests of no tenant have 1.",
        ge=1,
        le=1000,
    )
    rate: PerSecond | None = setting(None, "Requests dispatched to providers, at most; none: as `backpressure.rate`.")
    burst: Count = setting(100, "Of them at once, after a quiet time.", ge=1)
    concurrency: Count | None = setting(None, "Calls under way, at most; none: as `concurrency.total`.", ge=1)
    requests: Count | None = setting(
        None, "Requests that wait or are under way, at most; further ones are answered `queue_full`.", ge=1
    )
    bytes: Bytes | None = setting(None, "Their bytes, at most; further ones are answered `queue_full`.", ge=1)
    models: list[Pattern] = setting(["*"], "Models that it may ask for; `*` stands for any text.", min_length=1)
    agents: Annotated[str, Field(min_length=1, max_length=ID_CHARS)] = setting(
        "*", "Agents that its requests may name; `*` stands for any text."
    )
    cache: TenantCache = Field(default_factory=TenantCache)
    principals: list[Annotated[str, AfterValidator(_principal)]] = setting(
        [], 'Who may write its requests and read its answers, as Kafka names them: "User:team-a".'
    )
    former_principals: list[Annotated[str, AfterValidator(_principal)]] = setting(
        [], "Who had these rights: `headrace tenants apply --prune` takes back those that are still there."
    )
    quotas: TenantQuotas = Field(default_factory=TenantQuotas)
    retention: TenantRetention = Field(default_factory=TenantRetention)
