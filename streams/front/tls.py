"""The certificate of a front, read again when its files change.

A pair is loaded into a context of its own and only then taken: loading a certificate whose key does not fit leaves a context with
half of each. Renewing writes two files, one after the other; between the two writes nothing fits, and the pair before it stays.
"""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Final

import structlog

from streams.supervise import end, supervised

log = structlog.get_logger("headrace.front")

_LOOK_EVERY_S: Final = 1.0

_Signature = tuple[tuple[int, ...] | None, ...]


class CertificateError(Exception):
    """Why a pair cannot be used: a line that names the file."""


class Certificate:
    """A pair of files, and the newest usable pair that they held. Raises CertificateError where they hold none at first."""

    def __init__(self, cert_file: Path, key_file: Path, look_every_s: float = _LOOK_EVERY_S) -> None:
        self._files = (cert_file, key_file)
        self._look_every_s = look_every_s
        self._seen = self._signature()
        self._current = _load(cert_file, key_file)
        self.context = _load(cert_file, key_file)
        """For a listener. Every connection is handed to the newest pair when its client has said hello."""
        self.context.sni_callback = self._hand_over  # also called for clients that name no server
        self._task: asyncio.Task[None] | None = None

    def watch(self) -> None:
        """Look at the files from now on, until `stop`."""
        self._task = supervised("front_tls", self._watch)

    async def stop(self) -> None:
        if self._task is not None:
            await end([self._task])

    def _hand_over(
        self, connection: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _context: ssl.SSLContext
    ) -> None:
        connection.context = self._current

    async def _watch(self) -> None:
        tried = self._seen
        while True:
            await asyncio.sleep(self._look_every_s)
            before, self._seen = self._seen, await asyncio.to_thread(self._signature)
            # Taken when two looks have found the same: who writes the second file gets a moment for it.
            if self._seen != before or self._seen == tried:
                continue
            tried = self._seen
            try:
                self._current = await asyncio.to_thread(_load, *self._files)
            except CertificateError as error:
                log.warning("the new certificate cannot be used; the one before it stays in use", why=str(error))
            else:
                log.info("certificate read again: its files have changed", file=str(self._files[0]))

    def _signature(self) -> _Signature:
        return tuple(_look(path) for path in self._files)


def _look(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _load(cert_file: Path, key_file: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        # Without this OpenSSL asks the terminal for a passphrase, and the process stands still.
        context.load_cert_chain(cert_file, key_file, password=_no_passphrase)
    except _PassphraseError:
        raise CertificateError(f"{key_file} asks for a passphrase: give a key without one") from None
    except ssl.SSLError as error:
        raise CertificateError(f"{cert_file} and {key_file} are no certificate and its key: {error.reason}") from error
    except OSError as error:
        raise CertificateError(f"{cert_file}, {key_file}: {error.strerror}") from error
    return context


class _PassphraseError(Exception):
    """A key is encrypted."""


def _no_passphrase() -> str:
    raise _PassphraseError
