"""How many tokens a call will take: counted in bytes of text, and learnt for each model from what providers report.

A guess has to be on the safe side: what is reserved too much comes back when the call ends, what is reserved too little is
owed. So the 95th percentile of what was seen is used, within bounds that no text leaves by much (English has about 4 bytes
a token, https://help.openai.com/en/articles/4936856; other scripts have fewer).
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

_FIRST_TOKENS_A_BYTE = 0.3  # a little more than English needs
_LEAST, _MOST = 0.1, 1.0  # tokens a byte; 0.1 is less than repeated text takes, 1 what no tokenizer of bytes is above
_MESSAGE_TOKENS = 4  # around each message
_CALL_TOKENS = 8
_IMAGE_TOKENS = 1_600  # the most that one image takes at its usual sizes, of OpenAI's and Anthropic's
_SEEN = 128  # answers that are remembered
_AGAIN_AFTER = 8  # answers after which the percentile is taken anew
_FEW = 8  # fewer answers say nothing
_PERCENTILE = 0.95
_MODELS = 1_000


@dataclass(frozen=True, slots=True)
class Estimate:
    """Tokens of one call before it is made."""

    input: int = 0
    """Rather too much than too little."""
    output: int = 0
    """The most that the answer may have: what its caller set, else what answers of the model had."""
    usual_output: int = 0
    """What answers of the model had, at most `output`."""
    least_input: int = 0
    """What no text of this length is below."""
    least_output: int = 0
    """What its caller set; 0 without it."""
    input_bytes: int = 0
    """Bytes of text behind `input`."""
    fixed: int = 0
    """Tokens of `input` that no text is behind."""
    caller: str = ""
    """Whose prompts begin alike: a conversation, or an agent."""

    @property
    def tokens(self) -> int:
        """The most that it may take."""
        return self.input + self.output

    def __add__(self, other: Estimate) -> Estimate:
        """Of both as one call, by the first one's caller."""
        return Estimate(
            self.input + other.input,
            self.output + other.output,
            self.usual_output + other.usual_output,
            self.least_input + other.least_input,
            self.least_output + other.least_output,
            self.input_bytes + other.input_bytes,
            self.fixed + other.fixed,
            self.caller,
        )


NO_ESTIMATE: Final = Estimate()
"""Of a call that no limit asks for."""


@dataclass(slots=True)
class _Percentile:
    """Of the last values, taken anew now and then."""

    at_first: float
    value: float = field(init=False)
    _seen: deque[float] = field(default_factory=lambda: deque(maxlen=_SEEN))
    _new: int = 0

    def __post_init__(self) -> None:
        self.value = self.at_first

    def add(self, value: float) -> None:
        self._seen.append(value)
        self._new += 1
        if len(self._seen) >= _FEW and self._new >= _AGAIN_AFTER:
            self._new = 0
            self.value = sorted(self._seen)[int(_PERCENTILE * (len(self._seen) - 1) + 0.999)]


@dataclass(slots=True)
class _Model:
    tokens_a_byte: _Percentile
    output: _Percentile


