"""The database of the compose file, natively: its own command, scripts and health checks.

No container runs here. What the image brings (its first start, `gosu`, `docker-entrypoint.sh`) is
stood in for in a few lines; the scripts are run as they are, at other addresses.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from ops.runtime.embedded import client_programs
from ops.runtime.embedded.account import current
from tests.support.cluster import read_service
from tests.support.kafka import free_ports
from tests.support.postgres import open_folder

from .tree import ROOT

COMPOSE: Final = ROOT / "ops" / "compose"
SERVICES: Final[dict[str, Any]] = yaml.safe_load((COMPOSE / "compose.yaml").read_text("utf-8"))[
    "services"
]
PASSWORDS: Final = {
    "HUB_DATABASE_PASSWORD": "databasepassword1",
    "HUB_REPLICATION_PASSWORD": "replicationpassword1",
}
SECONDS: Final = 300.0


class Machine:
    """A folder in which each service has its place, its port and the image's programs.

    Args:
        folder: Open to the system user of the servers.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.account = current()
        self.programs = client_programs(folder / "state")
        self.ports = dict(zip(("postgres", "postgres-standby"), free_ports(2), strict=True))
        self.running: list[subprocess.Popen[bytes]] = []
        self.image = folder / "image"
        self.image.mkdir()
        become = ""
        if self.account.lent:
            own = f"--reuid={self.account.uid} --regid={self.account.gid} --clear-groups"
            become = f"setpriv {own} "
        self.stub("gosu", f'shift; exec {become}"$@"')
        self.stub("docker-entrypoint.sh", f'exec {become}"$@" $ALSO')
        for name in self.ports:
            (folder / name).mkdir()
            self.account.own(folder / name)

    def stub(self, name: str, line: str) -> None:
        (self.image / name).write_text(f"#!/bin/sh\n{line}\n")
        (self.image / name).chmod(0o755)

    def env(self, service: str) -> dict[str, str]:
        """What the image and the file give a service; `ALSO` puts its server at its place."""
        place = self.folder / service
        return {
            "PATH": f"{self.image}:{self.programs}:/usr/sbin:/usr/bin:/sbin:/bin",
            "LC_ALL": "C",
            "PGDATA": f"{place}/data/pgdata",
            "PGHOST": str(place),
            "PGPORT": str(self.ports[service]),
            "ALSO": f"-cunix_socket_directories={place} -cport={self.ports[service]}"
            " -clisten_addresses=127.0.0.1",
            **PASSWORDS,
        }

    def typed(self, service: str, *words: str, code: int = 0) -> str:
        """Run something as the server's user, to its end."""
        done: subprocess.CompletedProcess[str] = subprocess.run(
            words, cwd="/", env=self.env(service), capture_output=True, text=True, check=False,
            timeout=SECONDS, **self.account.as_user(),
        )  # fmt: skip
        assert done.returncode == code, (words, done.stdout, done.stderr, self.last_words())
        return done.stdout

    def start(self, service: str, words: list[str], *, as_root: bool = False) -> None:
        """Start something that stays."""
        with (self.folder / f"{service}.log").open("ab") as log:
            self.running.append(
                subprocess.Popen(
                    words,
                    cwd="/",
                    env=self.env(service),
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    **({} if as_root else self.account.as_user()),
                )
            )

    def is_healthy(self, service: str) -> bool:
        """Ask as the file does."""
        kind, *words = SERVICES[service]["healthcheck"]["test"]
        asked = ["/bin/sh", "-c", *words] if kind == "CMD-SHELL" else words
        env = self.env(service)
        return subprocess.run(asked, env=env, capture_output=True, check=False).returncode == 0

    def until_healthy(self, service: str) -> None:
        limit = time.monotonic() + SECONDS
        while not self.is_healthy(service):
            assert time.monotonic() < limit, self.last_words()
            time.sleep(0.2)

    def last_words(self) -> str:
        return "\n".join(path.read_text()[-2_000:] for path in self.folder.glob("*.log"))

    def stop(self) -> None:
        """End what was started, whoever it became."""
        for service in self.ports:
            with contextlib.suppress(AssertionError):
                self.typed(service, "pg_ctl", "stop", "--mode=immediate")
        for process in self.running:
            process.wait(60)


