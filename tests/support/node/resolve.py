"""Brings node-hl7-client next to the lock that names it: `python -m tests.support.node.resolve`.

Once per content of that lock. A missing Node.js, npm or network is a failure that says what to
install, never a skip.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from ops.kafka.resolve import TRIES, KitMissing

HERE: Final = Path(__file__).resolve().parent
LOCK: Final = HERE / "package-lock.json"
MODULES: Final = HERE / "node_modules"
SENDER: Final = HERE / "send.mjs"
INSTALL: Final = (
    "Install Node.js 20.15 or newer with npm: on Debian and Ubuntu `apt-get install nodejs npm`,"
    " on Fedora `dnf install nodejs`, on macOS `brew install node`."
)
_OLDEST: Final = (20, 15)
_NPM_SECONDS: Final = 300


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
    """Return the folder of modules, complete for the present lock; idempotent, safe beside itself.

    Raises:
        KitMissing: Node.js or npm is missing, or npm could not resolve after three tries.
    """
    wanted = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if _stamp() == wanted:
        return MODULES
    node()
    npm = shutil.which("npm")
    if npm is None:
        raise KitMissing(f"npm is needed and there is none. {INSTALL}")
    with (HERE / ".resolve.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _stamp() == wanted:  # another process was faster
            return MODULES
        _install(npm)
        (MODULES / ".stamp").write_text(wanted)
    return MODULES


def _stamp() -> str:
    try:
        return (MODULES / ".stamp").read_text()
    except OSError:
        return ""


def _install(npm: str) -> None:
    said = ""
    for _ in range(TRIES):
        try:
            done = subprocess.run(
                [npm, "ci", "--omit=dev", "--no-audit", "--no-fund", "--ignore-scripts"],
                cwd=HERE,
                capture_output=True,
                text=True,
                timeout=_NPM_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            said = f"no answer within {_NPM_SECONDS} seconds"
            continue
        if done.returncode == 0:
            return
        said = "\n".join((done.stdout + done.stderr).splitlines()[-6:])
    raise KitMissing(
        f"npm could not resolve node-hl7-client in {TRIES} tries: is the network or a mirror"
        f" (.npmrc) there? Its last words:\n{said}"
    )


def main() -> int:
    """Resolve and say where; exit code 0, or 2 with the remedy when something is missing."""
    try:
        modules = resolve()
    except KitMissing as missing:
        sys.stderr.write(f"node: {missing}\n")
        return 2
    sys.stdout.write(f"node: node-hl7-client in {modules}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
