"""`labdispatch doctor` without a hub: every fault with what to do; what is not used is no fault."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path

import pytest

from ops.doctor import commands
from ops.doctor.checks import Check, State, as_text, bounded, good, wrong
from ops.doctor.commands import examine, print_examination
from ops.doctor.disks import look_at_folders
from ops.lone_thread import in_thread
from ops.runtime.key_copies import disk_of
from ops.runtime.key_folder import key_store_of
from ops.runtime.settings import load_settings
from schemas.errors import TransientError


def states(found: list[Check]) -> dict[str, State]:
    return {each.name: each.state for each in found}


async def test_a_machine_without_an_instance_has_no_fault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABDISPATCH_MLLP_PORT", "0")
    monkeypatch.setenv("LABDISPATCH_HTTP_PORT", "0")
    assert await print_examination(tmp_path / "none", as_json=False) == 0
    said = capsys.readouterr().out
    assert "not used: no instance runs on this data folder" in said
    assert "not used: the embedded engine needs none" in said
    assert await print_examination(tmp_path / "none", as_json=True) == 0
    told = json.loads(capsys.readouterr().out)
    areas = ["machine", "settings", "disks", "database", "broker", "certificates", "processes"]
    assert list(dict.fromkeys(each["area"] for each in told)) == areas


async def test_all_faults_of_the_settings_are_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABDISPATCH_MLLP_PORT", "none")
    monkeypatch.setenv("LABDISPATCH_MAX_FRAME_BYTES", "-1")
    found = await examine(tmp_path)
    faults = [each for each in found if each.area == "settings"]
    assert all(each.state is State.WRONG for each in faults)
    told = " ".join(each.said for each in faults)
    assert len(faults) == 2
    assert "LABDISPATCH_MLLP_PORT" in told
    assert "LABDISPATCH_MAX_FRAME_BYTES" in told
    assert await print_examination(tmp_path, as_json=True) == 1


async def test_keys_that_others_may_read_are_a_fault(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.mkdir(mode=0o700)
    (keys / "one").write_bytes(b"x")
    (keys / "one").chmod(0o644)
    found = {each.name: each for each in await look_at_folders(load_settings(data_dir=tmp_path))}
    assert found["keys: closed"].state is State.GOOD
    assert found["keys: files"].state is State.WRONG
    assert found["keys: files"].to_do.startswith("chmod 600")
    (keys / "one").chmod(0o600)
    keys.chmod(0o755)
    found = {each.name: each for each in await look_at_folders(load_settings(data_dir=tmp_path))}
    assert found["keys: closed"].state is State.WRONG
    assert found["data folder: written"].state in {State.GOOD, State.ADVICE}
    assert not list(tmp_path.glob(".doctor*")), "its own file is taken away"


async def test_it_names_the_disk_of_the_copies_and_one_that_is_not_mounted(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    settings = load_settings(data_dir=tmp_path, keys_copy_dir=disk / "copies")

    async def said() -> dict[str, Check]:
        found = await look_at_folders(settings)
        return {each.name: each for each in found if each.name.startswith("copy of the keys")}

    assert (await said())["copy of the keys"].said == "its folder is not there"
    key_store_of(settings).copy_out()
    found = await said()
    assert found["copy of the keys: closed"].state is State.GOOD
    assert found["copy of the keys: disk"].state is State.ADVICE, "the disk of the keys too"
    assert disk_of(tmp_path) in found["copy of the keys: disk"].said
    disk.rename(tmp_path / "elsewhere")
    disk.mkdir()
    (disk / "copies").mkdir(mode=0o700)
    (only,) = (await said()).values()
    assert (only.state, only.said) == (State.WRONG, "its disk is not mounted, or is another one")
    assert f"mounted at {disk_of(tmp_path)}" in only.to_do


async def test_what_hangs_or_fails_is_a_finding() -> None:
    never = threading.Event()

    async def hangs() -> list[Check]:
        await in_thread(never.wait)
        return []

    async def fails() -> list[Check]:
        raise TransientError("brokers_away", "start them")

    (late,) = await bounded("disks", hangs, 0.05)
    assert (late.state, late.area) == (State.WRONG, "disks")
    (away,) = await bounded("broker", fails, 5)
    assert (away.name, away.to_do) == ("brokers_away", "start them")
    never.set()


async def test_an_examination_ends_although_everything_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hangs(_: object) -> list[Check]:
        await asyncio.Event().wait()
        return []

    monkeypatch.setenv("LABDISPATCH_DOCTOR_SECONDS", "0.05")
    for name in ("look_at_folders", "look_at_database", "look_at_processes"):
        monkeypatch.setattr(commands, name, hangs)
    late = {e.area for e in await examine(tmp_path) if "no answer" in e.said}
    assert late == {"disks", "database", "processes"}


def test_a_fault_stands_above_what_to_do() -> None:
    said = as_text([good("disks", "room", "9 GiB"), wrong("disks", "keys", "open", "chmod")])
    assert said.splitlines()[-1] == "1 wrong, 0 to look at"
    assert "WRONG" in said
    assert "-> chmod" in said
    assert as_text([good("disks", "room", "9 GiB")]).endswith("nothing is wrong\n")
