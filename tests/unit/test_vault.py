from __future__ import annotations

import os
import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from ops.runtime.key_copies import KeyCopies, disk_of
from ops.runtime.vault import FolderKeyStore, SealClass, Vault
from schemas.errors import FatalError, PermanentError, TransientError


class HandClock:
    def __init__(self) -> None:
        self.moment = datetime(2026, 11, 24, 12, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment


def keys_in(folder: Path) -> list[Path]:
    """What lies there but the mark, which is no key."""
    return [path for path in folder.iterdir() if path.suffix != ".mark"]


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def vault(tmp_path: Path, clock: HandClock) -> Vault:
    return Vault(FolderKeyStore(tmp_path / "keys"), clock)


def test_what_was_sealed_opens(vault: Vault) -> None:
    sealed = vault.seal(SealClass.INTAKE, b"content", b"row")
    assert b"content" not in sealed
    assert vault.open(sealed, b"row") == b"content"


def test_a_row_moved_elsewhere_does_not_open(vault: Vault) -> None:
    sealed = vault.seal(SealClass.INTAKE, b"content", b"row")
    with pytest.raises(PermanentError, match="unreadable_payload"):
        vault.open(sealed, b"other row")


@pytest.mark.parametrize("place", [0, 1, 3, 10, 20])
def test_a_changed_byte_does_not_open(vault: Vault, place: int) -> None:
    sealed = bytearray(vault.seal(SealClass.INTAKE, b"content", b"row"))
    sealed[place] ^= 1
    with pytest.raises(PermanentError):
        vault.open(bytes(sealed), b"row")


def test_a_destroyed_day_is_gone_for_everybody(
    vault: Vault, tmp_path: Path, clock: HandClock
) -> None:
    sealed = vault.seal(SealClass.INTAKE, b"content", b"row")
    clock.moment += timedelta(days=1)
    younger = vault.seal(SealClass.INTAKE, b"younger", b"row")
    other = vault.seal(SealClass.STREAM, b"other class", b"row")
    vault.destroy(SealClass.INTAKE, date(2026, 11, 24))
    for held in (vault, Vault(FolderKeyStore(tmp_path / "keys"), clock)):
        with pytest.raises(PermanentError, match="key_destroyed"):
            held.open(sealed, b"row")
        assert held.open(younger, b"row") == b"younger"
        assert held.open(other, b"row") == b"other class"


def test_another_process_opens_what_this_one_sealed(
    vault: Vault, tmp_path: Path, clock: HandClock
) -> None:
    sealed = vault.seal(SealClass.IDENTITY, b"content", b"row")
    assert Vault(FolderKeyStore(tmp_path / "keys"), clock).open(sealed, b"row") == b"content"


def test_secrets_last_and_differ_by_name(vault: Vault, tmp_path: Path, clock: HandClock) -> None:
    again = Vault(FolderKeyStore(tmp_path / "keys"), clock)
    assert vault.secret("person") == again.secret("person")
    assert vault.secret("person") != vault.secret("report")
    assert len(vault.secret("person")) == 32


def test_no_key_lies_in_the_clear_or_open_to_others(vault: Vault, tmp_path: Path) -> None:
    secret = vault.secret("person")
    files = list((tmp_path / "keys").iterdir())
    assert files
    for file in files:
        assert file.stat().st_mode & 0o077 == 0
        assert secret not in file.read_bytes()


def test_keys_under_another_master_are_said_to_be_damaged(vault: Vault, tmp_path: Path) -> None:
    vault.secret("person")
    (tmp_path / "keys" / "master.key").write_bytes(b"x" * 32)
    with pytest.raises(FatalError, match="keys_damaged"):
        FolderKeyStore(tmp_path / "keys").load("secret-person")


def test_an_open_folder_of_keys_is_refused(tmp_path: Path) -> None:
    FolderKeyStore(tmp_path / "keys")
    (tmp_path / "keys").chmod(0o755)
    with pytest.raises(FatalError, match="keys_exposed"):
        FolderKeyStore(tmp_path / "keys")


def test_public_health_has_keys_of_its_own_from_its_day_on(
    tmp_path: Path, clock: HandClock
) -> None:
    keys = FolderKeyStore(tmp_path / "keys")
    vault = Vault(keys, clock, clock.now().date() + timedelta(days=1))
    before = vault.seal(SealClass.PUBLIC_HEALTH, b"row", b"id")
    names = {key.seal_class for key in vault.day_keys()}
    assert names == {SealClass.STREAM}, "a release of before can open it"
    clock.moment += timedelta(days=1)
    after = vault.seal(SealClass.PUBLIC_HEALTH, b"row", b"id")
    vault.destroy(SealClass.STREAM, date(2026, 11, 24))
    assert vault.open(after, b"id") == b"row"
    with pytest.raises(PermanentError, match="key_destroyed"):
        vault.open(before, b"id")


def test_another_process_uses_a_destroyed_key_for_a_minute_at_most(
    vault: Vault, tmp_path: Path, clock: HandClock
) -> None:
    sealed = vault.seal(SealClass.INTAKE, b"content", b"row")
    Vault(FolderKeyStore(tmp_path / "keys"), clock).destroy(SealClass.INTAKE, date(2026, 11, 24))
    clock.moment += timedelta(seconds=61)
    with pytest.raises(PermanentError, match="key_destroyed"):
        vault.open(sealed, b"row")


def test_copies_hold_every_key_but_the_master(tmp_path: Path, clock: HandClock) -> None:
    copies = tmp_path / "copies"
    vault = Vault(FolderKeyStore(tmp_path / "keys", copies), clock)
    sealed = vault.seal(SealClass.INTAKE, b"content", b"row")
    vault.secret("person")
    assert vault.copy_keys_out() == 2
    assert {path.name for path in keys_in(copies)} == {"intake-20261124.key", "secret-person.key"}
    for path in keys_in(copies):
        assert path.stat().st_mode & 0o077 == 0
        assert path.read_bytes() == (tmp_path / "keys" / path.name).read_bytes()
    vault.destroy(SealClass.INTAKE, date(2026, 11, 24))
    assert {path.name for path in keys_in(copies)} == {"secret-person.key"}
    with pytest.raises(PermanentError, match="key_destroyed"):
        vault.open(sealed, b"row")


def test_a_folder_of_copies_that_is_open_to_others_is_refused(tmp_path: Path) -> None:
    copies = tmp_path / "copies"
    copies.mkdir(mode=0o755)
    store = FolderKeyStore(tmp_path / "keys", copies)
    with pytest.raises(FatalError, match="keys_exposed"):
        store.copy_out()


def test_copies_that_are_away_hinder_no_door_and_keep_the_key(
    tmp_path: Path, clock: HandClock
) -> None:
    (tmp_path / "disk").symlink_to(tmp_path / "disk")  # as a mount that is stale: an errno
    vault = Vault(FolderKeyStore(tmp_path / "keys", tmp_path / "disk" / "copies"), clock)
    sealed = vault.seal(SealClass.INTAKE, b"content", b"row")
    assert vault.open(sealed, b"row") == b"content"
    with pytest.raises(TransientError, match="key_copies_away"):
        vault.copy_keys_out()
    with pytest.raises(TransientError, match="key_copies_away"):
        vault.day_keys()
    with pytest.raises(TransientError, match="key_copies_away"):
        vault.destroy(SealClass.INTAKE, date(2026, 11, 24))
    assert FolderKeyStore(tmp_path / "keys").load("intake-20261124") is not None
    assert vault.pseudonym_keys() == []


@pytest.mark.parametrize("below", ["nothing", "an empty folder", "the folder of another hub"])
def test_a_disk_of_copies_that_is_not_mounted_is_no_folder_of_the_disk_below(
    tmp_path: Path, clock: HandClock, below: str
) -> None:
    disk, keys = tmp_path / "disk", tmp_path / "keys"
    copies = disk / "copies"
    vault = Vault(FolderKeyStore(keys, copies), clock)
    sealed = vault.seal(SealClass.INTAKE, b"content", b"row")
    vault.copy_keys_out()
    disk.rename(tmp_path / "not mounted")
    disk.mkdir()
    if below != "nothing":
        copies.mkdir(mode=0o700)
    if below == "the folder of another hub":
        FolderKeyStore(tmp_path / "other", copies).copy_out()
    before = sorted(disk.rglob("*"))
    vault = Vault(FolderKeyStore(keys, copies), clock)  # started anew, meanwhile
    for asked in (
        vault.copy_keys_out,
        vault.day_keys,
        lambda: vault.destroy(SealClass.INTAKE, date(2026, 11, 24)),
    ):
        with pytest.raises(TransientError, match="key_copies_away"):
            asked()
    assert sorted(disk.rglob("*")) == before, "nothing was written to the disk below"
    assert vault.open(sealed, b"row") == b"content", "a purge had destroyed it here alone"
    # Whoever waits for a copy makes no key; what there is seals as ever.
    waits = Vault(FolderKeyStore(keys, copies, copied_first=True), clock)
    waits.seal(SealClass.INTAKE, b"content", b"row")
    with pytest.raises(TransientError, match="key_copies_away"):
        waits.seal(SealClass.STREAM, b"content", b"row")
    standing = KeyCopies(copies, keys).look()
    assert (standing.is_marked, standing.is_here) == (True, False)
    assert standing.disk == disk_of(tmp_path)
    # Mounted again, it goes on; and the purge finds its copies.
    disk.rename(tmp_path / "below")
    (tmp_path / "not mounted").rename(disk)
    assert waits.seal(SealClass.STREAM, b"content", b"row")
    vault.destroy(SealClass.INTAKE, date(2026, 11, 24))
    assert {path.name for path in keys_in(copies)} == {"stream-20261124.key"}


def test_another_disk_takes_the_copies_once_a_person_says_so(tmp_path: Path) -> None:
    keys, copies = tmp_path / "keys", tmp_path / "copies"
    store = FolderKeyStore(keys, copies)
    store.load_or_make("a")
    assert store.copy_out() == 1
    shutil.rmtree(copies)  # the disk is broken, and here is its successor
    copies.mkdir(mode=0o700)
    with pytest.raises(TransientError, match="key_copies_away") as away:
        store.copy_out()
    # As the error says.
    source, target = away.value.remedy.partition("cp ")[2].split(" (")[0].split()
    shutil.copyfile(source, target)
    assert store.copy_out() == 1
    # Another folder, set in the settings, needs no word of anybody; and the old one stays known.
    assert FolderKeyStore(keys, tmp_path / "elsewhere").copy_out() == 1
    assert store.copy_out() == 0


def test_restored_keys_know_the_folder_that_they_came_from(tmp_path: Path) -> None:
    copies = tmp_path / "copies"
    first = FolderKeyStore(tmp_path / "keys", copies)
    first.load_or_make("a")
    first.copy_out()
    restored = tmp_path / "restored"
    restored.mkdir(mode=0o700)
    shutil.copyfile(tmp_path / "keys" / "master.key", restored / "master.key")
    shutil.copyfile(copies / "a.key", restored / "a.key")
    assert FolderKeyStore(restored, copies).copy_out() == 0
    shutil.rmtree(copies)
    with pytest.raises(TransientError, match="key_copies_away"):
        FolderKeyStore(restored, copies).copy_out()


def test_a_key_is_among_the_copies_before_anything_is_sealed_with_it(
    tmp_path: Path, clock: HandClock
) -> None:
    disk = tmp_path / "disk"
    copies = disk / "copies"
    disk.symlink_to(disk)  # as a mount that is stale: an errno
    store = FolderKeyStore(tmp_path / "keys", copies, copied_first=True)
    vault = Vault(store, clock)
    with pytest.raises(TransientError, match="key_copies_away"):
        vault.seal(SealClass.INTAKE, b"content", b"row")
    assert store.names() == {"master"}, "no key that could be lost was made"
    disk.unlink()
    sealed = vault.seal(SealClass.INTAKE, b"content", b"row")
    vault.secret("person")
    store.keep("given-x", b"from outside")
    vault.retire_pseudonym_key("dossier", "2026-H1")
    vault.make_ahead()
    ours = {path.name: path.read_bytes() for path in keys_in(tmp_path / "keys")}
    ours.pop("master.key")
    assert {path.name: path.read_bytes() for path in keys_in(copies)} == ours
    assert {f"{kind.name.lower()}-20261125.key" for kind in SealClass} <= ours.keys()
    # Midnight with the copies away: the day's keys were made, and copied, the day before.
    disk.rename(tmp_path / "away")
    disk.symlink_to(disk)
    clock.moment += timedelta(days=1)
    assert vault.open(sealed, b"row") == b"content"
    for seal_class in SealClass:
        vault.seal(seal_class, b"content", b"row")


def test_a_copy_that_nobody_has_used_becomes_the_key(tmp_path: Path) -> None:
    """Its maker was killed between the two places."""
    keys, copies = tmp_path / "keys", tmp_path / "copies"
    first = FolderKeyStore(keys, copies, copied_first=True)
    made = first.load_or_make("intake-20261124")
    (keys / "intake-20261124.key").unlink()
    assert FolderKeyStore(keys, copies, copied_first=True).load_or_make("intake-20261124") == made
    # Who does not copy first may have been first: the copy is of the key that is used.
    (copies / "intake-20261124.key").unlink()
    (keys / "intake-20261124.key").unlink()
    first.load_or_make("intake-20261124")
    (keys / "intake-20261124.key").unlink()
    theirs = FolderKeyStore(keys).load_or_make("intake-20261124")

    class Late(FolderKeyStore):
        def load(self, name: str) -> bytes | None:
            return None

    assert Late(keys, copies, copied_first=True).load_or_make("intake-20261124") == theirs
    name = "intake-20261124.key"
    assert (copies / name).read_bytes() == (keys / name).read_bytes()


def test_copies_of_another_hub_are_refused_and_never_become_keys(tmp_path: Path) -> None:
    FolderKeyStore(tmp_path / "other", tmp_path / "copies", copied_first=True).load_or_make("a")
    ours = FolderKeyStore(tmp_path / "keys", tmp_path / "copies", copied_first=True)
    with pytest.raises(FatalError, match="keys_damaged"):
        ours.load_or_make("a")
    assert ours.names() == {"master"}


def test_what_a_killed_maker_of_a_key_left_goes_with_the_key(
    tmp_path: Path, clock: HandClock
) -> None:
    keys = tmp_path / "keys"
    vault = Vault(FolderKeyStore(keys), clock)
    vault.seal(SealClass.INTAKE, b"content", b"row")
    vault.secret("person")
    left = keys / ".intake-20261124.key.4711.0a0b0c0d"
    left.write_bytes((keys / "intake-20261124.key").read_bytes())
    other = keys / ".secret-person.key.4711.0a0b0c0d"
    other.write_bytes((keys / "secret-person.key").read_bytes())
    vault.destroy(SealClass.INTAKE, date(2026, 11, 24))
    assert not left.exists()
    assert other.exists(), "its maker may be alive"
    os.utime(other, (0, 0))
    FolderKeyStore(keys)
    assert {path.name for path in keys.iterdir()} == {"master.key", "secret-person.key"}


def test_sealed_beside_goes_with_what_it_stands_beside(tmp_path: Path, clock: HandClock) -> None:
    vault = Vault(FolderKeyStore(tmp_path / "keys"), clock)
    own = vault.seal(SealClass.INTAKE, b"content", b"row")
    clock.moment += timedelta(days=40)
    beside = vault.seal_beside(own, b"mended" * 100, b"row")
    assert vault.open(beside, b"row") == b"mended" * 100
    assert {key.name for key in vault.day_keys()} == {"intake-20261124"}
    with pytest.raises(PermanentError, match="unreadable_payload"):
        vault.seal_beside(own, b"mended", b"another row")
    vault.destroy(SealClass.INTAKE, date(2026, 11, 24))
    with pytest.raises(PermanentError, match="key_destroyed"):
        vault.open(beside, b"row")
    with pytest.raises(PermanentError, match="key_destroyed"):
        vault.seal_beside(own, b"mended", b"row")
