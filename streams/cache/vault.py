"""Cached entries of tenants that have a key of their own, encrypted: on the topic, on disk and in backups of both. Pure.

AES-256-GCM (NIST SP 800-38D) with 12 random bytes a record. Bound to the entry's key, its owner and the name of the key that
encrypts, so that an entry that is put under another key, or told to be somebody else's, is none. The first key of a tenant
encrypts, all of them decrypt; an entry whose key is listed no more is a miss, and stays: it is read again once its key is
back. In memory answers are plain.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from schemas.cache_entry import ENCRYPTED, encode_encrypted
from streams.settings.errors import SettingsError

_NONCE_BYTES: Final = 12
_MOST_TOLD: Final = 64
"""Names of keys that are not here are told once each, so many of them: records name them, and anybody may write those."""
_NAME_CHARS: Final = 200


@dataclass(frozen=True, slots=True)
class VaultKey:
    """A key and its name, which entries bear."""

    name: str
    key: bytes


class Vault:
    """Encrypts and decrypts entries. `keys`: by tenant, the one that encrypts first. Raises SettingsError where the library
    for it is not installed; without keys it is not needed. `on_missing`: told once of each name of a key that an entry needs and
    that is not here.
    """

    def __init__(
        self, keys: Mapping[str, Sequence[VaultKey]], on_missing: Callable[[str], None] = lambda name: None
    ) -> None:
        self._on_missing = on_missing
        self._told: set[str] = set()
        ciphers: dict[str, Any] = {}
        self._first: dict[str, str] = {}
        for tenant, listed in keys.items():
            for number, each in enumerate(listed):
                name = f"{tenant}/{each.name}"
                ciphers[name] = _cipher(each.key)
                if number == 0:
                    self._first[tenant] = name
        self._ciphers = ciphers

    def take(self, other: Vault) -> None:
        """From now on encrypt and decrypt as the other one does."""
        self._ciphers, self._first = other._ciphers, other._first
        self._told.clear()

    def lock(self, tenant: str, entry_key: bytes, owner: str, value: bytes) -> bytes:
        """The entry as it may lie anywhere; as it is, where the tenant has no key."""
        name = self._first.get(tenant)
        if name is None:
            return value
        nonce = os.urandom(_NONCE_BYTES)
        sealed = nonce + self._ciphers[name].encrypt(nonce, value, _bound_to(entry_key, owner, name))
        return encode_encrypted(owner, name, base64.b64encode(sealed))

    def unlock(self, entry_key: bytes, value: bytes) -> bytes:
        """The entry; ValueError where it was encrypted by a key that is not here, for another place, or changed since."""
        if not value.startswith(ENCRYPTED):
            return value
        found = orjson.loads(value)
        try:
            name, owner = found["encrypted_by"], found["owner"]
            sealed = base64.b64decode(found["data"], validate=True)
            cipher = self._ciphers.get(name)
            if cipher is None:
                self._tell_missing(name)
                raise ValueError("its key is not here")
            opened: bytes = cipher.decrypt(
                sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _bound_to(entry_key, owner, name)
            )
        except Exception as error:  # InvalidTag is the library's own
            raise ValueError(
                f"an encrypted entry that cannot be read here: {str(error) or type(error).__name__}"
            ) from error
        return opened

    def _tell_missing(self, name: str) -> None:
        name = str(name)[:_NAME_CHARS]
        if name not in self._told and len(self._told) < _MOST_TOLD:
            self._told.add(name)
            self._on_missing(name)


def _bound_to(entry_key: bytes, owner: str, name: str) -> bytes:
    return b"%d:%b%b:%b" % (len(entry_key), entry_key, owner.encode(), name.encode())


def _cipher(key: bytes) -> Any:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError:
        raise SettingsError(
            "tenants: cached answers are to be encrypted (cache.key_file), and the library for it is not installed: "
            "pip install 'headrace[encryption]'"
        ) from None
    return AESGCM(key)


NO_VAULT: Final = Vault({})
