"""A client's TLS context whose certificate may be replaced while it is used: files that were rotated need no restart."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Self


class RotatingContext(ssl.SSLContext):
    """Verifies the other side by the CA file, or by the system's, and shows the certificate of the files, if there are some."""

    _files: tuple[Path, Path] | None
    _seen: tuple[int, ...]

    @classmethod
    def of(cls, ca_file: Path | None, cert_file: Path | None, key_file: Path | None) -> Self:
        """Raises OSError, ssl.SSLError among them, for files that cannot be used."""
        context = cls(ssl.PROTOCOL_TLS_CLIENT)  # host names are checked, certificates required
        if ca_file is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(ca_file)
        context._files = None if cert_file is None or key_file is None else (cert_file, key_file)
        context._seen = ()
        if context._files is not None:
            context._seen = _changes(context._files)
            context.load_cert_chain(*context._files)
        return context

    def refresh(self) -> bool:
        """Take the files as they are now, for connections that begin from now on; whether they are others.

        What does not fit yet, because half of it is written, is left for the next time: what was there goes on.
        """
        if self._files is None:
            return False
        try:
            seen = _changes(self._files)
            if seen == self._seen:
                return False
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(*self._files)
            self.load_cert_chain(*self._files)
        except OSError:
            return False
        self._seen = seen
        return True


def _changes(files: tuple[Path, Path]) -> tuple[int, ...]:
    found = [file.stat() for file in files]
    return tuple(number for each in found for number in (each.st_mtime_ns, each.st_ino, each.st_size))
