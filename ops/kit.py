"""Kits: what tests take from Maven or npm, brought next to the file that names it.

Once per content of that file, made in a folder of its own and put in place by one rename: a broken
download never looks like a finished one. A missing tool or network is a failure that says what to
install. Standard library only: it must run before anything else works.
"""

from __future__ import annotations

import fcntl
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

TRIES: Final = 3
MIN_JAVA: Final = 17
INSTALL: Final = (
    "Debian, Ubuntu: apt-get install openjdk-17-jre-headless maven"
    " · Fedora: dnf install java-21-openjdk-headless maven"
    " · macOS: brew install openjdk@21 maven"
)
_SECONDS: Final = 300


class KitMissing(Exception):
    """A kit cannot be had on this machine as it is; the text says what to install or do."""


def java() -> str:
    """Return the path of a Java that can run the broker.

    Raises:
        KitMissing: No Java, or one older than 17.
    """
    path = shutil.which("java")
    if path is None:
        raise KitMissing(f"Java {MIN_JAVA} or newer is needed and there is none. {INSTALL}")
    said = _run([path, "-version"], 30)
    found = re.search(r'version "(?:1\.)?(\d+)', said.stderr + said.stdout)
    if said.returncode != 0 or found is None:
        raise KitMissing(f"`java -version` does not answer as Java does. {INSTALL}")
    if int(found[1]) < MIN_JAVA:
        raise KitMissing(f"Java {MIN_JAVA} or newer is needed, this one is {found[1]}. {INSTALL}")
    return path


def brought(source: Path, folder: Path, bring: Callable[[Path], None]) -> Path:
    """Return `folder`, complete for the present content of `source`; safe beside itself.

    Args:
        source: Names what belongs into the folder.
        folder: Is removed and made anew when `source` has changed.
        bring: Fills an empty folder that it is given, or raises.

    Raises:
        KitMissing: From `bring`; the folder is as it was.
    """
    wanted = hashlib.sha256(source.read_bytes()).hexdigest()
    if _stamp(folder) == wanted:
        return folder
    with (folder.parent / ".resolve.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _stamp(folder) == wanted:  # another process was faster
            return folder
        fresh = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
        try:
            fresh.chmod(0o755)
            bring(fresh)
            (fresh / ".stamp").write_text(wanted)
            shutil.rmtree(folder, ignore_errors=True)
            fresh.rename(folder)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    return folder


def brought_jars(pom: Path, folder: Path, *, of: str, main_jar: str) -> Path:
    """Return the folder of the jars that a pom names.

    Args:
        pom: The dependencies.
        folder: Where the jars lie.
        of: Whose jars they are, for errors.
        main_jar: Pattern of the one that must be there.

    Raises:
        KitMissing: Java or Maven is missing, or Maven could not resolve after three tries.
    """

    def copy_dependencies(target: Path) -> None:
        java()
        maven = shutil.which("mvn")
        if maven is None:
            raise KitMissing(f"Maven is needed to resolve {of}'s jars and there is none. {INSTALL}")
        command = [
            maven, "-q", "-B", "-f", str(pom), "dependency:copy-dependencies",
            "-DincludeScope=runtime", f"-DoutputDirectory={target}",
        ]  # fmt: skip
        try_until(
            lambda: any(target.glob(main_jar)),
            command,
            f"Maven could not resolve {of}'s jars in {TRIES} tries: is the network or a mirror"
            " (~/.m2/settings.xml) there?",
        )

    return brought(pom, folder, copy_dependencies)


def try_until(
    is_there: Callable[[], bool],
    command: Sequence[str],
    otherwise: str,
    *,
    cwd: Path | None = None,
) -> None:
    """Run a command, three times at most, until it succeeds and what it brings is there.

    Raises:
        KitMissing: It did not: `otherwise`, and its last words.
    """
    said = ""
    for _ in range(TRIES):
        try:
            done = _run(command, _SECONDS, cwd)
        except subprocess.TimeoutExpired:
            said = f"no answer within {_SECONDS} seconds"
            continue
        if done.returncode == 0 and is_there():
            return
        said = "\n".join((done.stdout + done.stderr).splitlines()[-6:])
    raise KitMissing(f"{otherwise} Its last words:\n{said}")


def tell(name: str, resolve: Callable[[], Path], pattern: str) -> int:
    """Resolve a kit and say where it is; return 0, or 2 with the remedy when it cannot be had."""
    try:
        folder = resolve()
    except KitMissing as missing:
        sys.stderr.write(f"{name}: {missing}\n")
        return 2
    sys.stdout.write(f"{name}: {len(list(folder.glob(pattern)))} of {pattern} in {folder}\n")
    return 0


def _stamp(folder: Path) -> str:
    try:
        return (folder / ".stamp").read_text()
    except OSError:
        return ""


def _run(
    command: Sequence[str], seconds: float, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - the program's path comes from PATH, its arguments from here
        command, capture_output=True, text=True, timeout=seconds, check=False, cwd=cwd
    )
