"""The product as its users have it: processes, sockets, commands; nothing of its inside."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

from ops.client import MllpClient
from ops.runtime.data_folder import ProcessLedger
from schemas.errors import TransientError

LABDISPATCH = [sys.executable, "-m", "ops.cli"]
_TRACED = 4_000


def command_line(
    *arguments: str,
    env: Mapping[str, str] | None = None,
    text: str | None = None,
    seconds: float = 60,
) -> subprocess.CompletedProcess[str]:
    """Run a command of the product to its end."""
    return subprocess.run(
        [*LABDISPATCH, *arguments],
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds,
        env={**os.environ, **(env or {})},
    )


def process_state(pid: int) -> str:
    """Return the kernel's letter for what a process does: `T` is stopped."""
    return Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0]


class Instance:
    """Where a running product is, and how a third party looks at it."""

    data_dir: Path
    env: dict[str, str]
    mllp_port: int
    http_port: int
    look_seconds: float = 60

    def look(self, *arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a looking command on this instance."""
        where = ("--data-dir", str(self.data_dir))
        return command_line(*arguments, *where, env=self.env, text=text, seconds=self.look_seconds)

    def account(self) -> dict[str, Any]:
        """The account, whether it closes or not."""
        done = self.look("account", "--json")
        assert done.returncode in {0, 1}, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        assert (done.returncode == 0) == found["closes"]
        return found

    def stream(self, name: str) -> list[dict[str, Any]]:
        """Every event of a stream."""
        done = self.look("stream", name, "--actor", "tests", "--reason", "a test looks")
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def trace(self, ids: Iterable[str]) -> list[dict[str, Any]]:
        """The way of every message with one of these ids, asked for in portions."""
        found: list[dict[str, Any]] = []
        asked = list(ids)
        for begin in range(0, len(asked), _TRACED):
            portion = asked[begin : begin + _TRACED]
            done = self.look("trace", "-", "--json", text="\n".join(portion))
            assert done.returncode in {0, 1}, done.stderr
            found += json.loads(done.stdout)
        return found

    def verified(self, seconds: float = 60) -> dict[str, Any]:
        """What `streams verify` says once nothing is still to be emitted again: that all agrees."""
        until = time.monotonic() + seconds
        while True:
            done = self.look("streams", "verify", "--json")
            assert done.returncode in {0, 1}, done.stderr
            found: dict[str, Any] = json.loads(done.stdout)
            assert found["agrees"], found
            if not found["pending"]:
                return found
            assert time.monotonic() < until, f"still to be emitted again: {found['pending']}"
            time.sleep(0.5)

    def drained(self, seconds: float = 60) -> dict[str, Any]:
        """Wait until nothing is in flight; return the account then."""
        until = time.monotonic() + seconds
        while True:
            done = self.look("account", "--json")
            if done.returncode in {0, 1}:
                account: dict[str, Any] = json.loads(done.stdout)
                if account["in_flight"] == 0 and account["closes"]:
                    return account
            assert time.monotonic() < until, f"not drained: {done.stdout} {done.stderr}"
            time.sleep(0.2)


class Embedded(Instance):
    """`labdispatch run --no-simulate` on a folder of its own, any free ports.

    Args:
        folder: The data folder's parent; removed by `remove`.
        failpoints: Role -> failpoints of that station.
    """

    def __init__(self, env: Mapping[str, str] | None = None) -> None:
        self._parent = Path(tempfile.mkdtemp(prefix="ld-run-"))
        self._parent.chmod(0o711)
        self.data_dir = self._parent / "data"
        state = {"LABDISPATCH_STATE_DIR": str(self._parent / "state")}
        self.env = {**state, **(env or {})}
        self.mllp_port = self.http_port = 0
        self.process: subprocess.Popen[str] | None = None

    def start(self, *arguments: str, seconds: float = 60) -> Self:
        """Start and wait for the line that says it is ready; ports stay the same afterwards."""
        self.process = subprocess.Popen(
            [
                *LABDISPATCH, "run", "--json", "--no-simulate",
                "--data-dir", str(self.data_dir),
                "--mllp-port", str(self.mllp_port), "--http-port", str(self.http_port),
                *arguments,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **self.env},
            start_new_session=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            _, said = self.process.communicate(timeout=seconds)
            raise AssertionError(f"did not start: {said} {self.last_words()}")
        self.ready: dict[str, Any] = json.loads(line)
        self.mllp_port = int(self.ready["mllp"].rpartition(":")[2])
        self.http_port = int(self.ready["http"].rpartition(":")[2])
        return self

    def pids(self) -> dict[str, int]:
        """Role -> pid of the stations that run."""
        children = ProcessLedger(self.data_dir).children()
        return {child.role: child.process.pid for child in children}

    def kill(self, role: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Signal one station; return its pid."""
        pid = self.pids()[role]
        os.kill(pid, number)
        return pid

    def kill_run(self) -> None:
        """SIGKILL the supervisor alone; its children live on."""
        assert self.process is not None
        self.process.kill()
        self._reap()

    def stop(self, seconds: float = 20) -> int:
        """Ctrl-C, and wait for the end; return the exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(seconds)
        finally:
            if self.process.poll() is None:
                self.process.kill()
            code = self._reap()
        return code

    def remove(self) -> None:
        """End whatever is left and remove the folder."""
        if self.process is not None and self.process.poll() is None:
            self.stop()
        for pid in self.pids().values():
            os.kill(pid, signal.SIGKILL)
        postgres = self.data_dir / "postgres.json"
        if postgres.exists():
            home = Path(json.loads(postgres.read_text())["home"])
            pid_file = home / "cluster" / "postmaster.pid"
            if pid_file.exists():
                pid = int(pid_file.read_text().split()[0])
                if _is_postgres(pid):
                    os.kill(pid, signal.SIGQUIT)
                    _wait_gone(pid)
        shutil.rmtree(self._parent, ignore_errors=True)

    def postmaster(self) -> int:
        """The pid of the embedded PostgreSQL."""
        home = Path(json.loads((self.data_dir / "postgres.json").read_text())["home"])
        return int((home / "cluster" / "postmaster.pid").read_text().split()[0])

    def station(self, role: str) -> list[str]:
        """The command of one station, to start another beside the run's own."""
        return [*LABDISPATCH, role]

    def station_env(self) -> dict[str, str]:
        """The environment for such a station: this instance, no failpoints."""
        ours = {
            "LABDISPATCH_DATA_DIR": str(self.data_dir),
            "LABDISPATCH_LOG_LEVEL": "error",
        }
        kept = {k: v for k, v in self.env.items() if k != "LABDISPATCH_FAILPOINTS"}
        return {**os.environ, **kept, **ours}

    def last_words(self) -> str:
        """The end of every station's log, for a failing test's report."""
        return "\n".join(
            f"--- {path.name}\n{path.read_text(errors='replace')[-2_000:]}"
            for path in sorted((self.data_dir / "logs").glob("*.log"))
        )

    def _reap(self) -> int:
        assert self.process is not None
        code = self.process.wait(10)
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()
        return code


def _is_postgres(pid: int) -> bool:
    try:
        return b"postgres" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def _wait_gone(pid: int) -> None:
    until = time.monotonic() + 10
    while _is_postgres(pid) and time.monotonic() < until:
        time.sleep(0.05)


class Laboratory:
    """A laboratory's side: sends in order, sends again what got no answer, keeps a journal.

    `journal` holds (control id, MSA-1) of every message; an empty code where no answer came.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.journal: list[tuple[str, str]] = []

    async def send(
        self,
        messages: Iterable[tuple[str, bytes]],
        *,
        pause_seconds: float = 0.0,
        seconds: float = 300,
    ) -> None:
        """Send (control id, message) in order until each has an answer that is not AR."""
        until = time.monotonic() + seconds
        client = MllpClient("127.0.0.1", self.port, timeout_seconds=10)
        try:
            for control_id, raw in messages:
                await asyncio.sleep(pause_seconds)
                while True:
                    assert time.monotonic() < until, "no answer in time"
                    try:
                        answer = await client.send(raw)
                    except TransientError:
                        self.journal.append((control_id, ""))
                        await asyncio.sleep(0.05)
                        continue
                    self.journal.append((control_id, answer.code))
                    if answer.code not in {"AR", "CR"}:
                        break
                    await asyncio.sleep(0.1)
        finally:
            await client.close()

    @property
    def acknowledged(self) -> set[str]:
        """Control ids that got AA or CA."""
        return {control_id for control_id, code in self.journal if code in {"AA", "CA"}}


async def run(
    instance: Embedded, *words: str, dies_at: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a command at an instance; it may die by SIGKILL at a failpoint."""
    before = dict(instance.env)
    if dies_at:
        instance.env["LABDISPATCH_FAILPOINTS"] = f"{dies_at}=kill"
    try:
        return await asyncio.to_thread(instance.look, *words)
    finally:
        instance.env = before
