"""R for the tests: the machine's own, Debian's packages, or what to install; never a skip.

The resolver runs with a PATH that holds only what a case puts there; no network is asked.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from ops.kit import TRIES

from .tree import ROOT, text_of, tracked

KIT: Final = "tests/support/r"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    packages = ("tests/__init__.py", "tests/support/__init__.py")
    for path in tracked():
        if path.startswith((f"{KIT}/", "ops/__init__", "ops/kit.py")) or path in packages:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, folder / path)
    return folder


def test_the_machines_own_is_used(tree: Path) -> None:
    done = _resolved(tree, {"Rscript": 'echo "4.3.1"'})
    assert (done.returncode, done.stderr) == (0, "")
    assert "Rscript --vanilla" in (tree / KIT / "programs" / "R").read_text()


@pytest.mark.parametrize("tools", [{}, {"Rscript": 'echo "3.6.3"'}, {"apt-get": "exit 0"}])
def test_what_is_missing_is_told_with_the_command_that_installs_it(
    tree: Path, tools: dict[str, str]
) -> None:
    done = _resolved(tree, tools)
    assert done.returncode == 2
    assert "apt-get install r-base-core" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tree / KIT / "programs").exists()


def test_an_apt_without_lists_reads_them_into_a_folder_of_its_own(tree: Path) -> None:
    calls = tree / "calls"
    done = _resolved(tree, {"apt-get": f'echo "$*" >> {calls}; exit 1', "dpkg-deb": "exit 1"})
    assert done.returncode == 2
    assert "sources.list" in done.stderr
    said = calls.read_text().splitlines()
    assert [line.split()[-1] for line in said] == ["r-base-core"] * TRIES + ["update"] * TRIES
    (room,) = {found[1] for line in said[TRIES:] if (found := re.search(r"lists=(\S+)", line))}
    assert not Path(room).exists(), "thrown away"
    assert list((tree / KIT).glob("programs*")) == []


def test_the_tests_stand_behind_it() -> None:
    (test,) = re.findall(r"^test:(.*)$", text_of("Makefile"), re.MULTILINE)
    assert "r" in test.partition("##")[0].split()


def _resolved(tree: Path, tools: dict[str, str]) -> subprocess.CompletedProcess[str]:
    folder = tree.parent / "bin"
    folder.mkdir(exist_ok=True)
    for name, script in tools.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    (folder / "sh").symlink_to("/bin/sh")
    kept = {name: os.environ[name] for name in ("HOME", "LANG") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-m", "tests.support.r.resolve"],
        capture_output=True, text=True, check=False, cwd=tree,
        env={**kept, "PATH": str(folder), "PYTHONPATH": str(tree)},
    )  # fmt: skip
