"""Scratch in memory: thrown away at the end, also of what was killed; never another run's."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import scratch

_HELD = """
import sys
from pathlib import Path
from tests.support import scratch
scratch.MEMORY = Path(sys.argv[1])
scratch.NEEDED_BYTES = 0
print(scratch.choose(), flush=True)
sys.stdin.read()
"""


def test_what_a_killed_run_left_goes_and_what_another_holds_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TMPDIR", raising=False)
    monkeypatch.setattr(scratch, "MEMORY", tmp_path)
    monkeypatch.setattr(scratch, "NEEDED_BYTES", 0)
    with subprocess.Popen(
        [sys.executable, "-c", _HELD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        held = Path(other.stdout.readline().strip())
        first = scratch.choose()
        assert first is not None and held.is_dir() and held.parent == first.parent == tmp_path
        other.kill()
        other.wait()
        second = scratch.choose()
        assert second is not None and not held.exists() and first.is_dir()


def test_what_is_thrown_away_is_held_until_it_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that begins at this moment has made its folder, and is about to lock it."""
    monkeypatch.setattr(scratch, "MEMORY", tmp_path)
    (tmp_path / "ldt-begins").mkdir()
    refused = []

    def looks(folder: Path, **_: object) -> None:
        with pytest.raises(OSError):  # noqa: PT011 - as flock(2) says it
            scratch._lock(folder)
        refused.append(folder)

    monkeypatch.setattr(shutil, "rmtree", looks)
    scratch._clear()
    assert refused == [tmp_path / "ldt-begins"]


def test_a_folder_that_somebody_named_is_kept_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", "/somewhere")
    assert scratch.choose() is None


def test_little_memory_is_left_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TMPDIR", raising=False)
    monkeypatch.setattr(scratch, "NEEDED_BYTES", 1 << 60)
    assert scratch.choose() is None
