"""TLS of a front: a real listener, real handshakes, certificates that are exchanged under it."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import aiohttp
import pytest
import trustme
from aiohttp import web
from structlog.testing import capture_logs

from streams.front.guards import Bounds
from streams.front.listener import listening
from streams.front.tls import Certificate, CertificateError
from streams.metrics import definitions as metrics

CA = trustme.CA()


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "cert.pem", tmp_path / "key.pem"


def write(files: tuple[Path, Path], name: str, *, cert: bool = True, key: bool = True) -> None:
    pair = CA.issue_cert(name)
    if cert:
        files[0].write_bytes(b"".join(blob.bytes() for blob in pair.cert_chain_pems))
    if key:
        files[1].write_bytes(pair.private_key_pem.bytes())


async def shown(port: int, *, names: bool = True, most: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> str:
    """The name in the certificate that a new connection is shown."""
    context = ssl.create_default_context()
    context.maximum_version = most
    CA.configure_trust(context)
    context.check_hostname = False
    server_hostname = "front.example" if names else None
    if not names:
        context.set_alpn_protocols(["http/1.1"])
    _, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=context, server_hostname=server_hostname or "127.0.0.1"
    )
    try:
        found = writer.get_extra_info("peercert")
        return str(found["subjectAltName"][0][1])
    finally:
        writer.close()


async def until_shown(port: int, name: str) -> None:
    async with asyncio.timeout(60):
        while await shown(port) != name:  # noqa: ASYNC110 - the listener has no event for its clients
            await asyncio.sleep(0.02)


async def test_new_connections_get_the_new_certificate_and_a_broken_one_keeps_the_old(files: tuple[Path, Path]) -> None:
    """Renewing is two writes, and between them the pair does not fit (jmrplens/libgen-mcp#176, kanidm/kanidm#3140)."""
    write(files, "one.example")
    certificate = Certificate(*files, look_every_s=0.02)
    certificate.watch()
    bounds = Bounds(10, 5, 5, 5)
    async with listening(web.Application(), "127.0.0.1", 0, bounds, certificate, last_answers_s=1) as url:
        assert url.startswith("https://")
        port = int(url.rpartition(":")[2])
        assert await shown(port) == "one.example"
        assert await shown(port, names=False) == "one.example"
        write(files, "two.example")
        await until_shown(port, "two.example")
        assert await shown(port, names=False) == "two.example"  # a client that names no server gets it too
        with capture_logs() as logs:
            write(files, "three.example", key=False)
            await asyncio.sleep(0.3)
            assert await shown(port) == "two.example"
            files[0].write_text("-----BEGIN CERTIFICATE-----\nhalf")
            await asyncio.sleep(0.3)
            files[0].unlink()
            await asyncio.sleep(0.3)
            assert await shown(port) == "two.example"
        assert [each["event"] for each in logs] == [
            "the new certificate cannot be used; the one before it stays in use"
        ] * 3
        write(files, "four.example")
        await until_shown(port, "four.example")
    await certificate.stop()


async def test_nothing_older_than_tls_1_2_is_spoken_and_a_plain_request_harms_nobody(files: tuple[Path, Path]) -> None:
    write(files, "one.example")
    certificate = Certificate(*files)
    assert certificate.context.minimum_version == certificate._current.minimum_version == ssl.TLSVersion.TLSv1_2
    async with listening(web.Application(), "127.0.0.1", 0, Bounds(10, 5, 5, 5), certificate, last_answers_s=1) as url:
        port = int(url.rpartition(":")[2])
        assert await shown(port, most=ssl.TLSVersion.TLSv1_2) == "one.example"
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        assert b"200" not in await reader.read(100)
        writer.close()
        assert await shown(port) == "one.example"


async def test_requests_over_tls_are_guarded_and_counted_as_others_are(files: tuple[Path, Path]) -> None:
    write(files, "127.0.0.1")
    trusting = ssl.create_default_context()
    CA.configure_trust(trusting)
    counted = metrics.FRONT_HTTP.labels("openai", "4xx")
    before = counted._value.get()
    bounds = Bounds(10, 0.3, 5, 5)
    async with (
        listening(web.Application(), "127.0.0.1", 0, bounds, Certificate(*files), last_answers_s=1) as url,
        aiohttp.ClientSession() as http,
    ):
        async with http.get(f"{url}/v1/models", ssl=trusting) as answer:
            assert answer.status == 404
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]), ssl=trusting)
        async with asyncio.timeout(30):
            assert await reader.read() == b""  # says nothing, and is ended
        writer.close()
    assert counted._value.get() == before + 1


@pytest.mark.parametrize("broken", ["missing", "mismatch", "no pem", "passphrase"])
def test_a_pair_that_cannot_be_used_is_told_at_the_start_in_one_line(files: tuple[Path, Path], broken: str) -> None:
    write(files, "one.example")
    if broken == "missing":
        files[1].unlink()
    elif broken == "mismatch":
        write(files, "two.example", cert=False)
    elif broken == "no pem":
        files[1].write_text("no key")
    else:
        from cryptography.hazmat.primitives import serialization as how

        key = how.load_pem_private_key(files[1].read_bytes(), None)
        locked = how.BestAvailableEncryption(b"secret")
        files[1].write_bytes(key.private_bytes(how.Encoding.PEM, how.PrivateFormat.PKCS8, locked))
    with pytest.raises(CertificateError) as error:
        Certificate(*files)
    assert "\n" not in str(error.value)
    assert str(files[1]) in str(error.value)
