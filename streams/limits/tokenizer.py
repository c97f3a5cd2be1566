"""An exact count of tokens, for those who install `headrace[tokenizer]`: a tokenizer that has its vocabularies inside.

Nothing is downloaded. It costs 2 s at the start and some 12 us a kilobyte of text. It is exact for OpenAI's models, and for
others a better measure than bytes: what is learnt of a model is then how many of its tokens one of these is.
"""

from __future__ import annotations

from importlib import import_module

from streams.limits.token_estimate import BYTES, Measure
from streams.settings import SettingsError


def measure_of(tokenizer: str) -> Measure:
    """What `limits.tokenizer` names. Raises SettingsError where the extra is not installed."""
    if tokenizer == "none":
        return BYTES
    try:
        count = import_module("toktok").batch_count
    except ImportError:
        raise SettingsError(
            f"limits.tokenizer: {tokenizer} needs an extra package: pip install 'headrace[tokenizer]'"
        ) from None
    count([""], tokenizer)  # the vocabulary is read now, and not while the first request waits

    def length(text: str) -> int:
        tokens: int = count([text.encode(errors="replace").decode()], tokenizer)[0]
        return tokens

    return Measure(length, first=1.1, least=0.5, most=3.0)