class TokenEstimator:
    """Learns for each model. `default_output` is the guess for answers whose length nobody bounds, until some were seen.

    >>> estimator = TokenEstimator(default_output=500)
    >>> payload = {"model": "small", "messages": [{"role": "user", "content": "x" * 400}], "max_tokens": 64}
    >>> estimator.estimate("chat.completions", payload).tokens
    197
    """

    def __init__(self, default_output: int) -> None:
        self._default_output = default_output
        self._models: OrderedDict[str, _Model] = OrderedDict()

    def estimate(self, operation: str, payload: Mapping[str, Any], caller: str = "") -> Estimate:
        """What a call with this payload (OpenAI's wire format) will take, rather too much than too little."""
        model = self._model(payload)
        embeds = operation == "embeddings"
        text_bytes, fixed = _embeddings_size(payload) if embeds else _chat_size(payload)
        bound = 0 if embeds else _bounded_output(payload)
        usual = 0 if embeds else round(model.output.value) * _choices(payload)
        output = usual if bound is None else bound
        rate = min(_MOST, max(_LEAST, model.tokens_a_byte.value))
        return Estimate(
            fixed + int(rate * text_bytes) + 1,
            output,
            min(usual, output),
            (fixed if embeds else 0) + int(_LEAST * text_bytes),  # what is given as tokens is certain
            bound or 0,
            text_bytes,
            fixed,
            caller,
        )

    def observe(
        self, payload: Mapping[str, Any], estimate: Estimate, prompt_tokens: int, completion_tokens: int
    ) -> None:
        """Learn from an answer's usage."""
        model = self._model(payload)
        if prompt_tokens > 0 and estimate.input_bytes >= 64:  # of a few bytes nothing can be learnt
            rate = (prompt_tokens - estimate.fixed) / estimate.input_bytes
            model.tokens_a_byte.add(min(_MOST, max(_LEAST, rate)))
        if completion_tokens > 0:
            model.output.add(completion_tokens / _choices(payload))

    def _model(self, payload: Mapping[str, Any]) -> _Model:
        name = str(payload.get("model"))
        found = self._models.get(name)
        if found is None:
            found = self._models[name] = _Model(_Percentile(_FIRST_TOKENS_A_BYTE), _Percentile(self._default_output))
            if len(self._models) > _MODELS:
                self._models.popitem(last=False)
        else:
            self._models.move_to_end(name)
        return found


def _bounded_output(payload: Mapping[str, Any]) -> int | None:
    for key in ("max_completion_tokens", "max_tokens"):
        most = payload.get(key)
        if isinstance(most, int) and not isinstance(most, bool) and most >= 0:
            return most * _choices(payload)
    return None


def _choices(payload: Mapping[str, Any]) -> int:
    choices = payload.get("n")
    return choices if isinstance(choices, int) and not isinstance(choices, bool) and 1 <= choices <= 1024 else 1


def _embeddings_size(payload: Mapping[str, Any]) -> tuple[int, int]:
    """Bytes of text, and tokens that were given as tokens."""
    given = payload.get("input")
    texts = given if isinstance(given, list) else [given]
    text_bytes = tokens = 0
    for text in texts:
        if isinstance(text, str):
            text_bytes += len(text.encode(errors="replace"))
        else:
            tokens += len(text) if isinstance(text, list) else 1
    return text_bytes, tokens


def _chat_size(payload: Mapping[str, Any]) -> tuple[int, int]:
    """Bytes of text, tools among it, and tokens for what is no text."""
    text_bytes, fixed = 0, _CALL_TOKENS
    messages = payload.get("messages")
    for message in messages if isinstance(messages, list) else []:
        if not isinstance(message, dict):
            continue
        fixed += _MESSAGE_TOKENS
        for key, value in message.items():
            if key == "content" and isinstance(value, list):
                for part in value:
                    part_bytes, part_fixed = _part_size(part)
                    text_bytes, fixed = text_bytes + part_bytes, fixed + part_fixed
            elif isinstance(value, str):
                text_bytes += len(value.encode(errors="replace")) if key != "role" else 0
            elif value is not None:
                text_bytes += len(orjson.dumps(value))
    for key in ("tools", "functions", "response_format"):
        if payload.get(key):
            text_bytes += len(orjson.dumps(payload[key]))
    return text_bytes, fixed


def _part_size(part: Any) -> tuple[int, int]:
    """An image or a sound is not as many tokens as its base64 has bytes."""
    if not isinstance(part, dict):
        return len(part.encode(errors="replace")) if isinstance(part, str) else 0, 0
    if isinstance(part.get("text"), str):
        return len(part["text"].encode(errors="replace")), 0
    return 0, _IMAGE_TOKENS
