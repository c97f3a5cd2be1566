"""Encrypted entries: read by who has the key and where they belong, and a miss everywhere else."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.cache_entry import owner_of, parse_cache_entry
from streams.cache.build import prepare_keys, vault_of
from streams.cache.key import owner_tag
from streams.cache.vault import NO_VAULT, Vault, VaultKey
from streams.settings import SettingsError, load_settings

OLD, NEW, OTHER = (VaultKey(name, bytes([number]) * 32) for number, name in enumerate(("old", "new", "old")))
PLACE, OWNER = b"k" * 16, owner_tag("ann", "acme")
VALUE = b'{"kind":"answer","payload":{"said":"a secret"}}'


@given(st.binary(max_size=200))
def test_who_has_the_key_reads_it_and_nothing_shows_from_outside(value: bytes) -> None:
    vault = Vault({"acme": [NEW, OLD]})
    locked = vault.lock("acme", PLACE, OWNER, value)
    assert vault.unlock(PLACE, locked) == value
    assert b"a secret" not in vault.lock("acme", PLACE, OWNER, VALUE)
    assert owner_of(locked) == (OWNER, None)
    parse_cache_entry(locked)
    assert locked != vault.lock("acme", PLACE, OWNER, value)


def test_a_tenant_without_a_key_and_entries_of_before_stay_plain() -> None:
    assert Vault({"acme": [NEW]}).lock("beta", PLACE, OWNER, VALUE) == VALUE
    assert Vault({"acme": [NEW]}).unlock(PLACE, VALUE) == VALUE


def test_keys_are_rotated_and_one_that_is_listed_no_more_is_a_miss() -> None:
    before = Vault({"acme": [OLD]}).lock("acme", PLACE, OWNER, VALUE)
    assert Vault({"acme": [NEW, OLD]}).unlock(PLACE, before) == VALUE
    for without in (Vault({"acme": [NEW]}), NO_VAULT, Vault({"beta": [OLD]}), Vault({"acme": [OTHER]})):
        with pytest.raises(ValueError, match="cannot be read here"):
            without.unlock(PLACE, before)


def test_an_entry_that_was_swapped_renamed_or_changed_is_a_miss() -> None:
    vault = Vault({"acme": [NEW, OLD], "beta": [NEW]})
    locked = vault.lock("acme", PLACE, OWNER, VALUE)
    changed = [
        locked.replace(OWNER.encode(), owner_tag("bob", "acme").encode()),
        locked.replace(b"acme/new", b"acme/old"),
        locked.replace(b"acme/new", b"beta/new"),
        locked[:-8] + b"AAAA" + locked[-4:],
        locked.replace(b'"data":"', b'"data":"!'),
        b'{"kind":"encrypted"}',
        b'{"kind":"encrypted"',
        b'{"kind":"encrypted","owner":1,"encrypted_by":[],"data":{}}',
    ]
    for other in changed:
        with pytest.raises(ValueError, match=r"\w"):
            vault.unlock(PLACE, other)
    with pytest.raises(ValueError, match="cannot be read here"):
        vault.unlock(b"K" * 16, locked)


def test_keys_come_from_a_file_and_a_bad_one_is_named_and_not_told(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    environ = {"HEADRACE_TENANTS__ACME__CACHE__KEY_FILE": str(file)}
    file.write_text(f"k2:{'ab' * 32}\nk1:{'cd' * 32}\n")
    vault = vault_of(load_settings(environ=environ))
    assert vault.unlock(PLACE, vault.lock("acme", PLACE, OWNER, VALUE)) == VALUE
    for bad in ("k1:abcd", f"{'ab' * 32}", f"k1:{'ab' * 32} k1:{'cd' * 32}", ""):
        file.write_text(bad)
        with pytest.raises(SettingsError) as told:
            vault_of(load_settings(environ=environ))
        assert "tenants.acme.cache.key_file" in str(told.value)
        assert "abab" not in str(told.value)


def test_a_key_that_is_missing_is_told_once_by_name_until_keys_are_read_again() -> None:
    """kroxylicious/kroxylicious#2346: readers of what could not be decrypted saw an empty topic, and no word of why."""
    told: list[str] = []
    locked = Vault({"acme": [OLD]}).lock("acme", PLACE, OWNER, VALUE)
    vault = Vault({"acme": [NEW]}, told.append)
    for _ in range(3):
        with pytest.raises(ValueError, match="cannot be read here"):
            vault.unlock(PLACE, locked)
    assert told == ["acme/old"]
    vault.take(Vault({"acme": [NEW, OLD]}))
    assert vault.unlock(PLACE, locked) == VALUE, "kroxylicious#969: what was locked out is there again with its key"
    vault.take(Vault({"acme": [NEW]}))
    with pytest.raises(ValueError, match="cannot be read here"):
        vault.unlock(PLACE, locked)
    assert told == ["acme/old"] * 2


def test_names_that_strangers_make_up_do_not_fill_the_log() -> None:
    told: list[str] = []
    vault = Vault({}, told.append)
    for number in range(1_000):
        with pytest.raises(ValueError, match="cannot be read here"):
            vault.unlock(
                PLACE, b'{"kind":"encrypted","owner":"o","encrypted_by":"%d%s","data":""}' % (number, b"x" * 999)
            )
    assert len(told) == 64
    assert max(map(len, told)) <= 200


def test_keys_that_are_read_again_encrypt_from_then_on_and_bad_ones_change_nothing(tmp_path: Path) -> None:
    """kroxylicious/kroxylicious#1339: a key that was rotated encrypted nothing before a restart."""
    file = tmp_path / "keys"
    file.write_text(f"k1:{'ab' * 32}")
    loaded = load_settings(environ={"HEADRACE_TENANTS__ACME__CACHE__KEY_FILE": str(file)})
    vault = vault_of(loaded)
    file.write_text(f"k2:{'cd' * 32} k1:{'ab' * 32}")
    prepare_keys(vault, loaded)()
    assert b"acme/k2" in vault.lock("acme", PLACE, OWNER, VALUE)
    for harm in (lambda: file.write_text("k3:short"), file.unlink):
        harm()
        with pytest.raises(SettingsError, match=r"tenants\.acme\.cache\.key_file"):
            prepare_keys(vault, loaded)
        assert b"acme/k2" in vault.lock("acme", PLACE, OWNER, VALUE)
