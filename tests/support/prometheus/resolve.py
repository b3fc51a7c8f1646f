"""Prometheus and Alertmanager for tests: the machine's own or Debian's: `make prometheus`.

What is on PATH is taken where it is new enough. Else the distribution's package is downloaded and
unpacked beside this file (`tests/support/debian.py`). Standard library only, as every kit.
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

from ops.kit import KitMissing, brought, tell
from tests.support.debian import Package, unpack

HERE: Final = Path(__file__).resolve().parent
INSTALL: Final = (
    "Install Prometheus with promtool and Alertmanager with amtool: on Debian and Ubuntu"
    " `apt-get install prometheus prometheus-alertmanager`, on macOS `brew install prometheus"
    " alertmanager`; on Fedora `dnf install prometheus`, and Alertmanager from prometheus.io; or"
    " put the four programs on PATH."
)
_WANTED: Final = HERE / "wanted.json"
_SECONDS: Final = 60
_TEMPLATES: Final = Path("usr/share/prometheus/alertmanager")
"""Where Debian's Alertmanager looks for the texts of its notifications, below the root."""


class Wanted(NamedTuple):
    """A row of wanted.json.

    Attributes:
        package: The distribution's.
        at_least: The oldest version that knows what our tests ask.
        programs: What is taken of it, each with the names it may go by.
    """

    package: str
    at_least: str
    programs: dict[str, list[str]]

    @property
    def needed(self) -> str:
        """Its first program and version, for a person."""
        return f"{next(iter(self.programs)).capitalize()} {self.at_least} or newer"


class Programs(NamedTuple):
    """The programs, by path."""

    prometheus: Path
    promtool: Path
    alertmanager: Path
    amtool: Path


def programs() -> Programs:
    """Return all of them, new enough and able to run.

    Raises:
        KitMissing: They are not there and cannot be had; says what to install.
    """
    folder = resolve()
    return Programs(*(folder / name for name in Programs._fields))


def resolve() -> Path:
    """Return the folder that holds them; as `programs`."""
    folder = HERE / "programs"
    if not all((folder / name).exists() for name in Programs._fields):
        # Links to the machine's own programs, which went since.
        shutil.rmtree(folder, ignore_errors=True)
    return brought(_WANTED, folder, _bring)


def _bring(target: Path) -> None:
    for row in json.loads(_WANTED.read_bytes()):
        wanted = Wanted(**row)
        present = {name: _on_path(wanted, name) for name in wanted.programs}
        if all(present.values()):
            for name, path in present.items():
                (target / name).symlink_to(Path(path or "").resolve())
        else:
            _unpack(wanted, target)


def _on_path(wanted: Wanted, name: str) -> str | None:
    """Return a program of the machine's own that is new enough."""
    for each in wanted.programs[name]:
        path = shutil.which(each)
        if path is not None and _new_enough(Path(path), wanted):
            return path
    return None


def _unpack(wanted: Wanted, target: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="whole.") as scratch:
        unpack(Package(wanted.package, wanted.needed, INSTALL), Path(scratch))
        for each in Path(scratch, _TEMPLATES).glob("*.tmpl"):
            shutil.move(each, target / each.name)
        for name, names in wanted.programs.items():
            found = [path for each in names if (path := Path(scratch, "usr/bin", each)).is_file()]
            if not found:
                raise KitMissing(f"The package {wanted.package} holds no {name}. {INSTALL}")
            shutil.move(found[0], target / name)
            _read_texts_from_here(target / name)
            if not _new_enough(target / name, wanted):
                raise KitMissing(
                    f"{name} of this distribution is older than {wanted.at_least} or does not run."
                    f" {INSTALL}"
                )


def _read_texts_from_here(program: Path) -> None:
    """Let a program look for its texts in the folder it is started in: nothing is installed.

    The path stands in the program, and in Go a text may change and not its length.
    """
    place = f"/{_TEMPLATES}".encode()
    here = b"/proc/self/cwd".ljust(len(place), b"/")
    content = program.read_bytes()
    if place in content:
        program.write_bytes(content.replace(place, here))


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
    sys.exit(tell("prometheus", resolve, "*m*"))
