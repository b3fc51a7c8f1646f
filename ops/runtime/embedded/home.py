"""Where the cluster of a data folder lies, and the secrets that open it.

As an ordinary user the home is `<data_dir>/postgres`. As root it is a folder of the state folder,
keyed by the data folder's real path, because the server's user may not reach the data folder and
no parent is ever opened for it. The home belongs to who starts the server; only `cluster`,
`socket` and `log` in it belong to the server's user, so that no file we write can be turned into
a link by that user.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import subprocess
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from ops.runtime.data_folder import write_private
from schemas.errors import FatalError

from .account import Account

DEFAULT_STATE_DIR = Path("/var/lib/labdispatch")
_SOCKET_BYTES = 107  # sun_path of Linux, without its closing NUL


class Connection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `<data_dir>/postgres.json` (0600) holds: the way to the cluster, and its passwords.

    Attributes:
        ready: Whether the database stands; False between the first start's steps.
    """

    token: str
    home: str
    socket: str
    port: int
    password: str
    superuser_password: str
    ready: bool

    def __repr__(self) -> str:
        """Never shows a password."""
        return f"Connection(home={self.home!r})"


class Home(msgspec.Struct, frozen=True, kw_only=True):
    """The folders of one cluster."""

    path: Path
    socket: Path
    name: str

    @property
    def cluster(self) -> Path:
        """PGDATA; stands only once initdb has finished and is on disk."""
        return self.path / "cluster"

    @property
    def log(self) -> Path:
        """Where the server writes its logs."""
        return self.path / "log"

    @property
    def start_log(self) -> Path:
        """What the server said before its logger ran."""
        return self.path / "start.log"


def key_of(path: Path) -> str:
    """Give the short key of a real path."""
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:16]


def locate(data_dir: Path, state_dir: Path, account: Account) -> Home:
    """Tell where the cluster of a data folder (real path) lies; makes nothing."""
    path = state_dir / key_of(data_dir) if account.lent else data_dir / "postgres"
    path = path.resolve()  # /proc tells working folders without links
    return Home(path=path, socket=_socket_folder(path), name=f"labdispatch-{key_of(path)}")


def _socket_folder(home: Path) -> Path:
    near = home / "socket"
    if len(os.fsencode(near / ".s.PGSQL.65535.lock")) <= _SOCKET_BYTES:
        return near
    return Path(tempfile.gettempdir()) / f"labdispatch-{os.geteuid()}-{key_of(home)}"


def make(home: Home, account: Account) -> None:
    """Make the folders that are missing; never changes the mode of one that it did not make.

    Raises:
        FatalError: The server's user cannot get there, or somebody else has taken the place.
    """
    missing = [p for p in (home.path, *home.path.parents) if not p.exists()]
    try:
        for path in reversed(missing):
            path.mkdir()
            path.chmod(0o711 if account.lent else 0o700)
        for path in (home.socket, home.log):
            if not path.exists():
                path.mkdir(mode=0o700)
                account.own(path)
    except OSError as problem:
        raise FatalError(
            "state_folder_unusable",
            f"{problem.filename} cannot be made ({problem.strerror}): name another state_dir",
        ) from None
    found = home.socket.lstat()
    if found.st_uid != account.uid or found.st_mode & 0o170777 != 0o040700:
        raise FatalError(
            "socket_folder_taken",
            f"{home.socket} is not a folder of mode 0700 of user {account.name}: remove it",
        )
    _check_reach(home, account)


def _check_reach(home: Home, account: Account) -> None:
    if not account.lent:
        return
    reached = subprocess.run(  # noqa: S603 - constant program
        ["/bin/sh", "-c", 'cd "$1"', "sh", str(home.socket)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
        cwd="/",
        timeout=60,
        **account.as_user(),
    )
    if reached.returncode != 0:
        raise FatalError(
            "state_folder_unreachable",
            f"user {account.name} cannot reach {home.path}: name a state_dir whose parents can "
            f"be entered by everybody (the default is {DEFAULT_STATE_DIR})",
        )


def read_file(data_dir: Path) -> Connection | None:
    """Read `postgres.json`; None when there is none.

    Raises:
        FatalError: It cannot be read.
    """
    path = data_dir / "postgres.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Connection)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError):
        raise FatalError(
            "postgres_file_unreadable",
            f"{path} cannot be read: run as the user that owns the data folder, or restore the "
            "file from a backup",
        ) from None


def write_file(data_dir: Path, connection: Connection) -> None:
    """Write `postgres.json`, durably and for its owner alone."""
    write_private(data_dir / "postgres.json", msgspec.json.encode(connection))


def settle(data_dir: Path, home: Home, progress: Callable[[str], None]) -> Connection:
    """Match data folder and home; the caller holds the lock, and no server process is left.

    Returns:
        The way in; `ready` is False when a cluster has to be made or finished.

    Raises:
        FatalError: One of the two is lost or belongs to another; nothing is overwritten.
    """
    token_file = data_dir / "cluster.id"
    known = read_file(data_dir)
    token = token_file.read_text().strip() if token_file.exists() else None
    stands = home.cluster.exists()
    if token is None and (known is None or not known.ready):
        if stands:
            _set_aside(data_dir, home, progress)
        return _first(data_dir, home, token_file)
    if known is None or token is None or known.token != token:
        raise FatalError(
            "postgres_file_missing",
            f"{data_dir}/postgres.json and cluster.id do not belong together: restore them from "
            "a backup (without them the cluster cannot be opened)",
        )
    # A cluster inside its data folder moves with it; one in the state folder does not.
    moved_along = stands and home.path.parent == data_dir
    if Path(known.home) != home.path and not moved_along:
        raise FatalError(
            "cluster_elsewhere",
            f"the cluster of this data folder lies in {known.home}: run as the user that made "
            "it, with the same state_dir, and leave the data folder where it was",
        )
    if known.ready and not stands:
        raise FatalError(
            "cluster_missing",
            f"{home.cluster} is gone: restore it from a backup, or begin anew with another "
            "--data-dir",
        )
    return msgspec.structs.replace(known, home=str(home.path), socket=str(home.socket))


def _first(data_dir: Path, home: Home, token_file: Path) -> Connection:
    connection = Connection(
        token=secrets.token_hex(16),
        home=str(home.path),
        socket=str(home.socket),
        port=5432,
        password=secrets.token_urlsafe(32),
        superuser_password=secrets.token_urlsafe(32),
        ready=False,
    )
    # This order: a crash between the two leaves a folder that still counts as new.
    write_file(data_dir, connection)
    write_private(token_file, connection.token.encode())
    return connection


def _set_aside(data_dir: Path, home: Home, progress: Callable[[str], None]) -> None:
    # The data folder was removed and made anew. Its keys are gone, but destroying is not ours.
    aside = home.path / f"abandoned-{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
    home.cluster.rename(aside)
    progress(f"{data_dir} is new: the cluster of its predecessor now lies in {aside}")
