"""The container file is not built here: its own commands run natively, at other places.

The environment of the lock is made by `make setup` with the same command; here its libraries are
looked at through a path file. Under `proof` the lock is installed anew.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from .tree import ROOT, tracked

DOCKERFILE: Final = ROOT / "ops" / "compose" / "Dockerfile"
LOCKED: Final = "-m pip install --require-hashes -r requirements.lock"


class Step(NamedTuple):
    """An instruction of one stage."""

    stage: int
    name: str
    words: str


def steps() -> list[Step]:
    """Read the file; a line that ends in a backslash goes on."""
    text = re.sub(r"\\\n\s*", "", DOCKERFILE.read_text("utf-8"))
    found, stage = [], -1
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        name, _, words = line.partition(" ")
        stage += name == "FROM"
        found.append(Step(stage, name, words))
    return found


class Image:
    """What the file makes, below a folder instead of below the root."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.source = root / "src"
        self.source.mkdir()
        self.env = {"HOME": str(root), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}

    def path(self, text: str) -> str:
        """Move the places that the file names below our root; its python is ours."""
        moved = re.sub(r"(?<![\w.])/(opt|var/lib|hub)/", f"{self.root}/\\1/", text)
        return re.sub(r"^python ", f"{shlex.quote(sys.executable)} ", moved)

    def run(self, words: str) -> None:
        """Do what RUN says."""
        done = subprocess.run(
            ["/bin/sh", "-c", self.path(words)], cwd=self.source, capture_output=True, text=True,
            env={**os.environ, **self.env}, check=False, timeout=600,
        )  # fmt: skip
        assert done.returncode == 0, f"{words}: {done.stderr[-2_000:]}"

    def copy(self, words: str) -> None:
        """Do what COPY says: of tracked files alone, as a clean clone has them."""
        *sources, _ = words.split()
        for source in sources:
            for path in tracked():
                if path == source or path.startswith(f"{source}/"):
                    there = self.source / path
                    there.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(ROOT / path, there)

    def borrow_libraries(self) -> None:
        """Let the image's python see what the lock has installed here."""
        python = self.root / "opt" / "labdispatch" / ".venv" / "bin" / "python"
        said = subprocess.run(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
            capture_output=True, text=True, check=True,
        ).stdout.strip()  # fmt: skip
        for bundled in ("setuptools", "pkg_resources", "_distutils_hack"):
            for path in Path(said).glob(f"{bundled}*"):  # the lock's own come instead
                shutil.rmtree(path)
        (Path(said) / "distutils-precedence.pth").unlink(missing_ok=True)
        ours = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
        (Path(said) / "libraries.pth").write_text("\n".join(sorted(ours)) + "\n")


@pytest.mark.timeout(900)
@pytest.mark.parametrize("lock", ["borrowed", pytest.param("installed", marks=pytest.mark.proof)])
def test_the_commands_of_the_container_file_make_a_hub_that_starts(
    tmp_path: Path, lock: str
) -> None:
    image = Image(tmp_path)
    for step in steps():
        if step.stage == 0 and step.name == "COPY":
            image.copy(step.words)
        elif step.stage == 0 and step.name == "RUN":
            if step.words.endswith(LOCKED) and lock == "borrowed":
                image.borrow_libraries()
            else:
                image.run(step.words)
    (entry,) = (json.loads(s.words) for s in steps() if s.name == "ENTRYPOINT")
    (command,) = (json.loads(s.words) for s in steps() if s.name == "CMD")
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    binaries = tmp_path / "opt" / "labdispatch" / ".venv" / "bin"
    for arguments, said in ((command, "labdispatch run"), (["settings", "check"], "would start")):
        # Nothing of this checkout is on its path, and it writes nowhere but in its state folder.
        done = subprocess.run(
            [binaries / entry[0], *entry[1:], *arguments], cwd=state, capture_output=True,
            text=True, timeout=120, check=False,
            env={"PATH": f"{binaries}:/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1",
                 "LABDISPATCH_DATA_DIR": str(state / "hub")},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert said in done.stdout


def test_the_lock_is_installed_as_make_setup_installs_it() -> None:
    runs = [step.words for step in steps() if step.name == "RUN"]
    assert any(words.endswith(LOCKED) for words in runs)
    assert "--require-hashes -r requirements.lock" in (ROOT / "Makefile").read_text("utf-8")


def test_the_image_runs_as_nobody_in_particular() -> None:
    last = [step for step in steps() if step.stage == max(each.stage for each in steps())]
    by_name = {step.name: step.words for step in last}
    assert by_name["USER"] == "labdispatch"
    assert by_name["VOLUME"] == by_name["WORKDIR"] == "/var/lib/labdispatch"
    assert "--mode=0700" in by_name["RUN"]
    assert "nologin" in by_name["RUN"]
