"""Compiled twins of pure modules: taken only when they are of these very sources."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import ingest
from ingest import er7

ROOT = Path(ingest.__file__).parent.parent


def test_the_tests_run_on_the_variant_that_was_asked_for(request: pytest.FixtureRequest) -> None:
    asked = request.config.getoption("--twins")
    if asked != "any":
        assert (asked == "compiled") == ingest.IS_COMPILED
    assert er7.__file__ is not None
    assert er7.__file__.endswith(".py") != ingest.IS_COMPILED


def which(root: Path, *options: str) -> str:
    """Ask a fresh Python in another tree which variant it takes."""
    code = (
        f"import sys; sys.path.insert(0, {str(root)!r}); import ingest.er7\n"
        "print(ingest.IS_COMPILED, ingest.er7.read(b'MSH|^~\\\\&|A').counts)"
    )
    found = subprocess.run(
        [sys.executable, "-P", *options, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=root,
    )
    return found.stdout.strip()


def test_twins_of_other_sources_are_never_taken(tmp_path: Path) -> None:
    for package in ("ingest", "schemas"):
        shutil.copytree(
            ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    manifest = ROOT / "ingest" / "_compiled" / "MANIFEST"
    has_twins = manifest.exists() and manifest.read_text() == ingest.sources_digest()
    assert which(tmp_path) == f"{has_twins} {{'MSH': 1}}"
    assert which(tmp_path, "-X", "labdispatch=plain") == "False {'MSH': 1}"
    with (tmp_path / "schemas" / "report.py").open("a") as source:
        source.write("\n# changed\n")
    assert which(tmp_path) == "False {'MSH': 1}"
