from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from ops.runtime import processes
from ops.runtime.data_folder import Child, DataFolder, ProcessLedger, write_private
from schemas.errors import FatalError

HOLD = """
import sys, pathlib
from ops.runtime.data_folder import DataFolder
folder = DataFolder(pathlib.Path(sys.argv[1]))
folder.acquire("labdispatch run", {"http": "127.0.0.1:8080"})
print("held", flush=True)
sys.stdin.read()
"""
STUBBORN = """
import signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
sys.stdin.read()
"""


class Spawner:
    def __init__(self) -> None:
        self.spawned: list[subprocess.Popen[str]] = []

    def __call__(self, script: str, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", script, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.spawned.append(process)
        assert process.stdout is not None
        assert process.stdout.readline()
        return process


@pytest.fixture
def spawn() -> Iterator[Spawner]:
    spawner = Spawner()
    yield spawner
    for process in spawner.spawned:
        process.kill()
        process.communicate()


def test_a_second_run_is_told_who_has_the_folder_and_what_to_do(
    tmp_path: Path, spawn: Spawner
) -> None:
    first = spawn(HOLD, str(tmp_path / "data"))
    folder = DataFolder(tmp_path / "data")
    with pytest.raises(FatalError) as problem:
        folder.acquire("labdispatch run")
    assert problem.value.reason == "data_folder_in_use"
    assert f"kill {first.pid}" in problem.value.remedy
    owner = folder.owner()
    assert owner is not None
    assert owner.process.pid == first.pid
    assert owner.addresses == {"http": "127.0.0.1:8080"}


def test_the_lock_ends_with_its_process_however_that_ends(tmp_path: Path, spawn: Spawner) -> None:
    first = spawn(HOLD, str(tmp_path))
    first.kill()
    first.wait()
    folder = DataFolder(tmp_path)
    assert folder.owner() is None
    folder.acquire("labdispatch run")
    folder.announce("labdispatch run", {"mllp": "127.0.0.1:2575"})
    owner = folder.owner()
    assert owner is not None
    assert owner.process == processes.myself()
    folder.release()
    assert folder.owner() is None


def test_a_child_does_not_inherit_the_lock(tmp_path: Path, spawn: Spawner) -> None:
    folder = DataFolder(tmp_path)
    folder.acquire("labdispatch run")
    spawn(STUBBORN)
    folder.release()
    again = DataFolder(tmp_path)
    again.acquire("labdispatch run")
    assert again.owner() is not None
    again.release()


def test_a_data_folder_is_private_and_its_parents_are_left_alone(tmp_path: Path) -> None:
    parent = tmp_path / "parent"
    parent.mkdir(mode=0o755)
    before = parent.stat().st_mode
    folder = DataFolder(parent / "data")
    folder.acquire("labdispatch run")
    assert folder.path.stat().st_mode & 0o777 == 0o700
    assert (folder.path / "run.lock").stat().st_mode & 0o777 == 0o600
    assert parent.stat().st_mode == before
    folder.release()


def test_a_file_in_the_place_of_the_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(FatalError, match="data_folder_is_a_file"):
            DataFolder(path).acquire("labdispatch run")


def test_a_private_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    write_private(path, b"one")
    write_private(path, b"two")
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["secret"]


@pytest.mark.parametrize("stopped", [False, True])
def test_children_of_a_run_that_was_killed_are_ended(
    tmp_path: Path, spawn: Spawner, stopped: bool
) -> None:
    gentle, deaf = spawn("print(1, flush=True); input()"), spawn(STUBBORN)
    ledger = ProcessLedger(tmp_path)
    for process in (gentle, deaf):
        assert ledger.record("dispatch", process.pid) is not None
        if stopped:
            os.kill(process.pid, signal.SIGSTOP)
    ended = ProcessLedger(tmp_path).end_leftovers(term_seconds=0.5)
    assert {child.process.pid for child in ended} == {gentle.pid, deaf.pid}
    assert gentle.wait() == -signal.SIGTERM
    assert deaf.wait() == -signal.SIGKILL
    assert ledger.children() == []


def test_a_foreign_process_with_the_pid_of_ours_is_left_alone(
    tmp_path: Path, spawn: Spawner
) -> None:
    foreign = spawn(STUBBORN)
    ledger = ProcessLedger(tmp_path)
    child = ledger.record("ingest", foreign.pid)
    assert child is not None
    real = child.process
    for other in (
        msgspec.structs.replace(real, started=real.started - 1),
        msgspec.structs.replace(real, boot="an earlier boot"),
    ):
        entry = Child(role="ingest", process=other)
        write_private(tmp_path / f"processes/{foreign.pid}.json", msgspec.json.encode(entry))
        assert not processes.send(other, signal.SIGKILL)
        assert ledger.end_leftovers(term_seconds=0.1) == []
        assert foreign.poll() is None


def test_a_child_that_has_ended_is_not_noted(tmp_path: Path, spawn: Spawner) -> None:
    child = spawn(STUBBORN)
    ledger = ProcessLedger(tmp_path)
    assert ledger.record("api", child.pid) is not None
    child.kill()
    assert os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT) is not None
    assert ledger.record("api", child.pid) is None  # a zombie runs nothing
    child.wait()
    assert ledger.children() == []


def test_a_child_whose_run_is_gone_does_not_begin(tmp_path: Path) -> None:
    ledger = ProcessLedger(tmp_path)
    with pytest.raises(FatalError, match="run_is_gone"):
        ledger.enlist("dispatch")
    assert ledger.children() == []


def test_a_child_of_a_living_run_enlists_itself(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    folder.acquire("labdispatch run")
    script = (
        "import sys, pathlib; from ops.runtime.data_folder import ProcessLedger;"
        "ledger = ProcessLedger(pathlib.Path(sys.argv[1])); ledger.enlist('relay');"
        "print(ledger.children()[0].role)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "relay"
    folder.release()
