"""Regular expressions that no text makes slow. Pure.

Python's matcher goes back: where one repetition can end in many places and what follows does not fit, it tries each, at every
start. So each repetition has an end, stands over one character, and what is ambiguous is multiplied and bounded. Whoever needs
more than this writes two patterns. https://owasp.org/www-community/attacks/Regular_expression_Denial_of_Service_-_ReDoS
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final

MOST_REPEATED: Final = 256
MOST_COST: Final = 2_048
"""Steps of one pattern a character of text, at most."""

_KNOWN: Final = 256
"""Characters are told apart below this; all beyond are one."""
_parse: Final = import_module("re._parser").parse
_SINGLE: Final = ("LITERAL", "NOT_LITERAL", "IN", "ANY")
_REPEATS: Final = ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT")


def cost_of(pattern: str) -> int:
    """The most steps that a character of text costs. Raises ValueError, one line, for a pattern that may not be used.

    >>> cost_of("sk-[A-Za-z0-9]{16,64}")
    67
    """
    try:
        tree = _parse(pattern)
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"no regular expression: {error}") from None
    shortest, longest = tree.getwidth()
    ambiguous = _ambiguity(list(tree), None)
    if shortest == 0:
        raise ValueError("it matches nothing at all, which is everywhere")
    cost = int(longest) * ambiguous
    if cost > MOST_COST:
        raise ValueError(
            f"it could take {cost} steps a character, of {MOST_COST}: shorten repetitions, or let what follows one differ"
        )
    return cost


def _ambiguity(items: Sequence[Any], after: frozenset[int] | None) -> int:
    """In how many ways a text may be matched. `after`: what may follow; None where nothing has to."""
    total = 1
    for at, (op, argument) in enumerate(items):
        name = str(op)
        following = _first(items[at + 1 :], after)
        if name in _SINGLE or name == "AT":
            continue
        if name == "SUBPATTERN":
            total *= _ambiguity(list(argument[3]), following)
        elif name == "ATOMIC_GROUP":
            total *= _ambiguity(list(argument), following)
        elif name == "BRANCH":
            total *= sum(_ambiguity(list(each), following) for each in argument[1])
        elif name in _REPEATS:
            least, most, body = argument
            total *= _of_repeat(int(least), int(most), body, following)
        else:
            raise ValueError("references and looking ahead or behind may not be used")
    return total


def _of_repeat(least: int, most: int, body: Any, following: frozenset[int] | None) -> int:
    inner = list(body)
    if most > MOST_REPEATED:
        raise ValueError(f"a repetition has an end: {{m,n}} with n at most {MOST_REPEATED}, instead of * and +")
    if most <= 1:
        return 2 * _ambiguity(inner, following)
    if len(inner) != 1 or str(inner[0][0]) not in _SINGLE:
        raise ValueError("only a character or a class may be repeated, not a group")
    return 1 if following is None or not (_chars(inner[0]) & following) else most - least + 1


def _first(items: Sequence[Any], after: frozenset[int] | None) -> frozenset[int] | None:
    """With which characters what comes may begin; None where nothing has to come."""
    if not items:
        return after
    (op, argument), rest = items[0], items[1:]
    name = str(op)
    if name in _SINGLE:
        return _chars(items[0])
    if name == "SUBPATTERN":
        return _first([*argument[3], *rest], after)
    if name in _REPEATS:
        least, _, body = argument
        begins = _first(list(body), None)
        if least or begins is None:
            return begins
        later = _first(rest, after)
        return begins if later is None else begins | later
    return frozenset(range(_KNOWN + 1))  # an anchor or a choice: anything


def _chars(item: Any) -> frozenset[int]:
    name, argument = str(item[0]), item[1]
    everything = frozenset(range(_KNOWN + 1))
    if name == "LITERAL":
        return frozenset((min(argument, _KNOWN),))
    if name == "NOT_LITERAL":
        return everything - frozenset((argument,)) if argument < _KNOWN else everything
    if name == "ANY":
        return everything - frozenset((10,))
    found, negated = set[int](), False
    for op, given in argument:
        kind = str(op)
        if kind == "NEGATE":
            negated = True
        elif kind == "LITERAL":
            found.add(min(given, _KNOWN))
        elif kind == "RANGE":
            found.update(min(code, _KNOWN) for code in range(given[0], min(given[1], _KNOWN) + 1))
            found.update((_KNOWN,) if given[1] >= _KNOWN else ())
        else:
            found |= _category(str(given))
    if negated:
        return (everything - found) | {_KNOWN}
    return frozenset(found)


def _category(name: str) -> frozenset[int]:
    kind = name.removeprefix("CATEGORY_")
    negated = kind.startswith("NOT_")
    kind = kind.removeprefix("NOT_")
    pattern = {"DIGIT": r"\d", "SPACE": r"\s", "WORD": r"\w"}[kind]
    there = {code for code in range(_KNOWN) if re.match(pattern, chr(code))} | {_KNOWN}
    return frozenset(set(range(_KNOWN)) - there | {_KNOWN}) if negated else frozenset(there)
