"""Names and ids as the Messages API takes them, and back. Pure.

Its tool names and tool-call ids match `^[a-zA-Z0-9_-]+$`, names up to 128 characters. Others use more: `functions.look:0` is
an id of Kimi, `server.look` a name of many tool servers. What fits stays as it is. What does not is written byte by byte, so that
two names never become one, the same name always becomes the same (it stays in the prompt cache), and a name can be read back.
"""

from __future__ import annotations

import re
from typing import Final

NAME_CHARS: Final = 128
"""Of a tool's name: https://docs.claude.com/en/docs/agents-and-tools/tool-use/implement-tool-use."""

_MARK: Final = "u8-"
_FITS: Final = re.compile(r"[a-zA-Z0-9_-]+")
_WRITTEN: Final = re.compile(r"u8-((?:[a-zA-Z0-9_]|-[0-9a-f]{2})*)")
_ESCAPED_BYTES: Final = re.compile(rb"[^a-zA-Z0-9_]")


def legal_name(name: str) -> str:
    """The name, where it fits; else one that does and that no other name becomes.

    >>> legal_name("look-up"), legal_name("functions.look:0")
    ('look-up', 'u8-functions-2elook-3a0')
    """
    return name if _FITS.fullmatch(name) and not name.startswith(_MARK) else _written(name)


def _written(name: str) -> str:
    return _MARK + _ESCAPED_BYTES.sub(lambda matched: b"-%02x" % matched[0][0], name.encode(errors="replace")).decode()


def original_name(name: str) -> str:
    """What `legal_name` was given.

    >>> original_name("u8-functions-2elook-3a0")
    'functions.look:0'
    """
    matched = _WRITTEN.fullmatch(name)
    if matched is None:
        return name
    try:
        return re.sub(rb"-([0-9a-f]{2})", lambda byte: bytes.fromhex(byte[1].decode()), matched[1].encode()).decode()
    except UnicodeDecodeError:
        return name


def nth_id(name: str, use: int) -> str:
    """The id of a call whose id was used before in the same chat, as some providers count anew in each answer: the API wants
    every one once. `use` counts from 1. No other id becomes it: `-r` is no byte.
    """
    return legal_name(name) if use == 1 else f"{_written(name)}-r{use}"
