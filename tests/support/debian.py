"""A package of the distribution, downloaded and unpacked for tests; nothing is installed.

No right of the administrator is needed and nothing of the machine changes. Where apt has no lists
yet, they are read into a folder of their own and thrown away. Standard library only, as every kit.

No digest is pinned: each release has its own version, and a security update another. What comes is
held against apt's lists instead, which the distribution has signed; lists without a signature are
refused, unless the machine's own sources.list trusts them (`trusted=yes`).
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final, NamedTuple

from ops.kit import TRIES, KitMissing, try_until

_SIGNED: Final = (
    "-o", "APT::Get::AllowUnauthenticated=false",
    "-o", "Acquire::AllowInsecureRepositories=false",
    "-o", "Acquire::AllowWeakRepositories=false",
    "-o", "Acquire::AllowDowngradeToInsecureRepositories=false",
    # Of a package apt tells the first digest it knows, which may be MD5, unless it is told.
    "-o", "Acquire::ForceHash=SHA256",
)  # fmt: skip
_TOLD: Final = re.compile(r"^'[^']+' (\S+\.deb) \d+ SHA256:([0-9a-f]{64})$", re.MULTILINE)
_SECONDS: Final = 120


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
        KitMissing: There is no apt, it has no such package, or what came is not what the signed
            list says: nothing of it is unpacked then. Says what to install.
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
            digests = _download([apt], package, room)
        except KitMissing:
            # No lists on this machine, or old ones: a slim image comes without.
            own = [apt, *_private(room)]
            try_until(
                lambda: True,
                [*own, *_SIGNED, "update"],
                f"apt-get could not read the lists of packages in {TRIES} tries: is the network or"
                f" a mirror (sources.list) there? {package.install}",
            )
            digests = _download(own, package, room)
        came = sorted(room.rglob("*.deb"))
        for each in came:
            _hold_against(digests, each, package)
        target.mkdir(exist_ok=True)
        for each in came:
            try_until(
                lambda: any(target.iterdir()),
                [unpacker, "-x", str(each), str(target)],
                f"The package {each.name} could not be unpacked. {package.install}",
            )


def _download(apt: list[str], package: Package, into: Path) -> dict[str, str]:
    """Download; return what the signed lists say of each file: name -> SHA-256."""
    # As root apt would become a user who cannot write into a private folder.
    command = [*apt, "-o", "APT::Sandbox::User=root", *_SIGNED]
    if package.with_libraries:
        (into / "archives" / "partial").mkdir(parents=True, exist_ok=True)
        command += ["-y", "--no-install-recommends", "-o", "Debug::NoLocking=1"]
        command += ["-o", f"Dir::Cache::archives={into / 'archives'}"]
        asked, got = [*command, "--print-uris", "install"], [*command, "--download-only", "install"]
    else:
        asked, got = [*command, "--print-uris", "download"], [*command, "download"]
    failed = (
        f"apt-get could not download the package {package.name} in {TRIES} tries: is the network or"
        f" a mirror (sources.list) there? {package.install}"
    )
    digests = _told([*asked, package.name], failed)
    try_until(
        lambda: any(into.rglob(f"{package.name}_*.deb")), [*got, package.name], failed, cwd=into
    )
    return digests


def _told(command: list[str], failed: str) -> dict[str, str]:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise KitMissing(failed) from None
    if done.returncode != 0:
        raise KitMissing(f"{failed} Its last words:\n{done.stderr[-500:]}")
    return dict(_TOLD.findall(done.stdout))


def _hold_against(digests: dict[str, str], file: Path, package: Package) -> None:
    with file.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
    if digests.get(file.name) != found:
        raise KitMissing(
            f"{file.name} is not what the distribution's signed list says (SHA-256 {found}), and"
            f" was not unpacked: look at the mirror (sources.list). {package.install}"
        )


def _private(room: Path) -> list[str]:
    """Options by which apt keeps its lists in a folder of our own."""
    for name in ("lists/partial", "cache/archives/partial"):
        (room / name).mkdir(parents=True, exist_ok=True)
    return ["-o", f"Dir::State::lists={room / 'lists'}", "-o", f"Dir::Cache={room / 'cache'}"]
