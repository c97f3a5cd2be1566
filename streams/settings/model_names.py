"""How a provider's models are written: names with `*`, or a table from callers' names to the provider's."""

from typing import Annotated, Any, Final

from pydantic import PlainValidator

from schemas.limits import MODEL_CHARS
from streams.settings.units import Unit

_FORM: Final = 'a list of names such as ["gpt-*"], or a table such as { "smart" = "model-x", "gpt-*" = "openai/gpt-*" }'


def parse_models(value: object) -> list[str] | dict[str, str]:
    """At least one name. A `*` in the provider's name stands for what the `*` of the caller's name stood for."""
    if isinstance(value, list) and value and all(map(_is_name, value)):
        return value
    if isinstance(value, dict) and value and all(map(_is_name, value.values())) and all(map(_is_name, value)):
        if any(called.count("*") > min(1, name.count("*")) for name, called in value.items()):
            raise ValueError('a table in which a name has a "*" only where the caller\'s name has one')
        return value
    raise ValueError(_FORM)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MODEL_CHARS


_WINDOWS_FORM: Final = 'a table of models and their tokens, such as { "small-*" = 8192 }'


def parse_windows(value: object) -> dict[str, int]:
    """Tokens by name of the model."""
    if isinstance(value, dict) and all(map(_is_name, value)) and all(map(_is_count, value.values())):
        return value
    raise ValueError(_WINDOWS_FORM)


MODELS: Final = Unit("list or table", _FORM, parse_models, lambda value: value)

WINDOWS: Final = Unit("table", _WINDOWS_FORM, parse_windows, lambda value: value)

ContextWindows = Annotated[dict[str, int], PlainValidator(parse_windows), WINDOWS]

Models = Annotated[list[str] | dict[str, str], PlainValidator(parse_models), MODELS]
