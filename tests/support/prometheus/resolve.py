"""Prometheus and promtool for tests: the machine's own, or Debian's package: `make prometheus`.

What is on PATH is taken where it is new enough. Else the distribution's package is downloaded and
unpacked beside this file: nothing is installed, no right of the administrator is needed, and
nothing of the machine changes. Where apt has no lists yet, they are read into a folder of their
own and thrown away. Standard library only, as every kit.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final, NamedTuple

from ops.kit import TRIES, KitMissing, brought, tell, try_until

HERE: Final = Path(__file__).resolve().parent
INSTALL: Final = (
    "Install Prometheus with promtool: on Debian and Ubuntu `apt-get install prometheus`, on Fedora"
    " `dnf install prometheus`, on macOS `brew install prometheus`; or put both programs on PATH."
)
_WANTED: Final = HERE / "wanted.json"
_NAMES: Final = ("prometheus", "promtool")
_SECONDS: Final = 60


class Wanted(NamedTuple):
    """What wanted.json says: the package, and the oldest version whose promtool knows our tests."""

    package: str
    at_least: str


class Programs(NamedTuple):
    """Both programs, by path."""

    prometheus: Path
    promtool: Path


def programs() -> Programs:
    """Return both programs, new enough and able to run.

    Raises:
        KitMissing: They are not there and cannot be had; says what to install.
    """
    folder = resolve()
    return Programs(*(folder / name for name in _NAMES))


def resolve() -> Path:
    """Return the folder that holds both programs.

    Raises:
        KitMissing: They are not there and cannot be had; says what to install.
    """
    folder = HERE / "programs"
    if not all((folder / name).exists() for name in _NAMES):
        # Links to the machine's own programs, which went since.
        shutil.rmtree(folder, ignore_errors=True)
    return brought(_WANTED, folder, _bring)


def _bring(target: Path) -> None:
    wanted = Wanted(**json.loads(_WANTED.read_bytes()))
    present = [shutil.which(name) for name in _NAMES]
    if all(path is not None and _new_enough(Path(path), wanted) for path in present):
        for name, path in zip(_NAMES, present, strict=True):
            (target / name).symlink_to(Path(path or "").resolve())
        return
    _unpack(wanted, target)
    for name in _NAMES:
        if not _new_enough(target / name, wanted):
            raise KitMissing(
                f"{name} of this distribution is older than {wanted.at_least} or does not run."
                f" {INSTALL}"
            )


def _unpack(wanted: Wanted, target: Path) -> None:
    apt, unpacker = shutil.which("apt-get"), shutil.which("dpkg-deb")
    if apt is None or unpacker is None:
        raise KitMissing(
            f"Prometheus {wanted.at_least} or newer is needed and there is none, and no apt-get to"
            f" get it by. {INSTALL}"
        )
    with tempfile.TemporaryDirectory(prefix="prometheus-package.") as scratch:
        room = Path(scratch)
        try:
            _download([apt], wanted.package, room)
        except KitMissing:
            # No lists on this machine, or old ones: a slim image comes without.
            own = [apt, *_private(room)]
            try_until(
                lambda: True,
                [*own, "update"],
                f"apt-get could not read the lists of packages in {TRIES} tries: is the network or"
                f" a mirror (sources.list) there? {INSTALL}",
            )
            _download(own, wanted.package, room)
        (package,) = room.glob("*.deb")
        try_until(
            (room / "whole" / "usr" / "bin" / _NAMES[0]).is_file,
            [unpacker, "-x", str(package), str(room / "whole")],
            f"The package {wanted.package} could not be unpacked. {INSTALL}",
        )
        for name in _NAMES:
            shutil.move(room / "whole" / "usr" / "bin" / name, target / name)


def _download(apt: list[str], package: str, into: Path) -> None:
    # As root apt would become a user who cannot write into a private folder.
    command = [*apt, "-o", "APT::Sandbox::User=root", "download", package]
    try_until(
        lambda: any(into.glob("*.deb")),
        command,
        f"apt-get could not download the package {package} in {TRIES} tries: is the network or a"
        f" mirror (sources.list) there? {INSTALL}",
        cwd=into,
    )


def _private(room: Path) -> list[str]:
    """Options by which apt keeps its lists in a folder of our own."""
    for name in ("lists/partial", "cache/archives/partial"):
        (room / name).mkdir(parents=True, exist_ok=True)
    return [
        "-o", f"Dir::State::lists={room / 'lists'}",
        "-o", f"Dir::Cache={room / 'cache'}",
        "-o", "APT::Sandbox::User=root",
    ]  # fmt: skip


def _new_enough(program: Path, wanted: Wanted) -> bool:
    try:
        said = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    found = re.search(r"version (\d+)\.(\d+)", said.stdout + said.stderr)
    if said.returncode != 0 or found is None:
        return False
    least = [int(part) for part in wanted.at_least.split(".")]
    return [int(found[1]), int(found[2])] >= least


if __name__ == "__main__":
    sys.exit(tell("prometheus", resolve, "prom*"))
