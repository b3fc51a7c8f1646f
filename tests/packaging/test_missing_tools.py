"""Without Java or Maven: a failure that says what to install, never a skip, and nothing half made.

A copy of the tracked files is run with a PATH that holds only what a case puts there.
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

from ops.kit import INSTALL, TRIES

from .tree import ROOT, text_of, tracked

KITS: Final = {"kafka": "ops/kafka", "hapi": "tests/support/hapi", "fhir": "tests/support/fhir"}
MODULES: Final = {
    "kafka": "ops.kafka.resolve",
    "hapi": "tests.support.hapi.resolve",
    "fhir": "tests.support.fhir.resolve",
}
JAVA_17: Final = "echo 'openjdk version \"17.0.2\" 2022-01-18' >&2"
JAVA_11: Final = "echo 'openjdk version \"11.0.20\" 2023-07-18' >&2"
JAVA_8: Final = "echo 'java version \"1.8.0_392\"' >&2"

CASES: Final[dict[str, tuple[dict[str, str], str]]] = {
    "no java": ({}, "Java 17 or newer is needed and there is none"),
    "an old java": ({"java": JAVA_11}, "Java 17 or newer is needed, this one is 11"),
    "a very old java": ({"java": JAVA_8}, "Java 17 or newer is needed, this one is 8"),
    "a stub for java": ({"java": "echo 'no runtime present' >&2; exit 1"}, "does not answer"),
    "no maven": ({"java": JAVA_17}, "Maven is needed to resolve"),
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The tracked files that a kit needs, without jars."""
    folder = tmp_path / "tree"
    wanted = (
        *(f"{kit}/" for kit in KITS.values()),
        "ops/__init__",
        "ops/kit.py",
        "Makefile",
        "pyproject",
    )
    packages = ("tests/__init__.py", "tests/support/__init__.py")
    for path in tracked():
        if path.startswith(wanted) or path in packages:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, folder / path)
    return folder


@pytest.mark.parametrize("kit", KITS)
@pytest.mark.parametrize("case", CASES)
def test_what_is_missing_is_told_with_the_command_that_installs_it(
    tree: Path, kit: str, case: str
) -> None:
    tools, words = CASES[case]
    done = _resolved(tree, kit, tools)
    assert done.returncode == 2
    assert done.stderr.startswith(f"{kit}: ")
    assert words in done.stderr
    assert INSTALL in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tree / KITS[kit] / "jars").exists()


@pytest.mark.parametrize("kit", KITS)
def test_maven_without_a_network_is_tried_and_quoted(tree: Path, kit: str) -> None:
    count = tree / "tries"
    maven = f"echo x >> {count}; echo 'Could not transfer artifact'; exit 1"
    done = _resolved(tree, kit, {"java": JAVA_17, "mvn": maven})
    assert done.returncode == 2
    assert "Could not transfer artifact" in done.stderr and "network" in done.stderr
    assert len(count.read_text().split()) == TRIES
    assert [p.name for p in (tree / KITS[kit]).glob("jars*")] == []


@pytest.mark.parametrize("kit", KITS)
def test_a_maven_that_brings_nothing_has_not_succeeded(tree: Path, kit: str) -> None:
    done = _resolved(tree, kit, {"java": JAVA_17, "mvn": "exit 0"})
    assert done.returncode == 2
    assert [p.name for p in (tree / KITS[kit]).glob("jars*")] == []


@pytest.mark.parametrize("target", KITS)
def test_make_fails_and_prints_the_command(tree: Path, target: str) -> None:
    make = shutil.which("make")
    assert make is not None
    done = subprocess.run(
        [make, "-C", str(tree), "-o", "setup-dev", f"BIN={Path(sys.executable).parent}", target],
        capture_output=True, text=True, check=False, env=_only(tree, {}),
    )  # fmt: skip
    assert done.returncode != 0
    assert "apt-get install openjdk-17-jre-headless maven" in done.stderr
    assert "dnf install" in done.stderr and "brew install" in done.stderr


def test_the_tests_stand_behind_every_kit_and_none_is_skipped() -> None:
    (test,) = re.findall(r"^test:(.*)$", text_of("Makefile"), re.MULTILINE)
    assert set(KITS) <= set(test.partition("##")[0].split())
    skips = re.compile(r"pytest[.]skip|mark[.](?:skip|xfail)|import[o]rskip")
    skipping = [
        path for path in tracked()
        if path.startswith("tests/") and path.endswith(".py") and skips.search(text_of(path))
    ]  # fmt: skip
    assert skipping == []


def _resolved(tree: Path, kit: str, tools: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", MODULES[kit]],
        capture_output=True, text=True, check=False, cwd=tree, env=_only(tree, tools),
    )  # fmt: skip


def _only(tree: Path, tools: dict[str, str]) -> dict[str, str]:
    """Return an environment whose PATH holds these programs and nothing else."""
    folder = tree.parent / "bin"
    folder.mkdir(exist_ok=True)
    for name, script in tools.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    kept = {name: os.environ[name] for name in ("HOME", "LANG") if name in os.environ}
    return {**kept, "PATH": str(folder), "PYTHONPATH": str(tree)}
