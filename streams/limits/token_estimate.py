"""How many tokens a call will take: measured in bytes of text, and learnt for each model from what providers report.

A guess has to be on the safe side: what is reserved too much comes back when the call ends, what is reserved too little is
owed. So the 95th percentile of what was seen is used, within bounds that no text leaves by much (English has about 4 bytes
a token, https://help.openai.com/en/articles/4936856; other scripts have fewer).
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

_MESSAGE_TOKENS = 4  # around each message
_CALL_TOKENS = 8
_IMAGE_TOKENS = 1_600  # the most that one image takes at its usual sizes, of OpenAI's and Anthropic's
_SEEN = 128  # answers that are remembered
_AGAIN_AFTER = 8  # answers after which the percentile is taken anew
_FEW = 8  # fewer answers say nothing
_PERCENTILE = 0.95
_MODELS = 1_000


@dataclass(frozen=True, slots=True)
class Measure:
    """How the length of a text is measured, and how many tokens one unit of it is."""

    length: Callable[[str], int]
    first: float
    """Before anything was seen: a little more than what is usual."""
    least: float
    """What no plausible text is below."""
    most: float


def _bytes(text: str) -> int:
    return len(text.encode(errors="replace"))


BYTES: Final = Measure(_bytes, first=0.3, least=0.1, most=1.0)
"""English needs 0.25 tokens a byte; repeated text a little more than 0.1; a tokenizer of bytes is never above 1."""


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
    text_length: int = 0
    """Of the text behind `input`, as it is measured."""
    fixed: int = 0
    """Tokens of `input` that no text is behind."""
    caller: str = ""
    """Whose prompts begin alike: a conversation, or an agent."""

    @property
    def tokens(self) -> int:
        """The most that it may take."""
        return self.input + self.output

    def part(self, inputs: int, of: int) -> Estimate:
        """The share of `inputs` of its `of` inputs, rounded up."""

        def share(whole: int) -> int:
            return -(-whole * inputs // of)

        return Estimate(
            share(self.input),
            share(self.output),
            share(self.usual_output),
            share(self.least_input),
            share(self.least_output),
            share(self.text_length),
            share(self.fixed),
            self.caller,
        )

    def __add__(self, other: Estimate) -> Estimate:
        """Of both as one call, by the first one's caller."""
        return Estimate(
            self.input + other.input,
            self.output + other.output,
            self.usual_output + other.usual_output,
            self.least_input + other.least_input,
            self.least_output + other.least_output,
            self.text_length + other.text_length,
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
    rate: _Percentile
    output: _Percentile


class TokenEstimator:
    """Learns for each model. `default_output` is the guess for answers whose length nobody bounds, until some were seen.

    >>> estimator = TokenEstimator(default_output=500)
    >>> payload = {"model": "small", "messages": [{"role": "user", "content": "x" * 400}], "max_tokens": 64}
    >>> estimator.estimate("chat.completions", payload).tokens
    197
    """

    def __init__(self, default_output: int, measure: Measure = BYTES) -> None:
        self._default_output = default_output
        self._measure = measure
        self._models: OrderedDict[str, _Model] = OrderedDict()

    def estimate(self, operation: str, payload: Mapping[str, Any], caller: str = "") -> Estimate:
        """What a call with this payload (OpenAI's wire format) will take, rather too much than too little."""
        model = self._model(payload)
        embeds = operation == "embeddings"
        length, fixed = (_embeddings_size if embeds else _chat_size)(payload, self._measure.length)
        bound = 0 if embeds else _bounded_output(payload)
        usual = 0 if embeds else round(model.output.value) * _choices(payload)
        output = usual if bound is None else bound
        measure = self._measure
        rate = min(measure.most, max(measure.least, model.rate.value))
        return Estimate(
            fixed + int(rate * length) + 1,
            output,
            min(usual, output),
            (fixed if embeds else 0) + int(measure.least * length),  # what is given as tokens is certain
            bound or 0,
            length,
            fixed,
            caller,
        )

    def observe(
        self, payload: Mapping[str, Any], estimate: Estimate, prompt_tokens: int, completion_tokens: int
    ) -> None:
        """Learn from an answer's usage."""
        model = self._model(payload)
        if prompt_tokens > 0 and estimate.text_length >= 64:  # of a short text nothing can be learnt
            rate = (prompt_tokens - estimate.fixed) / estimate.text_length
            model.rate.add(min(self._measure.most, max(self._measure.least, rate)))
        if completion_tokens > 0:
            model.output.add(completion_tokens / _choices(payload))

    def _model(self, payload: Mapping[str, Any]) -> _Model:
        name = str(payload.get("model"))
        model = self._models.get(name)
        if model is None:
            model = self._models[name] = _Model(_Percentile(self._measure.first), _Percentile(self._default_output))
            if len(self._models) > _MODELS:
                self._models.popitem(last=False)
        else:
            self._models.move_to_end(name)
        return model


def _bounded_output(payload: Mapping[str, Any]) -> int | None:
    for key in ("max_completion_tokens", "max_tokens"):
        most = payload.get(key)
        if isinstance(most, int) and not isinstance(most, bool) and most >= 0:
            return most * _choices(payload)
    return None


def _choices(payload: Mapping[str, Any]) -> int:
    choices = payload.get("n")
    return choices if isinstance(choices, int) and not isinstance(choices, bool) and 1 <= choices <= 1024 else 1


def _embeddings_size(payload: Mapping[str, Any], measure: Callable[[str], int]) -> tuple[int, int]:
    """Length of the text, and tokens that were given as tokens."""
    given = payload.get("input")
    texts = given if isinstance(given, list) else [given]
    length = tokens = 0
    for text in texts:
        if isinstance(text, str):
            length += measure(text)
        else:
            tokens += len(text) if isinstance(text, list) else 1
    return length, tokens


def _chat_size(payload: Mapping[str, Any], measure: Callable[[str], int]) -> tuple[int, int]:
    """Length of the text, tools among it, and tokens for what is no text."""
    length, fixed = 0, _CALL_TOKENS
    messages = payload.get("messages")
    for message in messages if isinstance(messages, list) else []:
        if not isinstance(message, dict):
            continue
        fixed += _MESSAGE_TOKENS
        for key, value in message.items():
            if key == "content" and isinstance(value, list):
                for part in value:
                    part_length, part_fixed = _part_size(part, measure)
                    length, fixed = length + part_length, fixed + part_fixed
            elif isinstance(value, str):
                length += measure(value) if key != "role" else 0
            elif value is not None:
                length += measure(orjson.dumps(value).decode())
    for key in ("tools", "functions", "response_format"):
        if payload.get(key):
            length += measure(orjson.dumps(payload[key]).decode())
    return length, fixed


def _part_size(part: Any, measure: Callable[[str], int]) -> tuple[int, int]:
    """An image or a sound is not as many tokens as its base64 has bytes."""
    if not isinstance(part, dict):
        return measure(part) if isinstance(part, str) else 0, 0
    if isinstance(part.get("text"), str):
        return measure(part["text"]), 0
    return 0, _IMAGE_TOKENS
