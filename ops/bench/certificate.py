"""A certificate for an upstream of loopback, and the authority that a client trusts for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ops.bench.run import BenchError


@dataclass(frozen=True, slots=True)
class Certificate:
    """PEM files: of the authority, and of the server with its key."""

    authority: Path
    certificate: Path
    key: Path


def issue(folder: Path) -> Certificate:
    """Written into the folder. BenchError where trustme, of the development requirements, is not installed."""
    try:
        import trustme
    except ImportError:
        raise BenchError("https needs trustme: pip install trustme") from None
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    found = Certificate(folder / "authority.pem", folder / "certificate.pem", folder / "key.pem")
    authority.cert_pem.write_to_path(str(found.authority))
    issued.private_key_pem.write_to_path(str(found.key))
    found.certificate.write_bytes(b"".join(each.bytes() for each in issued.cert_chain_pems))
    return found
