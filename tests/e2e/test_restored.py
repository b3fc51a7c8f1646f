"""The machine is lost with its disk; its backups bring every acknowledged result back, once."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ops.runtime.data_folder import ProcessLedger
from tests.e2e.test_road import ask
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


def backups(instance: Embedded) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(
        instance.look("backup", "list", "--json").stdout or "[]"
    )
    return found


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


def restore(instance: Embedded, disk: Path, *arguments: str, hub: str = "") -> str:
    done = command_line(
        "restore",
        "--from", str(disk / "backups" / hub),
        "--keys-from", str(disk / "keys"),
        "--master-key", str(disk / "master.key"),
        "--data-dir", str(instance.data_dir),
        *arguments,
        env=instance.env,
        seconds=SECONDS,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


class Reader:
    """Reads the dossier over HTTP, and holds of each part the highest version."""

    def __init__(self, instance: Embedded) -> None:
        self._instance = instance
        self.held: dict[tuple[str, str], dict[str, Any]] = {}
        self.cursor = ""

    def ask(self, query: str) -> tuple[int, bytes]:
        """Ask once; return status and body."""
        # A restored hub has made its tokens anew.
        tokens = json.loads((self._instance.data_dir / "tokens.json").read_text())
        url = f"http://127.0.0.1:{self._instance.http_port}/v1/streams/dossier?{query}"
        status, _, body = ask(url, Authorization=f"Bearer {tokens['dossier']}")
        return status, body

    def read(self, query: str = "") -> None:
        """Read on to the end, from the beginning where nothing was read."""
        while True:
            after = f"after={self.cursor}" if self.cursor else ""
            status, body = self.ask(f"{query}&{after}".strip("&"))
            assert status == 200, body
            lines = [json.loads(line) for line in body.splitlines()]
            if not lines:
                return
            for event in lines:
                self.cursor = event["cursor"]
                if "report_id" in event:
                    self.held[event["report_id"], event["part"]] = event

    def forget(self) -> None:
        """Hold nothing, as whoever is told 410 does."""
        self.held, self.cursor = {}, ""

    def state(self) -> dict[tuple[str, str], Any]:
        """What is told, without what says when."""
        return {
            part: event["body"] for part, event in self.held.items() if event["kind"] != "withdrawn"
        }

    def refused(self) -> dict[str, Any]:
        """Read on once; return the problem."""
        status, body = self.ask(f"after={self.cursor}")
        assert status >= 400, body
        problem: dict[str, Any] = json.loads(body)
        assert status == problem["status"]
        return problem


@pytest.mark.timeout(900)
async def test_nothing_acknowledged_is_lost_with_the_machine_and_any_moment_comes_back(
    instance: Embedded, disk: Path
) -> None:
    messages = simulated(seed=41, count=180)
    await asyncio.to_thread(until, lambda: len(backups(instance)) == 1)
    # Whoever copies keys now and then stands: each key of the day is made after his last copy.
    await asyncio.to_thread(stand, instance)
    assert not list((disk / "keys").glob("intake-*.key"))
    journal = await send_all(instance, messages[:120], 0.0)
    lose(instance, disk)
    said = restore(instance, disk)
    assert "last transaction: 2" in said
    instance.start()
    await asyncio.to_thread(check_conservation, instance, journal)

    # A wrong hand some time later: back to the moment before it, out of the new hub's own backup.
    await asyncio.to_thread(until, lambda: len(backups(instance)) == 2)
    hub = backups(instance)[-1]["hub"]
    early, late = Reader(instance), Reader(instance)
    early.read()
    moment = datetime.now(UTC)
    later = await send_all(instance, messages[120:], 0.0)
    instance.drained()
    late.read()
    held = late.state()
    assert held.keys() > early.state().keys()
    lose(instance, disk)
    restore(instance, disk, "--to-time", moment.isoformat(), hub=hub)
    instance.start()
    # Who has read what this database does not know is refused, and nobody reads on by mistake.
    early.read()
    assert late.refused()["title"] == "bad_cursor"
    why = ("--reason", "a wrong hand", "--actor", "a test")
    done = instance.look("streams", "reconcile", "--all", *why)
    assert done.returncode == 0, done.stderr
    for reader in (early, late):
        told = reader.refused()
        assert (told["status"], told["title"]) == (410, "cursor_expired")
        assert "state=latest" in told["detail"] and told["oldest"]
        reader.forget()
        reader.read("state=latest")
    assert early.state() == late.state()
    assert early.state().keys() < held.keys()
    # Laboratories send again what came since that moment, and who reads gets it.
    assert await send_all(instance, messages[120:], 0.0) == later
    assert instance.drained(SECONDS)["parked"] == 0
    for reader in (early, late):
        reader.read()
    assert early.state() == late.state()
    assert len(early.state()) == len(held)
