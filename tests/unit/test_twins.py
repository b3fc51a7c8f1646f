"""Compiled twins of pure modules: taken only when they are of these very sources."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import dedup
import ingest
import routing
from dedup import names
from ingest import er7
from ops.runtime.twins import sources_digest
from routing import places

ROOT = Path(ingest.__file__).parent.parent
ASKS = {
    "ingest": ("ingest.er7.read(b'MSH|^~\\\\&|A').counts", "{'MSH': 1}"),
    "dedup": ("dedup.names.fold_name('D’Alésia')", "D ALESIA"),
    "routing": ("routing.places.day_of('2026-11-27T08:00')", "2026-11-27"),
}


def test_the_tests_run_on_the_variant_that_was_asked_for(request: pytest.FixtureRequest) -> None:
    asked = request.config.getoption("--twins")
    for package, module in ((ingest, er7), (dedup, names), (routing, places)):
        if asked != "any":
            assert (asked == "compiled") == package.IS_COMPILED
        assert module.__file__ is not None
        assert module.__file__.endswith(".py") != package.IS_COMPILED


def which(root: Path, package: str, *options: str) -> str:
    """Ask a fresh Python in another tree which variant of a package it takes."""
    question, _ = ASKS[package]
    code = (
        f"import sys; sys.path.insert(0, {str(root)!r})\n"
        f"import {package}, ingest.er7, dedup.names, routing.places\n"
        f"print({package}.IS_COMPILED, {question})"
    )
    found = subprocess.run(
        [sys.executable, "-P", *options, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=root,
    )
    return found.stdout.strip()


@pytest.mark.parametrize("package", ["ingest", "dedup", "routing"])
def test_twins_of_other_sources_are_never_taken(tmp_path: Path, package: str) -> None:
    for each in ("ingest", "dedup", "routing", "schemas"):
        shutil.copytree(ROOT / each, tmp_path / each, ignore=shutil.ignore_patterns("__pycache__"))
    _, answer = ASKS[package]
    manifest = ROOT / package / "_compiled" / "MANIFEST"
    has_twins = manifest.exists() and manifest.read_text() == sources_digest(ROOT / package)
    assert which(tmp_path, package) == f"{has_twins} {answer}"
    assert which(tmp_path, package, "-X", "labdispatch=plain") == f"False {answer}"
    with (tmp_path / "schemas" / "report.py").open("a") as source:
        source.write("\n# changed\n")
    assert which(tmp_path, package) == f"False {answer}"
