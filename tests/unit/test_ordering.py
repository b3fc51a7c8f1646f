from __future__ import annotations

from pathlib import Path, PurePath
from types import SimpleNamespace

from tests.support.ordering import FOLDERS, long_ones_first


def test_long_files_come_first_and_chance_decides_within_a_folder() -> None:
    paths = ["tests/unit/b.py", "tests/e2e/z.py", "tests/unit/a.py", "tests/crash/k.py",
             "tests/e2e/a.py", "tests/golden/g.py"]  # fmt: skip
    items = [SimpleNamespace(path=PurePath(each)) for each in paths]
    assert [str(each.path) for each in long_ones_first(items)] == [
        "tests/crash/k.py", "tests/e2e/z.py", "tests/e2e/a.py", "tests/golden/g.py",
        "tests/unit/b.py", "tests/unit/a.py",
    ]  # fmt: skip


def test_every_folder_that_is_named_is_there() -> None:
    tests = Path(__file__).parents[1]
    assert [each for each in FOLDERS if not (tests / each).is_dir()] == []
