"""[fleet]: the secret by which a fleet knows its own control records, and what becomes of records without it."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from pydantic import model_validator

from streams.settings.base import Section, conflict, setting
from streams.settings.errors import SettingsError
from streams.settings.secrets import (
    BadSecretError,
    EnvName,
    SecretFile,
    password,
    rotated,
    secret_from_env,
)
from streams.settings.units import Seconds
from streams.signing import KeyProofs, Mode, Seal, Secret
from topics.control import control_topics
from topics.names import TopicNames

LEAST_CHARS: Final = 32
"""Of a secret: 128 bits in hex (RFC 2104, 3: a key shorter than the hash weakens it)."""
_MOST_SECRETS: Final = 2
_LOOK_EVERY_S: Final = 5.0


def fleet_secrets(text: str) -> str:
    """One or two secrets, with one space between them. BadSecretError for anything else."""
    words = password(" ".join(text.split())).split()
    if len(words) > _MOST_SECRETS:
        raise BadSecretError(
            "holds more than two words; it is one secret, or the present one and another that still counts"
        )
    if any(len(word) < LEAST_CHARS for word in words):
        raise BadSecretError(f"holds a secret of less than {LEAST_CHARS} characters; `openssl rand -hex 32` makes one")
    return " ".join(words)


class Fleet(Section):
    """Who belongs to the fleet: control records are signed with its secret."""

    secret_env: EnvName | None = setting(
        None,
        "Name of the environment variable with the secret that signs control records: 32 characters or more. Two of them, with "
        "white space between: the first signs, both verify.",
    )
    secret_file: Path | None = setting(
        None, "File with the secret, or two. It is read again every 5 s, so that a new one needs no restart."
    )
    signing: Mode = setting(
        "require",
        "With a secret: `require`, control records that it has not signed do not count; `accept`, they are signed, and unsigned "
        "ones count still, to switch a running fleet on; `off`, neither.",
    )
    signed_within: Seconds = setting(
        "5m",
        "How far the time of a signature may be from the broker's time of the record: an old record that is written again does "
        "not count, nor does one of a process whose clock is wrong by more.",
        ge=1,
        le=86_400,
    )
    unsigned_cancels: bool = setting(
        False, "Whether cancels count without a signature, for agents that write them themselves (`require` only)."
    )

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.secret_env is not None and self.secret_file is not None:
            raise conflict("secret_env and secret_file exclude each other", "secret_env", "secret_file")
        return self

    @property
    def signs(self) -> bool:
        """Whether control records are signed and verified."""
        return self.signing != "off" and (self.secret_env is not None or self.secret_file is not None)

    def secret(self, number: int, environ: Mapping[str, str] | None = None) -> str | None:
        """The secret that signs (0) or the other one (1), read now; None where there is none. Raises SettingsError."""
        words = self._text(environ).split()
        return words[number] if number < len(words) else None

    def seal(self, names: TopicNames, environ: Mapping[str, str] | None = None) -> Seal:
        """For one client of a fleet that signs. Raises SettingsError."""
        text = self._text(environ)
        if not text:
            raise SettingsError("fleet: a fleet that signs needs secret_env or secret_file")
        secrets = _Secrets(text)
        return Seal(
            control_topics(names),
            secrets.now,
            requires=self.signing == "require",
            within_s=self.signed_within,
            now=time.time,
            lenient=frozenset({names.cancels}) if self.unsigned_cancels else frozenset(),
        )

    def key_proofs(self, environ: Mapping[str, str] | None = None) -> KeyProofs | None:
        """How fronts prove to workers which key a request came with; None in a fleet that does not sign. Raises SettingsError."""
        if not self.signs:
            return None
        return KeyProofs(_Secrets(self._text(environ)).now, time.time)

    def _text(self, environ: Mapping[str, str] | None) -> str:
        if self.secret_env is not None:
            return secret_from_env("fleet.secret_env", self.secret_env, fleet_secrets, environ)
        if self.secret_file is not None:
            return SecretFile.read("fleet.secret_file", self.secret_file, fleet_secrets)
        return ""


@dataclass(slots=True)
class _Secrets:
    """The secrets of a file as they are by now, looked at every 5 s; of a variable, as they were."""

    source: str
    _made: Sequence[Secret] = field(init=False)
    _text: str = field(init=False)
    _look_at: float = field(init=False)

    def __post_init__(self) -> None:
        self._take(str(self.source))
        self._look_at = time.monotonic() + _LOOK_EVERY_S

    def now(self) -> Sequence[Secret]:
        if isinstance(self.source, SecretFile) and (at := time.monotonic()) >= self._look_at:
            self._look_at = at + _LOOK_EVERY_S
            text = self.source.now()
            if text != self._text:
                for word in text.split():
                    rotated.add(word)
                self._take(text)
        return self._made

    def _take(self, text: str) -> None:
        self._text = text
        self._made = tuple(map(Secret, text.split()))
