"""A stopped cluster, asked in PostgreSQL's single-user mode: no password, and nobody else gets in.

Its answers are written for people, a column a line; one column of text is what is read here.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Final

from . import binaries, cluster, home
from .account import Account, current
from .home import DEFAULT_STATE_DIR, Home

_SECONDS: Final = 600.0
_VALUE: Final = re.compile(r'^\t 1: \S+ = "(.*)"\t\(typeid', re.MULTILINE)


def run_single(
    place: Home, account: Account, programs: Path, database: str, statement: str
) -> subprocess.CompletedProcess[bytes]:
    """Run one statement, on one line, in a stopped cluster; its log stays silent."""
    return subprocess.run(  # noqa: S603 - our own binary, no shell
        [
            programs / "postgres", "--single", "-D", place.cluster, "-c", "log_min_messages=panic",
            "-c", "password_encryption=scram-sha-256", database,
        ],
        input=f"{statement}\n".encode(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=False,
        cwd="/",
        timeout=_SECONDS,
        env=cluster.environment(),
        **account.as_user(),
    )  # fmt: skip


def texts_of(data_dir: Path, state_dir: Path | None, statement: str) -> list[str]:
    """Return the only column, of text, of a statement; nothing where it cannot be asked.

    Args:
        data_dir: Of a hub that does not run, and whose cluster was stopped in order.
        state_dir: As root: where the cluster lies.
        statement: On one line; of the hub's database.
    """
    account = current()
    state = (state_dir or DEFAULT_STATE_DIR).resolve()
    place = home.locate(data_dir.resolve(), state, account)
    programs = binaries.reachable(account, state)
    done = run_single(place, account, programs, cluster.DATABASE, statement)
    return _VALUE.findall(done.stdout.decode()) if done.returncode == 0 else []
