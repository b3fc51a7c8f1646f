"""The wheel holds the whole product, and works where only the wheel is."""

from __future__ import annotations

import email
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path
from typing import Final

import pytest

from .tree import PACKAGES, ROOT, tracked

CORPUS_FILE: Final = ROOT / "tests/golden/corpus/simhospital-oru.hl7"

# Tracked under the packages, of no use where the product runs.
LEFT_OUT: Final = frozenset({"ops/compose/.gitignore", "ops/kafka/.gitignore"})


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the tracked files alone: nothing that lies about here can slip in."""
    tree, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("wheel")
    for path in tracked():
        if path.partition("/")[0] in PACKAGES or "/" not in path:
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, tree / path)
    _said(
        sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check",
        "--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir", out, tree,
    )  # fmt: skip
    (made,) = out.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of commands of a scratch environment that has the wheel, and our libraries."""
    scratch = tmp_path_factory.mktemp("venv")
    venv.create(scratch, with_pip=False, symlinks=True)
    python = scratch / "bin" / "python"
    _said(
        sys.executable, "-m", "pip", "--python", python, "install", "--quiet",
        "--disable-pip-version-check", "--no-index", "--no-deps", wheel,
    )  # fmt: skip
    # A plain path, so that the .pth files over there do not bring the editable install with them.
    folder = _said(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    ours = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (Path(folder) / "libraries.pth").write_text("\n".join(sorted(ours)) + "\n")
    return scratch / "bin"


def test_the_wheel_holds_every_tracked_file_of_the_packages(wheel: Path) -> None:
    held = {
        name for name in zipfile.ZipFile(wheel).namelist() if name.partition("/")[0] in PACKAGES
    }
    expected = {p for p in tracked() if p.partition("/")[0] in PACKAGES} - LEFT_OUT
    assert held == expected


def test_the_metadata_is_that_of_the_project(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (place,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        metadata = email.message_from_bytes(archive.read(place))
        licence = archive.read(place.replace("METADATA", "licenses/LICENSE")).decode()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert metadata["License-Expression"] == "Apache-2.0"
    assert "Apache License" in licence and "Version 2.0, January 2004" in licence
    assert metadata["Requires-Python"] == project["requires-python"]
    required = [r for r in metadata.get_all("Requires-Dist", []) if "extra ==" not in r]
    assert len(required) == len(project["dependencies"])


def test_the_command_answers_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert _said(installed / "labdispatch", "--version", cwd=tmp_path).split()[-1] == version
    assert "Exit codes:" in _said(installed / "labdispatch", "--help", cwd=tmp_path)
    from_where = "import ops, schemas; print(ops.__file__); print(schemas.__file__)"
    for place in _said(installed / "python", "-c", from_where, cwd=tmp_path).split():
        assert Path(place).is_relative_to(installed.parent)


def test_what_a_command_reads_is_in_the_wheel(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "one.hl7").write_bytes(CORPUS_FILE.read_bytes())
    checked = _said(
        installed / "labdispatch", "check", "--profile", "generic", "one.hl7", cwd=tmp_path
    )
    assert "one.hl7:1" in checked
    # Migrations, tables of codes, places: each comes out of the wheel's own files.
    loads = (
        "from ops.runtime.migrate import migrations\n"
        "from ops.simulate.places import communes\n"
        "from schemas import codes\n"
        "from importlib.resources import files\n"
        "from routing.rule_file import load_rules\n"
        "load_rules((files('routing') / 'rules.json').read_bytes())\n"
        "print(len(migrations()), len(communes()), codes.__file__)\n"
    )
    migrated, places, codes = _said(installed / "python", "-c", loads, cwd=tmp_path).split()
    assert int(migrated) == len([p for p in tracked() if p.startswith("schemas/sql/migrations/")])
    assert int(places) > 0
    assert Path(codes).is_relative_to(installed.parent)


def _said(*command: str | Path, cwd: Path | None = None) -> str:
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, cwd=cwd, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
