"""What every section of the settings is made of."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError


class Section(BaseModel):
    """One table of the settings file: immutable, checked whole, and closed to keys that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


def setting(default: Any, description: str, **limits: Any) -> Any:
    """A key with its default, written as the file would write it, a line on what it does, and its limits in base units.

    Every default is checked like a value of the user's.
    """
    return Field(default=default, description=description, **limits)


def required(description: str, **limits: Any) -> Any:
    """A key without a default."""
    return Field(description=description, **limits)


def conflict(message: str, *keys: str) -> PydanticCustomError:
    """Two keys of one section that cannot both hold. `keys` are relative to the section and find the place to name."""
    return PydanticCustomError("conflict", "{message}", {"message": message, "keys": keys})
