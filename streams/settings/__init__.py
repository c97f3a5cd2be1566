"""The specification as typed settings, from headrace.toml and the environment.

`load_settings()` reads a file and the HEADRACE_… variables over it, and returns a `Settings`, frozen and checked as a
whole, or raises `SettingsError`, whose text is one line: where, which key, which value, and what is allowed. Every
value of the specification is there with its default. docs/settings.md lists all keys.

Keys carry no unit in their names, values do: "6s", "50MB", "75%", "3500/minute". What code sees is always in base
units: seconds as float, bytes as int, shares as 0 to 1, rates as `Rate`, and None for "unlimited". Secrets are not
settings: a key such as `api_key_env` names the variable that holds one, and a method reads it when it is used.
"""

from streams.settings.errors import SettingsError
from streams.settings.kafka import Kafka
from streams.settings.load import Effective, load_effective, load_settings
from streams.settings.model import Settings
from streams.settings.providers import Endpoint, Provider
from streams.settings.units import Rate

__all__ = [
    "Effective",
    "Endpoint",
    "Kafka",
    "Provider",
    "Rate",
    "Settings",
    "SettingsError",
    "load_effective",
    "load_settings",
]
