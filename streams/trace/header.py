"""The header `trace` of an answer, version 1: what became of the request, in at most 190 bytes. Big-endian, no padding.

    version 1              u8
    cache                  u8   none, memory, disk, joined
    total                  u32  all times are tenths of a millisecond since the record's timestamp; 2^32 - 1: it did not happen
    read                   u32  a worker had it
    passed on              u32  the cache has no answer
    queued                 u32  it waits for dispatch; before that it had joined another request's call
    dispatched             u32
    attempts               u16  all of them
    counts                 5 x u8  waits before dispatch, waits between attempts, first attempts, last attempts, endpoints
    waits                  each u8 reason, u8 of what (bits), u32 how long in all
    attempts               each u8 endpoint, u8 outcome, u16 HTTP status or 0, u32 began, u32 took
    endpoints              each u8 length, UTF-8

Numbers are those of `words.py`. What does not fit is shortened: attempts in the middle are left out, names cut in their middle,
the shortest waits told together as reason 255.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from struct import Struct, error
from typing import Final, NamedTuple

from streams.trace import words
from streams.trace.marks import FIRST, LAST, CallMarks, Marks, Try, Wait

MOST_BYTES: Final = 190
"""With its name and the lengths of both on the wire 200."""

VERSION: Final = 1
NEVER: Final = 2**32 - 1
_MOST: Final = NEVER - 1
_HEAD: Final = Struct(">BBIIIIIHBBBBB")
_WAIT: Final = Struct(">BBI")
_TRY: Final = Struct(">BBHII")
_MOST_STATUS: Final = 999

_CACHES: Final = words.numbers(words.CACHES)
_REASONS: Final = words.numbers(words.REASONS)
_OUTCOMES: Final = words.numbers(words.OUTCOMES)

_PLANS: Final = ((FIRST, LAST, 6, 40), (FIRST, 3, 4, 24), (1, 2, 3, 20), (1, 1, 2, 16))
"""How many first and last attempts, waits of each kind, and bytes of a name: the first that fits. The last one always does."""


class TraceError(ValueError):
    """Bytes that are no trace of a version that is known here."""


class Waited(NamedTuple):
    """How long in all it waited for one thing, in tenths of a millisecond. `of`: of what, where `reason` does not say it."""

    reason: str
    of: str
    took_100us: int


class Tried(NamedTuple):
    """An attempt. Times in tenths of a millisecond; `began_100us` since the record's timestamp."""

    endpoint: str
    outcome: str
    status: int
    began_100us: int
    took_100us: int


class Trace(NamedTuple):
    """What a header says. Times are tenths of a millisecond since the record's timestamp; None: it did not happen."""

    cache: str
    total_100us: int
    read_100us: int | None = None
    passed_on_100us: int | None = None
    queued_100us: int | None = None
    dispatched_100us: int | None = None
    waits: Sequence[Waited] = ()
    """Before it was dispatched, the longest first."""
    call_waits: Sequence[Waited] = ()
    """Between its attempts."""
    attempts: int = 0
    first: Sequence[Tried] = ()
    last: Sequence[Tried] = ()
    """The last attempts, where they are not among the first; those in between were left out."""


# ---- out


def header_of(
    received_at: float,
    now: float,
    *,
    read_at: float,
    cache: str,
    marks: Marks | None = None,
    dispatched_at: float | None = None,
    attempts: int = 0,
    call: CallMarks | None = None,
) -> bytes:
    """The header of an answer that is made now. Times are Unix seconds by one clock."""
    try:
        encoded = _quickly(received_at, now, read_at, cache, marks, dispatched_at, attempts, call)
    except (error, KeyError):  # a clock that stepped back, a time of days, a word that is not known
        encoded = None
    if encoded is not None and len(encoded) <= MOST_BYTES:
        return encoded
    return encode(trace_of(received_at, now, read_at, cache, marks, dispatched_at, attempts, call))


