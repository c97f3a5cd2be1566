"""Addresses to listen on."""

import re


def listen_address(value: str) -> str:
    """The address itself. Raises ValueError where it is none."""
    found = re.fullmatch(r"(?:\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):([0-9]{1,5})", value)
    if found is None or int(found[1]) > 65535:
        raise ValueError('HOST:PORT, such as "127.0.0.1:0" (port 0: any free one)')
    return value
