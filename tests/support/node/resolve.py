"""The package node-hl7-client, next to the lock that names it: `make node`."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from ops.kit import TRIES, KitMissing, brought, tell, try_until

HERE: Final = Path(__file__).resolve().parent
SENDER: Final = HERE / "send.mjs"
INSTALL: Final = (
    "Install Node.js 20.15 or newer with npm: on Debian and Ubuntu `apt-get install nodejs npm`,"
    " on Fedora `dnf install nodejs`, on macOS `brew install node`."
)
_OLDEST: Final = (20, 15)
_PACKAGE: Final = "node-hl7-client"


def node() -> str:
    """Return the path of a Node.js that is new enough.

    Raises:
        KitMissing: There is none; says what to install.
    """
    found = shutil.which("node")
    if found is None:
        raise KitMissing(f"Node.js is needed and there is none. {INSTALL}")
    said = subprocess.run(
        [found, "--version"], capture_output=True, text=True, timeout=60, check=False
    ).stdout.strip()
    parts = said.removeprefix("v").split(".")
    if len(parts) < 2 or not (parts[0] + parts[1]).isdigit():
        raise KitMissing(f"Node.js does not say its version. {INSTALL}")
    if (int(parts[0]), int(parts[1])) < _OLDEST:
        raise KitMissing(f"Node.js {said} is too old. {INSTALL}")
    return found


def resolve() -> Path:
    """Return the folder of modules, complete for the present lock.

    Raises:
        KitMissing: Node.js or npm is missing, or npm could not resolve it.
    """
    return brought(HERE / "package-lock.json", HERE / "node_modules", _install)


def _install(target: Path) -> None:
    node()
    npm = shutil.which("npm")
    if npm is None:
        raise KitMissing(f"npm is needed and there is none. {INSTALL}")
    named = [HERE / "package.json", HERE / "package-lock.json"]
    for file in named:
        shutil.copy(file, target)
    made = target / "node_modules"
    try_until(
        (made / _PACKAGE).is_dir,
        [npm, "ci", "--omit=dev", "--no-audit", "--no-fund", "--ignore-scripts"],
        f"npm could not resolve {_PACKAGE} in {TRIES} tries: is the network or a mirror"
        " (.npmrc) there?",
        cwd=target,
    )
    for file in named:
        (target / file.name).unlink()
    for module in made.iterdir():
        module.rename(target / module.name)
    made.rmdir()


if __name__ == "__main__":
    sys.exit(tell("node", resolve, _PACKAGE))
