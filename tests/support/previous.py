"""The release before this one, as it was: its own files, its own packages.

`ops/previous-release` names its commit. Its tree is checked out beside ours; where its lock is
ours, so are its packages, and nothing is installed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

ROOT: Final = Path(__file__).parents[2]
NAMED: Final = ROOT / "ops" / "previous-release"
_LOCK: Final = "requirements.lock"


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """A tree of the product and what runs it."""

    name: str
    tree: Path
    python: Path

    @property
    def units(self) -> Path:
        """Its unit files."""
        return self.tree / "ops" / "systemd"

    @property
    def schema(self) -> int:
        """The number of its last migration."""
        folder = self.tree / "schemas" / "sql" / "migrations"
        return max(int(path.name[:4]) for path in folder.glob("[0-9]*.sql"))

    def command(self, *arguments: str) -> list[str]:
        """Return a command of this release; it is to run in `tree`."""
        return [str(self.python), "-m", "ops.cli", *arguments]

    def environment(self, more: Mapping[str, str]) -> dict[str, str]:
        """Return an environment in which its packages are found before any other of that name."""
        return {**os.environ, "PYTHONPATH": str(self.tree), **more}


THIS: Final = Release(name="new", tree=ROOT, python=Path(sys.executable))


@contextmanager
def previous_release(folder: Path) -> Iterator[Release]:
    """Check the release before this one out into a new folder; it is gone afterwards.

    Raises:
        AssertionError: This clone has not got its commit: a shallow one.
    """
    commit = NAMED.read_text("ascii").strip()
    found = _git("cat-file", "-e", f"{commit}^{{commit}}")
    assert found.returncode == 0, (
        f"the previous release, {commit}, is not in this clone: git fetch --unshallow"
    )
    tree = folder / "previous"
    made = _git("worktree", "add", "--detach", str(tree), commit)
    assert made.returncode == 0, made.stderr
    try:
        yield Release(name="old", tree=tree, python=_python_of(tree, folder))
    finally:
        _git("worktree", "remove", "--force", str(tree))


def _python_of(tree: Path, folder: Path) -> Path:
    """Return a Python that has what this tree's lock says."""
    lock = tree / _LOCK
    if lock.read_bytes() == (ROOT / _LOCK).read_bytes():
        return Path(sys.executable)
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    python = folder / "venv" / "bin" / "python"
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--require-hashes", "-r", lock], check=True
    )
    return python


def _git(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["git", "-C", ROOT, *arguments], capture_output=True, text=True, check=False
    )
