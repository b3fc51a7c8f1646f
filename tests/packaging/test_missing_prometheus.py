"""Prometheus for the tests: the machine's own, Debian's package, or what to install; never a skip.

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

KIT: Final = "tests/support/prometheus"
NEW: Final = "echo 'prometheus, version 2.53.1 (branch: x)'"
OLD: Final = "echo 'prometheus, version 2.15.2 (branch: x)'"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    packages = ("tests/__init__.py", "tests/support/__init__.py")
    for path in tracked():
        if path.startswith((f"{KIT}/", "ops/__init__", "ops/kit.py")) or path in packages:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, folder / path)
    return folder


def test_programs_of_the_machine_are_used_and_asked_for_once(tree: Path) -> None:
    done = _resolved(tree, {"prometheus": NEW, "promtool": NEW})
    assert (done.returncode, done.stderr) == (0, "")
    folder = tree / KIT / "programs"
    assert {each.name for each in folder.glob("prom*")} == {"prometheus", "promtool"}
    assert (folder / "promtool").resolve() == tree.parent / "bin" / "promtool"
    assert _resolved(tree, {}).returncode == 0


@pytest.mark.parametrize("tools", [{}, {"prometheus": OLD, "promtool": OLD}, {"prometheus": NEW}])
def test_what_is_missing_is_told_with_the_command_that_installs_it(
    tree: Path, tools: dict[str, str]
) -> None:
    done = _resolved(tree, tools)
    assert done.returncode == 2
    assert done.stderr.startswith("prometheus: Prometheus 2.42 or newer is needed")
    for way in ("apt-get install prometheus", "dnf install prometheus", "brew install prometheus"):
        assert way in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tree / KIT / "programs").exists()


def test_an_apt_without_lists_reads_them_into_a_folder_of_its_own(tree: Path) -> None:
    calls = tree / "calls"
    done = _resolved(tree, {"apt-get": f'echo "$*" >> {calls}; exit 1', "dpkg-deb": "exit 1"})
    assert done.returncode == 2
    assert "network" in done.stderr and "sources.list" in done.stderr
    said = calls.read_text().splitlines()
    assert [line.split()[-1] for line in said] == ["prometheus"] * TRIES + ["update"] * TRIES
    lists = {found[1] for line in said[TRIES:] if (found := re.search(r"lists=(\S+)", line))}
    (room,) = lists
    assert not Path(room).exists(), "thrown away"
    assert list((tree / KIT).glob("programs*")) == []


def test_the_tests_stand_behind_it() -> None:
    (test,) = re.findall(r"^test:(.*)$", text_of("Makefile"), re.MULTILINE)
    assert "prometheus" in test.partition("##")[0].split()


def _resolved(tree: Path, tools: dict[str, str]) -> subprocess.CompletedProcess[str]:
    folder = tree.parent / "bin"
    folder.mkdir(exist_ok=True)
    for name, script in tools.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    kept = {name: os.environ[name] for name in ("HOME", "LANG") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-m", "tests.support.prometheus.resolve"],
        capture_output=True, text=True, check=False, cwd=tree,
        env={**kept, "PATH": str(folder), "PYTHONPATH": str(tree)},
    )  # fmt: skip
