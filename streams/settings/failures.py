"""How failures are named in the settings: by HTTP status, by the provider's code, or in words."""

import re
from typing import Annotated, Final

from pydantic import PlainValidator

from streams.settings.units import Unit

_FORM: Final = 'a list of statuses (400), codes ("content_filter"), "timeout" or "unreachable"'


def parse_failures(value: object) -> list[str]:
    """Names as text, in lower case."""
    if isinstance(value, list) and all(isinstance(each, int | str) and not isinstance(each, bool) for each in value):
        names = [str(each).lower() for each in value]
        if all(re.fullmatch(r"[!-~]{1,128}", name) for name in names):
            return names
    raise ValueError(_FORM)


FAILURES: Final = Unit("list", _FORM, parse_failures, lambda value: value)

FailureNames = Annotated[list[str], PlainValidator(parse_failures), FAILURES]
