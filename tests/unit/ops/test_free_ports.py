"""Ports for brokers: free, and none that the system might give to a connection."""

from __future__ import annotations

import socket

from ops.brokers.ready import free_ports


def test_ports_are_free_differ_and_are_no_connections_own() -> None:
    """A client that looks for a broker which is away connects to itself where its own port is the broker's (TCP's simultaneous
    open, RFC 9293 3.5), and holds the port.
    """
    ports = free_ports(20)
    assert len(set(ports)) == 20
    assert all(1024 < port < 32_768 for port in ports)
    for port in ports:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", port))
