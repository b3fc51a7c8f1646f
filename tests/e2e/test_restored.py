"""The machine is lost with its disk; its backups bring every acknowledged result back, once."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ops.runtime.data_folder import ProcessLedger
from tests.support.conservation import check_conservation
from tests.support.load import send_all, simulated
from tests.support.postgres import open_folder
from tests.support.product import Embedded, command_line, process_state

SECONDS = 120.0


@pytest.fixture
def disk() -> Iterator[Path]:
    """Another disk: what is on it survives the machine."""
    path = open_folder()
    yield path
    shutil.rmtree(path)


@pytest.fixture
def instance(disk: Path) -> Iterator[Embedded]:
    made = Embedded(
        {
            "LABDISPATCH_BACKUP_DIR": str(disk / "backups"),
            "LABDISPATCH_BACKUP_SYNCHRONOUS": "true",
            "LABDISPATCH_KEYS_COPY_DIR": str(disk / "keys"),
        }
    )
    try:
        yield made.start()
    finally:
        made.remove()


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.1)


def has_backup(instance: Embedded) -> bool:
    return bool(json.loads(instance.look("backup", "list", "--json").stdout or "[]"))


def stand(instance: Embedded) -> None:
    """Stop the run itself where it is; its stations go on."""
    assert instance.process is not None
    pid = instance.process.pid
    os.kill(pid, signal.SIGSTOP)
    until(lambda: process_state(pid) == "T")


def lose(instance: Embedded, disk: Path) -> None:
    """End all processes at once, and take the disk of the machine away."""
    assert instance.process is not None
    shutil.copy(instance.data_dir / "keys" / "master.key", disk / "master.key")
    pids = [each.process.pid for each in ProcessLedger(instance.data_dir).children()]
    pids.append(instance.postmaster())
    instance.process.kill()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    instance._reap()
    until(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in pids))
    shutil.rmtree(instance.data_dir)
    shutil.rmtree(instance.env["LABDISPATCH_STATE_DIR"], ignore_errors=True)


def restore(instance: Embedded, disk: Path, *arguments: str) -> str:
    done = command_line(
        "restore",
        "--from", str(disk / "backups"),
        "--keys-from", str(disk / "keys"),
        "--master-key", str(disk / "master.key"),
        "--data-dir", str(instance.data_dir),
        *arguments,
        env=instance.env,
        seconds=SECONDS,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.timeout(600)
async def test_nothing_acknowledged_is_lost_with_the_machine(
    instance: Embedded, disk: Path
) -> None:
    messages = simulated(seed=41, count=180)
    await asyncio.to_thread(until, lambda: has_backup(instance))
    # Whoever copies keys now and then stands: each key of the day is made after his last copy.
    await asyncio.to_thread(stand, instance)
    assert not list((disk / "keys").glob("intake-*.key"))
    journal = await send_all(instance, messages, 0.0)
    lose(instance, disk)
    said = restore(instance, disk)
    assert "last transaction: 2" in said
    instance.start()
    await asyncio.to_thread(check_conservation, instance, journal)
