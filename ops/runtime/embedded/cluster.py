"""The cluster's files: made whole or not at all, checked, set up, its logs kept small."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from ops.runtime.data_folder import fsync_folder, write_private
from schemas.errors import FatalError

from . import binaries, leftovers
from .account import Account
from .home import Connection, Home

DATABASE = "labdispatch"
ROLE = "labdispatch"
SUPERUSER = "postgres"
_LOG_BYTES = 128 * 1024 * 1024

# What the server's last words mean. They are matched, never repeated.
_REMEDIES = (
    (re.compile("No space left on device"), "free space on the disk"),
    (re.compile("could not map anonymous shared memory|Cannot allocate memory"),
     "lower shared_buffers_mb or give the machine more memory"),
    (re.compile("Address already in use"), "choose another port"),
    (re.compile("invalid value for parameter|unrecognized configuration parameter"),
     "correct the extra PostgreSQL settings"),
    (re.compile("incompatible with server"), "use the software version that made this cluster"),
)  # fmt: skip

_SETUP_SQL = r"""
\set ON_ERROR_STOP on
-- Where commits wait for the archive of the log, that begins only when the server stands.
SET synchronous_commit = local;
-- Repeatable: the first start may have been cut after any of these.
SELECT 'CREATE ROLE labdispatch' WHERE NOT EXISTS
    (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'labdispatch') \gexec
-- CREATEDB for copies of the schema (tests, restores); never a superuser.
ALTER ROLE labdispatch LOGIN NOSUPERUSER CREATEDB PASSWORD :'password';
GRANT pg_monitor, pg_checkpoint TO labdispatch;
SELECT 'CREATE DATABASE labdispatch OWNER labdispatch' WHERE NOT EXISTS
    (SELECT FROM pg_catalog.pg_database WHERE datname = 'labdispatch') \gexec
"""


def environment() -> dict[str, str]:
    """Give the whole environment of a server process: nothing of the caller's.

    PG* variables and locales would change what the server does.
    """
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


def init(place: Home, account: Account, programs: Path, connection: Connection) -> None:
    """Make the cluster beside its place and move it there when it is whole and on disk."""
    fresh = Path(tempfile.mkdtemp(prefix="cluster.new-", dir=place.path))
    account.own(fresh)
    secret = place.path / ".initdb-password"
    secret.unlink(missing_ok=True)
    write_private(secret, connection.superuser_password.encode())
    account.own(secret)
    try:
        # --no-sync and one sync at the end: the same durability, one pass over the files.
        _run_initdb(
            place,
            account,
            [
                programs / "initdb",
                f"--pgdata={fresh}",
                "--no-sync",
                "--no-instructions",
                "--data-checksums",
                "--encoding=UTF8",
                "--locale=C",
                # Part of PostgreSQL itself: an update of libc can never break an index.
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                f"--username={SUPERUSER}",
                f"--pwfile={secret}",
                "--auth=scram-sha-256",
            ],
        )
        _run_initdb(place, account, [programs / "initdb", "--sync-only", f"--pgdata={fresh}"])
    finally:
        secret.unlink(missing_ok=True)
    if place.cluster.exists():
        shutil.rmtree(fresh)
        raise FatalError("cluster_taken", f"{place.cluster} appeared meanwhile: start again")
    fresh.rename(place.cluster)
    fsync_folder(place.path)


def _run_initdb(place: Home, account: Account, arguments: list[str | os.PathLike[str]]) -> None:
    with place.start_log.open("ab") as log:
        place.start_log.chmod(0o600)
        done = subprocess.run(  # noqa: S603 - our own binary, no shell
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            check=False,
            cwd="/",
            env=environment(),
            start_new_session=True,
            **account.as_user(),
        )
    if done.returncode != 0:
        raise died(place)


def set_up(programs: Path, connection: Connection) -> None:
    """Make role and database, as the superuser, over the socket."""
    done = subprocess.run(  # noqa: S603 - our own binary, no shell
        [programs / "psql", "--no-psqlrc", "--quiet", "--dbname=postgres"],
        # By stdin and environment: arguments would show the passwords to everybody.
        input=f"\\set password '{connection.password}'\n{_SETUP_SQL}".encode(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
        cwd="/",
        timeout=120,
        env={
            **environment(),
            "PGHOST": connection.socket,
            "PGPORT": str(connection.port),
            "PGUSER": SUPERUSER,
            "PGPASSWORD": connection.superuser_password,
        },
    )
    if done.returncode != 0:
        raise FatalError(
            "database_not_made",
            f"the database {DATABASE} could not be made in {connection.home}: see its log folder",
        )


def check_major(place: Home) -> None:
    """Promise that these binaries made this cluster.

    Raises:
        FatalError: `cluster_of_another_version`.
    """
    found = "".join(leftovers.read_lines(place.cluster / "PG_VERSION")).strip()
    needed = binaries.major_version()
    if found != needed:
        raise FatalError(
            "cluster_of_another_version",
            f"{place.cluster} is of PostgreSQL {found or 'unknown'}, this software runs {needed}: "
            "use the version that made it, dump there and restore here",
        )


def died(place: Home) -> FatalError:
    """Say why the server ended at start: a remedy of ours and where its log lies."""
    logs = sorted(place.log.glob("postgres-*.log"))
    where = [place.start_log, *logs[-1:]]
    said = "\n".join(line for path in where for line in leftovers.read_lines(path))
    remedy = next((r for pattern, r in _REMEDIES if pattern.search(said)), "read what it says")
    places = " and ".join(str(path) for path in where)
    return FatalError("postgres_start_failed", f"PostgreSQL ended at start: {remedy}; see {places}")


def trim_log(place: Home, most_bytes: int = _LOG_BYTES) -> int:
    """Remove the oldest server logs until they fit; return how many went. The newest stays."""
    removed = 0
    logs = sorted(place.log.glob("postgres-*.log"))
    total = sum(path.lstat().st_size for path in logs)
    for path in logs[:-1]:
        if total <= most_bytes:
            break
        total -= path.lstat().st_size
        path.unlink()
        removed += 1
    return removed
