"""Secrets: the settings hold only where to find one, never the secret itself."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from streams.settings.errors import SettingsError


def _env_name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,127}", value):
        raise ValueError("the name of an environment variable, such as MAIN_API_KEY, never the secret itself")
    return value


EnvName = Annotated[str, AfterValidator(_env_name)]


def secret_from_env(key: str, name: str, environ: Mapping[str, str] | None = None) -> str:
    """What the variable `name` holds; `key` is the setting that named it. SettingsError if it is empty or not there."""
    value = (os.environ if environ is None else environ).get(name, "")
    if not value:
        raise SettingsError(f"{key}: the environment variable {name} is not set; set it to the secret")
    return value


def secret_from_file(key: str, path: Path) -> str:
    """What the file holds, without the newline at its end. SettingsError if it is empty or cannot be read."""
    try:
        value = path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{key}: {path} cannot be read: {getattr(error, 'strerror', None) or 'no UTF-8'}") from None
    if not value:
        raise SettingsError(f"{key}: {path} is empty; write the secret into it")
    return value
