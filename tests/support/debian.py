"""A package of the distribution, downloaded and unpacked for tests; nothing is installed.

No right of the administrator is needed and nothing of the machine changes. Where apt has no lists
yet, they are read into a folder of their own and thrown away. Standard library only, as every kit.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

from ops.kit import TRIES, KitMissing, try_until


class Package(NamedTuple):
    """What is to be unpacked.

    Attributes:
        name: The distribution's.
        needed: What it is and how new, for the error where there is no apt at all.
        install: What a person does instead; the end of every error.
        with_libraries: Also what it depends on and this machine lacks.
    """

    name: str
    needed: str
    install: str
    with_libraries: bool = False


def unpack(package: Package, target: Path) -> None:
    """Unpack a package below `target`, as it would lie below the root of the machine.

    Raises:
        KitMissing: There is no apt, or it has no such package; says what to install.
    """
    apt, unpacker = shutil.which("apt-get"), shutil.which("dpkg-deb")
    if apt is None or unpacker is None:
        raise KitMissing(
            f"{package.needed} is needed and there is none, and no apt-get to get it by."
            f" {package.install}"
        )
    with tempfile.TemporaryDirectory(prefix=f"{package.name}-package.") as scratch:
        room = Path(scratch)
        try:
            _download([apt], package, room)
        except KitMissing:
            # No lists on this machine, or old ones: a slim image comes without.
            own = [apt, *_private(room)]
            try_until(
                lambda: True,
                [*own, "update"],
                f"apt-get could not read the lists of packages in {TRIES} tries: is the network or"
                f" a mirror (sources.list) there? {package.install}",
            )
            _download(own, package, room)
        target.mkdir(exist_ok=True)
        for each in sorted(room.rglob("*.deb")):
            try_until(
                lambda: any(target.iterdir()),
                [unpacker, "-x", str(each), str(target)],
                f"The package {each.name} could not be unpacked. {package.install}",
            )


def _download(apt: list[str], package: Package, into: Path) -> None:
    # As root apt would become a user who cannot write into a private folder.
    command = [*apt, "-o", "APT::Sandbox::User=root"]
    if package.with_libraries:
        (into / "archives" / "partial").mkdir(parents=True, exist_ok=True)
        command += [
            "-y", "--no-install-recommends", "--download-only",
            "-o", f"Dir::Cache::archives={into / 'archives'}", "-o", "Debug::NoLocking=1",
            "install", package.name,
        ]  # fmt: skip
    else:
        command += ["download", package.name]
    try_until(
        lambda: any(into.rglob(f"{package.name}_*.deb")),
        command,
        f"apt-get could not download the package {package.name} in {TRIES} tries: is the network or"
        f" a mirror (sources.list) there? {package.install}",
        cwd=into,
    )


def _private(room: Path) -> list[str]:
    """Options by which apt keeps its lists in a folder of our own."""
    for name in ("lists/partial", "cache/archives/partial"):
        (room / name).mkdir(parents=True, exist_ok=True)
    return ["-o", f"Dir::State::lists={room / 'lists'}", "-o", f"Dir::Cache={room / 'cache'}"]
