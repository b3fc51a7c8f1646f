"""PostgreSQL's own programs, used on the embedded server by its superuser: backups and repairs."""

from __future__ import annotations

import subprocess
from pathlib import Path

from schemas.errors import FatalError, TransientError

from . import binaries, home
from .account import current
from .cluster import SUPERUSER, environment
from .home import DEFAULT_STATE_DIR


def client_programs(state_dir: Path | None) -> Path:
    """Return the folder of the programs."""
    return binaries.reachable(current(), (state_dir or DEFAULT_STATE_DIR).resolve())


def admin_environment(data_dir: Path) -> dict[str, str]:
    """Return the environment of a program that is to reach a data folder's server.

    By environment: arguments would show the password to everybody on the machine.

    Raises:
        FatalError: No server was ever started there.
    """
    connection = home.read_file(data_dir)
    if connection is None:
        raise FatalError(
            "no_embedded_postgres",
            f"{data_dir} holds no instance: start one with labdispatch run --data-dir",
        )
    return {
        **environment(),
        "PGHOST": connection.socket,
        "PGPORT": str(connection.port),
        "PGUSER": SUPERUSER,
        "PGPASSWORD": connection.superuser_password,
    }


def ask(programs: Path, data_dir: Path, sql: str) -> str:
    """Return what one statement gives, as psql prints it without ornament.

    Raises:
        TransientError: The server does not answer.
    """
    done = subprocess.run(  # noqa: S603 - our own binary, no shell
        [
            programs / "psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align",
            "--dbname=postgres", "--no-password",
        ],
        input=sql.encode(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=False,
        cwd="/",
        timeout=60,
        env=admin_environment(data_dir),
    )  # fmt: skip
    if done.returncode != 0:
        raise TransientError("database_away", "the embedded database does not answer: is it up?")
    return done.stdout.decode().strip()