def _quickly(
    received_at: float,
    now: float,
    read_at: float,
    cache: str,
    marks: Marks | None,
    dispatched_at: float | None,
    attempts: int,
    call: CallMarks | None,
) -> bytes | None:
    """As `encode(trace_of(...))` of a usual request, for a fifth of the time; None where it is not one."""
    total, read = int((now - received_at) * 10_000 + 0.5), int((read_at - received_at) * 10_000 + 0.5)
    if marks is None:
        return _HEAD.pack(VERSION, _CACHES[cache], total, read, NEVER, NEVER, NEVER, 0, 0, 0, 0, 0, 0)
    waits, call_waits, tries, names = marks.waits, _NO_WAITS, _NO_TRIES, b""
    if call is not None:
        call_waits, tries = call.waits, call.tries
        if call_waits or len(tries) > 1 or attempts != len(tries):
            return None
    if len(waits) > 1:
        return None
    parts = b"".join(
        [_WAIT.pack(_REASONS[what[0]], words.OF_BITS[what[1]], int(waits[what] * 10_000 + 0.5)) for what in waits]
    )
    for began_at, took_s, endpoint, outcome, status, _ in tries:
        began, took = int((began_at - received_at) * 10_000 + 0.5), int(took_s * 10_000 + 0.5)
        parts += _TRY.pack(0, _OUTCOMES[outcome], status, began, took)
        names = _length_and_name(endpoint)
    queued_at = marks.queued_at
    return (
        _HEAD.pack(
            VERSION,
            _CACHES[cache],
            total,
            read,
            int((marks.passed_on_at - received_at) * 10_000 + 0.5),
            NEVER if queued_at is None else int((queued_at - received_at) * 10_000 + 0.5),
            NEVER if dispatched_at is None else int((dispatched_at - received_at) * 10_000 + 0.5),
            attempts,
            len(waits),
            0,
            len(tries),
            0,
            1 if names else 0,
        )
        + parts
        + names
    )


_NO_WAITS: Final[Mapping[Wait, float]] = {}
_NO_TRIES: Final[Sequence[Try]] = ()


@lru_cache(maxsize=1024)
def _length_and_name(endpoint: str) -> bytes:
    name = _shortened(endpoint, _PLANS[0][3])
    return bytes((len(name),)) + name


def trace_of(
    received_at: float,
    now: float,
    read_at: float,
    cache: str,
    marks: Marks | None,
    dispatched_at: float | None,
    attempts: int,
    call: CallMarks | None,
) -> Trace:
    """What the header of an answer says; see `header_of`."""
    total, read = _tenths(now - received_at), _tenths(read_at - received_at)
    if marks is None:
        return Trace(cache, total, read)
    tries: Sequence[Tried] = ()
    call_waits: Sequence[Waited] = ()
    if call is not None:
        tries = [_tried(one, received_at) for one in call.tries]
        call_waits = _waits(call.waits)
    elided = attempts > len(tries)
    return Trace(
        cache,
        total,
        read,
        _tenths(marks.passed_on_at - received_at),
        None if marks.queued_at is None else _tenths(marks.queued_at - received_at),
        None if dispatched_at is None else _tenths(dispatched_at - received_at),
        _waits(marks.waits),
        call_waits,
        max(attempts, len(tries)),
        tries[:FIRST] if elided else tries,
        tries[FIRST:] if elided else (),
    )


def encode(trace: Trace) -> bytes:
    """A header's bytes; MOST_BYTES at most, whatever the trace holds."""
    for first, last, waits, name_bytes in _PLANS:
        encoded = _encode(trace, first, last, waits, name_bytes)
        if len(encoded) <= MOST_BYTES:
            break
    return encoded


def _encode(trace: Trace, most_first: int, most_last: int, most_waits: int, name_bytes: int) -> bytes:
    told = [*trace.first, *trace.last]
    if len(told) <= most_first + most_last and not trace.last:
        first, last = told, []
    else:
        first = told[:most_first]
        last = told[max(most_first, len(told) - most_last) :]
    waits, call_waits = _fewer(trace.waits, most_waits), _fewer(trace.call_waits, most_waits)
    names: dict[bytes, int] = {}
    body = [_WAIT.pack(_REASONS.get(each.reason, words.UNKNOWN), words.OF_BITS.get(each.of, 0), _bounded(each.took_100us))
            for each in (*waits, *call_waits)]  # fmt: skip
    for each in (*first, *last):
        name = _shortened(each.endpoint, name_bytes)
        body.append(
            _TRY.pack(
                names.setdefault(name, len(names)),
                _OUTCOMES.get(each.outcome, words.UNKNOWN),
                each.status if 0 <= each.status <= _MOST_STATUS else 0,
                _bounded(each.began_100us),
                _bounded(each.took_100us),
            )
        )
    head = _HEAD.pack(
        VERSION,
        _CACHES.get(trace.cache, words.UNKNOWN),
        _bounded(trace.total_100us),
        _offset(trace.read_100us),
        _offset(trace.passed_on_100us),
        _offset(trace.queued_100us),
        _offset(trace.dispatched_100us),
        min(max(0, trace.attempts), 0xFFFF),
        len(waits),
        len(call_waits),
        len(first),
        len(last),
        len(names),
    )
    return b"".join((head, *body, *(bytes((len(name),)) + name for name in names)))


