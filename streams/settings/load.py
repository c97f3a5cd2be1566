"""Reading the settings: environment over file over default, and one line for every fault."""

import copy
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from streams.settings.errors import SettingsError
from streams.settings.keys import Place, section_at
from streams.settings.model import Settings
from streams.settings.problems import origin_of, problems_of, unknown
from streams.settings.sources import DEFAULT_FILE, leaves, put, read_file, settings_file, variables

DEFAULT: Final = "default"


@dataclass(frozen=True, slots=True)
class Effective:
    """Settings, and where each value that is not a default came from: a file's name or a variable's."""

    settings: Settings
    origins: Mapping[Place, str]

    def origin(self, place: Place) -> str:
        """Where the value at a place came from: "default", a file, or a variable."""
        return origin_of(place, self.origins) or DEFAULT


def load_settings(path: Path | str | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """The settings of a file and the environment. SettingsError, one line, for whatever is wrong with them.

    Without `path` the file is the one that HEADRACE_SETTINGS names, else ./headrace.toml if it is there, else none.
    """
    return load_effective(path, environ).settings


def load_effective(path: Path | str | None = None, environ: Mapping[str, str] | None = None) -> Effective:
    """Like `load_settings`, with the origins of the values."""
    environ = os.environ if environ is None else environ
    file = settings_file(Path(path) if path is not None else None, environ)
    tree = read_file(file) if file else {}
    origins: dict[Place, str] = dict.fromkeys(leaves(tree), str(file)) if file else {}
    strangers = _overlay(tree, origins, environ)
    try:
        settings = Settings.model_validate(tree)
    except ValidationError as error:
        raise SettingsError(*strangers, *problems_of(error, origins, str(file or DEFAULT_FILE))) from None
    if strangers:
        raise SettingsError(*strangers)
    return Effective(settings, origins)


def _overlay(tree: dict[str, Any], origins: dict[Place, str], environ: Mapping[str, str]) -> list[str]:
    """Write the environment over the file's values. Returns a line for every variable that no setting knows."""
    strangers = []
    for name, place, value in variables(environ):
        names = tuple(part for part in place if isinstance(part, str))
        section = section_at(names[:-1])
        if not names or section is None or names[-1] not in section.model_fields:
            strangers.append(unknown(name, place))
            continue
        put(tree, place, copy.deepcopy(value), name)
        for known in [known for known in origins if known[: len(place)] == place]:
            del origins[known]
        origins.update(dict.fromkeys((place + inner for inner in leaves(value)), name))
    return strangers
