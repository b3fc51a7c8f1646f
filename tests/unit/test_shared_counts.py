"""Counts of several processes: real ones, with a kill."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from ops.runtime.shared_counts import ENDING, SharedCounts

_CHILD: Final = """
import sys
from pathlib import Path
from ops.runtime.shared_counts import SharedCounts
counts = SharedCounts(Path(sys.argv[1]), size=100)
for line in sys.stdin:
    what, number, most = line.split()
    if what == "take":
        print("yes" if counts.take(int(number), int(most)) else "no", flush=True)
    else:
        counts.give_back(int(number))
        print("given", flush=True)
counts.close()
"""


class Child:
    """Another process that counts in the same folder."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _CHILD, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, what: str, number: int, most: int = 0) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{what} {number} {most}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def end(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()


@contextmanager
def child(folder: Path) -> Iterator[Child]:
    made = Child(folder)
    try:
        yield made
    finally:
        made.end()


@pytest.fixture
def counts(tmp_path: Path) -> Iterator[SharedCounts]:
    with SharedCounts(tmp_path, size=100) as made:
        yield made


def test_two_processes_have_the_places_of_one(counts: SharedCounts, tmp_path: Path) -> None:
    with child(tmp_path) as other:
        assert [other.ask("take", 7, 3) for _ in range(2)] == ["yes", "yes"]
        assert counts.take(7, 3)
        assert not counts.take(7, 3)
        assert other.ask("take", 7, 3) == "no"
        assert counts.take(8, 3), "another's places are not touched"
        assert other.ask("give_back", 7) == "given"
        assert counts.take(7, 3)
        counts.give_back(7)
        assert other.ask("take", 7, 3) == "yes"


def test_what_a_killed_process_counted_is_free_again(counts: SharedCounts, tmp_path: Path) -> None:
    with child(tmp_path) as other:
        assert [other.ask("take", 7, 3) for _ in range(3)] == ["yes"] * 3
        assert not counts.take(7, 3)
        other.process.kill()
        other.process.wait(60)
        assert [counts.take(7, 3) for _ in range(4)] == [True, True, True, False]
    assert len(list(tmp_path.iterdir())) == 1, "and its file is gone"


def test_who_only_looks_lets_the_dead_go(counts: SharedCounts, tmp_path: Path) -> None:
    """As api does, which takes no place: neither counts nor maps of dead doors stay."""
    for _ in range(3):
        with child(tmp_path) as other:
            assert other.ask("take", 7, 3) == "yes"
            assert counts.totals()(7) == 1
            assert counts.totals()(100) is None
            other.process.kill()
            other.process.wait(60)
        assert counts.totals()(7) == 0
        assert counts._others == {}
    assert len(list(tmp_path.iterdir())) == 1


def test_a_process_that_ends_in_order_takes_its_counts_with_it(
    counts: SharedCounts, tmp_path: Path
) -> None:
    with child(tmp_path) as other:
        assert other.ask("take", 7, 1) == "yes"
        assert not counts.take(7, 1)
    assert counts.take(7, 1)


def test_numbers_beyond_the_table_are_counted_alone(counts: SharedCounts, tmp_path: Path) -> None:
    with SharedCounts(tmp_path, size=100) as other:
        assert counts.take(100, 1)
        assert not counts.take(100, 1)
        assert other.take(100, 1)
        counts.give_back(100)
        assert counts.take(100, 1)


def test_a_start_clears_what_kills_left(tmp_path: Path) -> None:
    for _ in range(3):
        with child(tmp_path) as other:
            assert other.ask("take", 7, 1) == "yes"
            other.process.kill()
            other.process.wait(60)
    (tmp_path / "1-x.new").touch()
    os.utime(tmp_path / "1-x.new", (0, 0))
    with SharedCounts(tmp_path, size=100) as counts:
        assert len(list(tmp_path.iterdir())) == 1
        assert counts.take(7, 1)
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_not_ours_are_no_counts(counts: SharedCounts, tmp_path: Path) -> None:
    (tmp_path / f"other{ENDING}").write_bytes(b"\xff" * 10)
    (tmp_path / "README").write_text("x")
    assert counts.take(7, 1)


def test_nobody_but_us_may_read_them(counts: SharedCounts, tmp_path: Path) -> None:
    assert counts.take(1, 1)
    (path,) = tmp_path.iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.name.startswith(f"{os.getpid()}-")