def _fewer(waits: Sequence[Waited], most: int) -> Sequence[Waited]:
    """The longest ones, and the others as one of no name."""
    if len(waits) <= most:
        return waits
    kept = sorted(waits, key=lambda each: -each.took_100us)[: most - 1]
    rest = sum(each.took_100us for each in waits) - sum(each.took_100us for each in kept)
    return [*kept, Waited(words.OTHER, "", rest)]


@lru_cache(maxsize=1024)
def _shortened(name: str, most: int) -> bytes:
    """UTF-8, cut in its middle: both a provider's name and the end of a host tell something."""
    encoded = name.encode("utf-8", "replace")
    if len(encoded) <= most:
        return encoded
    head, tail = encoded[: most - 3 - (most - 3) // 3], encoded[len(encoded) - (most - 3) // 3 :]
    return head.decode("utf-8", "ignore").encode() + "…".encode() + tail.decode("utf-8", "ignore").encode()


def _waits(waits: Mapping[Wait, float]) -> Sequence[Waited]:
    told = [Waited(reason, of, _tenths(seconds)) for (reason, of), seconds in waits.items()]
    if len(told) > 1:
        told.sort(key=lambda each: -each.took_100us)
    return told


def _tried(one: Try, received_at: float) -> Tried:
    return Tried(one.endpoint, one.outcome, one.status, _tenths(one.began_at - received_at), _tenths(one.took_s))


def _tenths(seconds: float) -> int:
    tenths = int(seconds * 10_000 + 0.5)
    return 0 if tenths < 0 else min(tenths, _MOST)


def _bounded(tenths: int) -> int:
    return min(max(0, tenths), _MOST)


def _offset(tenths: int | None) -> int:
    return NEVER if tenths is None else _bounded(tenths)


# ---- in


def decode(value: bytes) -> Trace:
    """What a header says. Raises TraceError, and nothing else, for whatever is none."""
    if len(value) > MOST_BYTES:
        raise TraceError(f"a trace has {MOST_BYTES} bytes at most, and this {len(value)}")
    if value[:1] != b"\x01":
        raise TraceError("not a trace of version 1")
    try:
        return _decode(bytes(value))
    except (error, IndexError, UnicodeDecodeError) as broken:
        raise TraceError(f"a broken trace: {broken}") from broken


def _decode(value: bytes) -> Trace:
    _, cache, total, read, passed_on, queued, dispatched, attempts, *counts = _HEAD.unpack_from(value)
    waits, call_waits, first, last, endpoints = counts
    at = _HEAD.size
    ends = at + _WAIT.size * (waits + call_waits)
    tries_end = ends + _TRY.size * (first + last)
    if tries_end > len(value):
        raise TraceError("a trace that is cut off")
    waited = [
        Waited(words.word(words.REASONS, reason), words.OF_WORDS.get(of, words.OTHER), took)
        for reason, of, took in _WAIT.iter_unpack(value[at:ends])
    ]
    names: list[str] = []
    at = tries_end
    for _ in range(endpoints):
        behind = at + 1 + value[at]
        if behind > len(value):
            raise TraceError("a trace that is cut off")
        names.append(value[at + 1 : behind].decode())
        at = behind
    if at != len(value):
        raise TraceError("a trace with something behind it")
    tried = [
        Tried(names[name], words.word(words.OUTCOMES, outcome), status, began, took)
        for name, outcome, status, began, took in _TRY.iter_unpack(value[ends:tries_end])
    ]
    return Trace(
        words.word(words.CACHES, cache),
        total,
        _happened(read),
        _happened(passed_on),
        _happened(queued),
        _happened(dispatched),
        waited[:waits],
        waited[waits:],
        attempts,
        tried[:first],
        tried[first:],
    )


def _happened(tenths: int) -> int | None:
    return None if tenths == NEVER else tenths