@pytest.fixture
def machine() -> Iterator[Machine]:
    folder = open_folder()
    made = Machine(folder)
    try:
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder)


def first_start(machine: Machine) -> None:
    """Do as the image does with an empty volume: initdb, a server on its socket, our script."""
    options = SERVICES["postgres"]["environment"]["POSTGRES_INITDB_ARGS"].split()
    data = machine.env("postgres")["PGDATA"]
    machine.typed("postgres", "mkdir", "-p", str(Path(data).parent))
    machine.typed("postgres", "initdb", "--username=postgres", f"--pgdata={data}", *options)
    socket_only = machine.env("postgres")["ALSO"].replace("listen_addresses=127.0.0.1",
                                                         "listen_addresses=")  # fmt: skip
    machine.typed(
        "postgres", "pg_ctl", "start", "-w", f"--log={data}/first.log", f"--options={socket_only}"
    )
    machine.typed("postgres", "/bin/bash", str(readable(machine, "postgres-init.sh")))
    machine.typed("postgres", "pg_ctl", "stop", "-w")


def readable(machine: Machine, script: str, *changes: tuple[str, str]) -> Path:
    """Return a copy of a script, where the server's user can read it."""
    text = (COMPOSE / script).read_text("utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (machine.folder / script).write_text(text, "utf-8")
    (machine.folder / script).chmod(0o755)
    return machine.folder / script


def migrated(machine: Machine) -> subprocess.CompletedProcess[str]:
    """Run the service `migrate` by its own command and environment, at our port."""
    command, environment, _ = read_service("migrate")
    dsn: Mapping[str, str] = {
        "LABDISPATCH_POSTGRES_DSN": f"postgresql://labdispatch:{PASSWORDS['HUB_DATABASE_PASSWORD']}"
        f"@127.0.0.1:{machine.ports['postgres']}/labdispatch",
        "LABDISPATCH_DATA_DIR": str(machine.folder / "hub"),
    }
    return subprocess.run(
        command, env={**os.environ, **environment, **dsn}, capture_output=True,
        text=True, check=False, timeout=SECONDS,
    )  # fmt: skip


@pytest.mark.timeout(900)
def test_the_database_starts_by_its_own_lines_and_commits_wait_for_the_standby(
    machine: Machine,
) -> None:
    first_start(machine)
    command = [*SERVICES["postgres"]["command"], *shlex.split(machine.env("postgres")["ALSO"])]
    machine.start("postgres", [str(machine.programs / command[0]), *command[1:]])
    machine.until_healthy("postgres")
    assert not machine.is_healthy("postgres-standby")
    owner = machine.account.name
    script = readable(
        machine,
        "postgres-standby.sh",
        ("host=postgres ", f"host=127.0.0.1 port={machine.ports['postgres']} "),
        ("--owner=postgres --group=postgres", f"--owner={owner} --group={group_of(machine)}"),
    )
    entry = SERVICES["postgres-standby"]["entrypoint"]
    assert entry[1] == "/hub/postgres-standby.sh"
    machine.start("postgres-standby", [entry[0], str(script)], as_root=True)
    machine.until_healthy("postgres-standby")
    done = migrated(machine)
    assert done.returncode == 0, done.stderr
    assert re.match(r"\d+ migrations applied", done.stdout)
    asked = "SELECT sync_state FROM pg_stat_replication"
    psql = ("psql", "--username=postgres", "--tuples-only", "--no-align", "--command")
    assert machine.typed("postgres", *psql, asked).split() == ["sync"]
    there = "SELECT count(*) FROM schema_migration"
    words = (*psql, there, "--dbname=labdispatch")
    told = machine.typed("postgres-standby", *words)
    assert told == machine.typed("postgres", *words) and int(told) > 0


def group_of(machine: Machine) -> str:
    return str(machine.account.gid)
