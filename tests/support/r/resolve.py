"""R for one example of docs/reading.md: the machine's own, or Debian's packages: `make r`.

What is on PATH is taken. Else the distribution's packages are downloaded (28 MB, with what of their
libraries the machine lacks) and unpacked beside this file (`tests/support/debian.py`). Standard
library only, as every kit.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from ops.kit import KitMissing, brought, tell
from tests.support.debian import Package, unpack

HERE: Final = Path(__file__).resolve().parent
INSTALL: Final = (
    "Install R: on Debian and Ubuntu `apt-get install r-base-core`, on Fedora `dnf install R-core`,"
    " on macOS `brew install r`."
)
_WANTED: Final = HERE / "wanted.json"
_SECONDS: Final = 60
_WRAPPED: Final = """#!/bin/sh
# R runs a file: R FILE.
exec {program} --vanilla "$1"
"""
_UNPACKED: Final = """#!/bin/sh
# R runs a file: R FILE. What its own start-up says of where things are, said of this folder.
here=$(cd "$(dirname "$0")" && pwd)
export R_HOME="$here/whole/usr/lib/R" R_SHARE_DIR="$here/whole/usr/share/R/share"
export R_INCLUDE_DIR="$here/whole/usr/share/R/include" R_DOC_DIR="$here/whole/usr/share/R/doc"
export EDITOR=vi PAGER=cat TAR=tar R_LIBS="$here/whole/usr/lib/R/library"
export LD_LIBRARY_PATH="$R_HOME/lib:{libraries}"
exec "$R_HOME/bin/exec/R" --vanilla --no-echo --file="$1"
"""


def program() -> Path:
    """Return what runs a file of R's language.

    Raises:
        KitMissing: There is no R, and it cannot be had; says what to install.
    """
    return resolve() / "R"


def resolve() -> Path:
    """Return the folder that holds it; as `program`."""
    return brought(_WANTED, HERE / "programs", _bring)


def _bring(target: Path) -> None:
    present = shutil.which("Rscript")
    if present is not None:
        _write(target / "R", _WRAPPED.format(program=present))
    else:
        _unpack(json.loads(_WANTED.read_bytes())["package"], target)
    if not _runs(target):
        raise KitMissing(f"R is there and does not run, or is too old. {INSTALL}")


def _unpack(package: str, target: Path) -> None:
    unpack(Package(package, "R", INSTALL, with_libraries=True), target / "whole")
    system = target / "whole" / "usr" / "lib" / "R" / "etc" / "Renviron"
    system.unlink(missing_ok=True)  # a link to where the package would have been installed
    system.write_text("")
    folders = {path.parent for path in (target / "whole").rglob("*.so.*")}
    places = ":".join(f"$here/{each.relative_to(target)}" for each in sorted(folders))
    _write(target / "R", _UNPACKED.format(libraries=places))


def _write(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def _runs(folder: Path) -> bool:
    least = [int(part) for part in json.loads(_WANTED.read_bytes())["at_least"].split(".")]
    asked = folder / "asked.R"
    asked.write_text('library(utils); cat(R.version$major, R.version$minor, sep = "."); cat("\\n")')
    try:
        said = subprocess.run(
            [str(folder / "R"), str(asked)],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
            env=dict(os.environ),
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    finally:
        asked.unlink()
    found = re.fullmatch(r"(\d+)\.(\d+)\.\d+", said.stdout.strip())
    return said.returncode == 0 and found is not None and [int(found[1]), int(found[2])] >= least


if __name__ == "__main__":
    sys.exit(tell("R", resolve, "R"))
