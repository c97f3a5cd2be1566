"""Text of strangers on a terminal: what could steer it is written as an escape.

Control characters, C1 ones among them (U+009B begins a command as ESC [ does), and characters that change the direction of text
(CVE-2021-42574) or are not seen.
"""

from __future__ import annotations

import re
from typing import Final

_JOINERS: Final = "\u200c\u200d"  # emoji and some scripts need them, and they steer nothing
_PLAIN_ASCII: Final = re.compile(r"[ -~\n\t]*")


def plain(text: str) -> str:
    """The text on as many lines as it has.

    >>> plain("a\\x1b[2J\\u009b1m\\u202e")
    'a\\\\x1b[2J\\\\x9b1m\\\\u202e'
    """
    if _PLAIN_ASCII.fullmatch(text):
        return text
    return "".join(each if _is_plain(each) else each.encode("unicode_escape").decode() for each in text)


def one_line(text: str) -> str:
    """The text on one line: who writes a line break writes no line of ours.

    >>> one_line("a\\nb")
    'a\\\\nb'
    """
    return plain(text).replace("\n", "\\n").replace("\t", "\\t")


def plain_json(text: str) -> str:
    """JSON text that says the same: in it such characters stand in strings only, where JSON has escapes of its own."""
    if _PLAIN_ASCII.fullmatch(text):
        return text
    return "".join(each if _is_plain(each) else _json_escape(each) for each in text)


def _is_plain(each: str) -> bool:
    return each.isprintable() or each in "\n\t" or each in _JOINERS


def _json_escape(each: str) -> str:
    raw = each.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{raw[at : at + 4]}" for at in range(0, len(raw), 4))


def formula_free(text: str) -> str:
    """A cell of a CSV. A name may be anybody's to choose: none is a formula in a spreadsheet; numbers stay numbers.

    >>> formula_free("=1+1"), formula_free("-2.5"), formula_free("-cmd")
    ("'=1+1", '-2.5', "'-cmd")
    """
    if text[:1] == "-" and (len(text) == 1 or text[1:].replace(".", "", 1).isdecimal()):
        return text
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t") else text
