"""A client certificate that was replaced is shown by the next connection, without a restart."""

from __future__ import annotations

import ssl
from pathlib import Path

import trustme

from streams.settings.tls import RotatingContext


def _shown(client: ssl.SSLContext, server: ssl.SSLContext) -> str:
    """The name in the certificate that the client shows, after a handshake in memory."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = client.wrap_bio(to_client, to_server, server_hostname="localhost")
    other = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for side in (one, other):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    found = other.getpeercert()
    assert found is not None
    return str(found["subjectAltName"][0][1])


def _write(ca: trustme.CA, name: str, file: Path) -> None:
    part = file.with_suffix(".part")
    part.write_bytes(ca.issue_cert(name).private_key_and_cert_chain_pem.bytes())
    part.replace(file)


def test_a_rotated_certificate_is_taken_when_it_fits_and_half_of_one_is_not(tmp_path: Path) -> None:
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca")
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.verify_mode = ssl.CERT_REQUIRED
    ca.configure_trust(server)
    ca.issue_cert("localhost").configure_cert(server)
    file = tmp_path / "client.pem"
    _write(ca, "first@example", file)
    client = RotatingContext.of(tmp_path / "ca", file, file)
    assert client.check_hostname
    assert client.verify_mode is ssl.CERT_REQUIRED
    assert _shown(client, server) == "first@example"
    assert not client.refresh()
    file.write_bytes(file.read_bytes()[:200])
    assert not client.refresh()
    assert _shown(client, server) == "first@example"
    _write(ca, "second@example", file)
    assert client.refresh()
    assert _shown(client, server) == "second@example"
    file.unlink()
    assert not client.refresh()
