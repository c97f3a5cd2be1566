"""Secrets: the settings hold only where to find one, never the secret itself.

One is stripped and validated where it is read: what HTTP or the provider would refuse in every call is refused at the start,
in a line that names the setting and the variable or file, and never what it holds.
"""

import os
import re
import unicodedata
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import AfterValidator

from streams.settings.errors import SecretMissingError, SettingsError

MOST_BYTES: Final = 65_536
"""Of a file that holds a secret: the largest tokens in use have some kilobytes."""

_BOM: Final = "\ufeff"
_UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")


def _env_name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,127}", value):
        raise ValueError("the name of an environment variable, such as MAIN_API_KEY, never the secret itself")
    return value


EnvName = Annotated[str, AfterValidator(_env_name)]


class BadSecretError(ValueError):
    """Why what was read is no secret, in words that follow "it" and repeat nothing of it."""


def password(text: str) -> str:
    """A password: without the white space around it. BadSecretError if it is empty or not printable ASCII."""
    found = text.removeprefix(_BOM).strip()
    if not found:
        raise BadSecretError("is empty" if not text else "holds nothing but white space")
    for character in found:
        if not " " <= character <= "~":
            raise BadSecretError(f"holds {_named(character)}; a secret is printable ASCII")
    return found


def api_key(text: str) -> str:
    """An API key: a password that fits into one word of a header, without quotes around it (RFC 6750, 2.1)."""
    found = password(text)
    if re.match(r"(bearer|basic)\s", found, re.IGNORECASE):
        raise BadSecretError('begins with the word of a header, such as "Bearer"; leave it out, the calls bring it')
    if " " in found:
        raise BadSecretError("holds a space; an API key is one word")
    if found[0] in "\"'" or found[-1] in "\"'":
        raise BadSecretError(
            "has quotes around it; docker's --env-file and files of one value take them as a part of the value: leave them out"
        )
    if found.endswith(("\\n", "\\r")):
        raise BadSecretError("ends in a backslash and a letter where a line break was meant; leave it out")
    return found


Validate = Callable[[str], str]


@dataclass(slots=True)
class Rotated:
    """Secrets of this process that came after its start, the last 256: the log scrubs them like those of the start."""

    secrets: deque[str] = field(default_factory=lambda: deque(maxlen=256))
    count: int = 0
    """Of all that ever came, so that a reader sees that there are new ones."""

    def add(self, secret: str) -> None:
        self.secrets.append(secret)
        self.count += 1


rotated: Final = Rotated()


def secret_from_env(key: str, name: str, validate: Validate, environ: Mapping[str, str] | None = None) -> str:
    """What the variable `name` holds; `key` is the setting that named it. SettingsError if it is not there, or bad."""
    value = (os.environ if environ is None else environ).get(name)
    if value is None:
        raise SecretMissingError(f"{key}: the environment variable {name} is not set; set it to the secret")
    try:
        return validate(value)
    except BadSecretError as error:
        raise SettingsError(f"{key}: the environment variable {name} {error}") from None


def secret_from_file(key: str, path: Path, validate: Validate) -> str:
    """What the file holds; `key` is the setting that named it. SettingsError if it cannot be read, or is bad."""
    try:
        return read_secret(path, validate)
    except BadSecretError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise SecretMissingError(f"{key}: {path} does not exist; write the secret into it") from None
        raise SettingsError(f"{key}: {path} {error}") from None


def read_secret(path: Path, validate: Validate) -> str:
    """What the file holds, now. BadSecretError if it cannot be read, or is bad."""
    try:
        with path.open("rb") as file:
            found = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise BadSecretError(f"cannot be read: {error.strerror}") from error
    if len(found) > MOST_BYTES:
        raise BadSecretError(f"holds more than {MOST_BYTES} bytes; a file holds one secret and nothing else")
    if found.startswith(_UTF_16):
        raise BadSecretError("is UTF-16, as some shells write files; save it as ASCII or UTF-8")
    try:
        return validate(found.decode())
    except UnicodeDecodeError:
        raise BadSecretError("is no UTF-8 text; save it as ASCII or UTF-8") from None


def _named(character: str) -> str:
    """What it is, where that tells nothing of the secret: letters and digits are not repeated."""
    category = unicodedata.category(character)
    if category == "Cc":
        return "a line break" if character in "\r\n" else f"the control character U+{ord(character):04X}"
    if category in ("Cs", "Cn", "Co") or category[0] in "LNM":
        return "a character that is not ASCII"
    return f"U+{ord(character):04X} ({unicodedata.name(character, 'no ASCII').lower()})"


class SecretFile(str):
    """A secret that a file holds, as it was when it was read first; `now` reads what the file holds by then."""

    _path: Path
    _validate: Validate
    _last: str

    @classmethod
    def read(cls, key: str, path: Path, validate: Validate) -> Self:
        """`key` is the setting that named the file. SettingsError if it cannot be read, or is bad."""
        made = cls(secret_from_file(key, path, validate))
        made._path, made._validate, made._last = path, validate, str(made)
        return made

    def now(self) -> str:
        """What the file holds, or what it held last while it cannot be read or is bad: it may be half written."""
        try:
            found = read_secret(self._path, self._validate)
        except BadSecretError:
            return self._last
        if found != self._last:
            rotated.add(found)
            self._last = found
        return found
