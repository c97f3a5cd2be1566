"""Names of hosts: which are this machine's, and by which a server is asked for. Pure."""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import ip_address


def is_loopback(host: str) -> bool:
    """Whether a listener on this host is reached from this machine alone.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("0.0.0.0"), is_loopback("example.org")
    (True, True, False, False)
    """
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def is_asked_for_by_name(host: str, names: Collection[str]) -> bool:
    """Whether a Host header is an address, `localhost` or one of `names`.

    Any other name was led here by somebody else's DNS: so does a page in a browser reach a server of its user's own machine (DNS
    rebinding).

    >>> is_asked_for_by_name("127.0.0.1:4000", ()), is_asked_for_by_name("evil.example:4000", ())
    (True, False)
    """
    name = host[1 : host.find("]")] if host.startswith("[") else host.partition(":")[0]
    if name.lower() in ("localhost", *names):
        return True
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
