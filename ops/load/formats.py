"""Traces of other formats than Azure's, as rows of one kind: Mooncake's JSON lines, and ServeGen's windows of rates.

Mooncake (https://github.com/kvcache-ai/Mooncake, FAST'25 release): a line a request, `{"timestamp": ms, "input_length": tokens,
"output_length": tokens, "hash_ids": [...]}`; a hash id stands for 512 tokens, and equal ids at the begin are a shared prefix.

ServeGen (https://github.com/alibaba/ServeGen): a client's windows without a header, `seconds,rate,cv,pattern,arg1,arg2`, with the
sizes beside it in `…-dataset.json`; and sums over clients, `t_seconds,requests_per_second,active_clients`. Arrivals are drawn
with the window's mean and coefficient of variation (gamma, seed 0). Sizes that are not known are those of the shipped trace.
"""

from __future__ import annotations

import ast
import bisect
import csv
import itertools
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import orjson

from ops.load.trace_row import TraceError, TraceRow

KNOWN: Final = (
    "Azure (TIMESTAMP,ContextTokens,GeneratedTokens), Mooncake (JSON lines with timestamp, input_length, output_length, "
    "hash_ids), ServeGen (windows of rates, with or without a header)"
)
MOST_ROWS: Final = 1_000_000
"""Of traces that are drawn from rates: fourteen days of ServeGen's busiest model would be 900 million."""

SERVEGEN_SUM: Final = ["t_seconds", "requests_per_second", "active_clients"]
_MOST_TOKENS: Final = 10_000_000
_CLIENT_FIELDS: Final = 6
_LAST_WINDOW_S: Final = 600.0


def parse_mooncake(lines: Sequence[str], name: str) -> Iterator[TraceRow]:
    """Rows of JSON lines. Raises TraceError."""
    first_ms: float | None = None
    last_s = 0.0
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            found = orjson.loads(line)
            at_ms = float(found["timestamp"])
            sizes = (_tokens(found, "input_length"), _tokens(found, "output_length"))
            blocks = tuple(int(each) for each in found.get("hash_ids", ()))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            what = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
            raise TraceError(f"{name}, line {number}: no Mooncake request: {what}") from error
        first_ms = at_ms if first_ms is None else first_ms
        at_s = (at_ms - first_ms) / 1000
        if at_s < last_s:
            raise TraceError(f"{name}, line {number}: {at_ms:g} is earlier than the line before")
        last_s = at_s
        yield TraceRow(at_s, *sizes, blocks)


def _tokens(found: dict[str, Any], key: str) -> int:
    value = found[key]
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MOST_TOKENS:
        raise ValueError(f"{key} is {value!r}, not a number of tokens")
    return value


def looks_like_servegen(fields: Sequence[str]) -> bool:
    """Whether a first line is one of ServeGen's files."""
    if [field.strip() for field in fields] == SERVEGEN_SUM:
        return True
    return len(fields) == _CLIENT_FIELDS and _is_number(fields[0]) and not _is_number(fields[3])


def parse_servegen(lines: Sequence[str], path: Path, sizes: Sequence[TraceRow]) -> Iterator[TraceRow]:
    """Arrivals drawn from windows of rates, at most `MOST_ROWS`. `sizes`: rows whose tokens are taken where none are told."""
    rng, windows = random.Random(0), list(_windows(lines, str(path)))
    told = _Sizes(path, sizes)
    made = 0
    ends = [*(begin for begin, _, _ in windows[1:]), windows[-1][0] + _LAST_WINDOW_S] if windows else []
    for (begin, rate, cv), end in zip(windows, ends, strict=True):
        at_s = begin
        while rate > 0 and made < MOST_ROWS:
            shape = 1 / max(cv, 0.05) ** 2
            at_s += rng.gammavariate(shape, 1 / (rate * shape))
            if at_s >= end:
                break
            made += 1
            yield TraceRow(at_s - windows[0][0], *told.draw(begin, rng))


def _windows(lines: Sequence[str], name: str) -> Iterator[tuple[float, float, float]]:
    """Begin in seconds, requests a second and coefficient of variation of each window; Poisson where that is not told."""
    last = float("-inf")
    for number, row in enumerate(csv.reader(lines), 1):
        if not row or (number == 1 and not _is_number(row[0])):
            continue
        try:
            begin, rate = float(row[0]), float(row[1])
            cv = float(row[2]) if len(row) == _CLIENT_FIELDS and row[2].strip() else 1.0
            if not (begin > last and 0 <= rate < 1e6 and 0 <= cv < 100):
                raise ValueError("a time that does not rise, or a rate or variation out of range")
        except (ValueError, IndexError) as error:
            raise TraceError(f"{name}, line {number}: no ServeGen window: {error}") from error
        last = begin
        yield begin, rate, cv


class _Sizes:
    """Tokens of requests: of the window's dataset where there is one beside the trace."""

    def __init__(self, path: Path, others: Sequence[TraceRow]) -> None:
        self._others = others
        self._windows = _dataset(path.with_name(path.name.replace("-trace.csv", "-dataset.json")), path)
        self._begins = sorted(self._windows)

    def draw(self, at_s: float, rng: random.Random) -> tuple[int, int]:
        """Input and output tokens of a request."""
        place = bisect.bisect_right(self._begins, at_s)
        if not place:
            row = rng.choice(self._others)
            return row.prompt_tokens, row.completion_tokens
        given, made = self._windows[self._begins[place - 1]]
        return _pick(given, rng), _pick(made, rng)


_Pdf = tuple[list[int], list[float]]


def _pick(pdf: _Pdf, rng: random.Random) -> int:
    tokens, cumulated = pdf
    return tokens[min(bisect.bisect_left(cumulated, rng.random() * cumulated[-1]), len(tokens) - 1)]


def _dataset(path: Path, trace: Path) -> dict[float, tuple[_Pdf, _Pdf]]:
    if path == trace or not path.is_file():
        return {}
    try:
        found = orjson.loads(path.read_bytes())
        windows = {float(at): (_pdf(each["input_tokens"]), _pdf(each["output_tokens"])) for at, each in found.items()}
    except (ValueError, KeyError, TypeError, AttributeError, SyntaxError) as error:
        raise TraceError(f"{path}: no dataset of ServeGen: {error}") from error
    return {at: (given, made) for at, (given, made) in windows.items() if given[0] and made[0]}


def _pdf(text: str) -> _Pdf:
    shares = {int(tokens): float(share) for tokens, share in ast.literal_eval(text).items()}
    return list(shares), list(itertools.accumulate(shares.values()))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
