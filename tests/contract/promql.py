"""Names and labels that a PromQL expression asks for. Enough of a parser for expressions of our own."""

import re
from dataclasses import dataclass, field

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_GROUPING = re.compile(r"\b(by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_SELECTOR = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(\{[^}]*\})?(?!\s*\()(?![a-zA-Z0-9_:])")
_LABEL = re.compile(r"([a-zA-Z_][a-zA-Z0-9_]*)\s*(?:=~|!~|!=|=)")
_WORDS = {"and", "or", "unless", "bool", "offset", "inf", "nan"}


@dataclass(frozen=True, slots=True)
class Asked:
    """`selectors` are metrics with the labels in their braces; `grouped` the labels that results are grouped by."""

    selectors: list[tuple[str, frozenset[str]]] = field(default_factory=list)
    grouped: frozenset[str] = frozenset()


def asked(expr: str) -> Asked:
    """What the expression asks for.

    >>> asked('sum by (a) (rate(m{b="x"}[5m])) > 1').selectors
    [('m', frozenset({'b'}))]
    """
    text = _STRING.sub('""', expr)
    grouped = frozenset(
        label.strip() for _, labels in _GROUPING.findall(text) for label in labels.split(",") if label.strip()
    )
    text = re.sub(r"\[[^\]]*\]", "", _GROUPING.sub("", text))
    text = re.sub(r"\boffset\s+\S+", "", text)
    selectors = []
    for name, braces in _SELECTOR.findall(text):
        if name not in _WORDS:
            selectors.append((name, frozenset(_LABEL.findall(braces))))
    return Asked(selectors, grouped)
