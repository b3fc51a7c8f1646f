"""Several processes, one text: sums are right beside a killed one, and files do not pile up."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ops.runtime.metrics import forget_process, render
from ops.runtime.settings import METRICS_FOLDER_VARIABLE

DOOR = """
import sys
from ops.runtime.metrics import METRICS
answers, seconds, connections, lag = (float(each) for each in sys.argv[1:])
METRICS.answers.labels("AA").inc(answers)
METRICS.ack_seconds.observe_all([seconds] * int(answers))
METRICS.connections.set(connections)
METRICS.oldest_unread_seconds.set(lag)
METRICS.lag.set(lag)
print("ready", flush=True)
sys.stdin.read()
"""


@contextmanager
def door(folder: Path, *figures: float) -> Iterator[subprocess.Popen[bytes]]:
    environment = {**os.environ, METRICS_FOLDER_VARIABLE: str(folder)}
    process = subprocess.Popen(
        [sys.executable, "-c", DOOR, *(str(each) for each in figures)],
        env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process
        process.kill()


def kill(process: subprocess.Popen[bytes], folder: Path) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait(60)
    forget_process(folder, process.pid)


def figures() -> dict[str, float]:
    return {
        sample.name.removeprefix("labdispatch_") + "".join(
            f" {value}" for label, value in sample.labels.items() if label != "pid"
        ): sample.value
        for family in text_string_to_metric_families(render().decode())
        for sample in family.samples
    }  # fmt: skip


def test_two_doors_and_a_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(METRICS_FOLDER_VARIABLE, str(tmp_path))
    with door(tmp_path, 10, 0.004, 3, 50) as one, door(tmp_path, 7, 0.3, 4, 20):
        told = figures()
        assert told["answers_total AA"] == 17
        assert told["connections"] == 7
        assert told["oldest_unread_seconds"] == 50
        assert told["ack_seconds_bucket 0.005"] == 10
        assert told["ack_seconds_bucket +Inf"] == told["ack_seconds_count"] == 17
        kill(one, tmp_path)
        told = figures()
        assert told["answers_total AA"] == 17, "what a killed process counted still counts"
        assert told["ack_seconds_count"] == 17
        assert told["connections"] == 4, "its connections are no more"
        assert told["oldest_unread_seconds"] == 20
        assert told["lag_records"] == 20
        with door(tmp_path, 5, 0.3, 1, 0):
            told = figures()
            assert told["answers_total AA"] == 22
            assert told["ack_seconds_bucket 0.005"] == 10
            assert told["connections"] == 5


def test_processes_that_end_for_ever_leave_no_more_files_than_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(METRICS_FOLDER_VARIABLE, str(tmp_path))
    counts = []
    with door(tmp_path, 1, 0.1, 1, 1) as first:
        kill(first, tmp_path)
    text = {path.name: path.read_bytes() for path in tmp_path.glob("*_ended.db")}
    counts.append(len(list(tmp_path.iterdir())))
    for pid in range(900_000, 900_050):  # as they would lie there, of pids that are nobody's
        for name, held in text.items():
            (tmp_path / name.replace("ended", str(pid))).write_bytes(held)
        forget_process(tmp_path, pid)
        counts.append(len(list(tmp_path.iterdir())))
    assert set(counts) == {counts[0]}
    # The first, and fifty copies of it.
    assert figures()["answers_total AA"] == 51


def test_a_process_that_counted_nothing_is_forgotten_in_peace(tmp_path: Path) -> None:
    forget_process(tmp_path, 900_000)
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def test_a_full_disk_loses_no_figure_and_ends_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(METRICS_FOLDER_VARIABLE, str(tmp_path))
    with door(tmp_path, 3, 0.1, 1, 1) as one:

        def full(*_: object) -> int:
            raise OSError(errno.ENOSPC, "no room")

        with monkeypatch.context() as without_room:
            without_room.setattr(Path, "write_bytes", full)
            kill(one, tmp_path)
        assert figures()["answers_total AA"] == 3
        assert "connections" not in figures(), "gauges of the dead go all the same"
        forget_process(tmp_path, one.pid)
        assert figures()["answers_total AA"] == 3
        assert list(tmp_path.glob("counter_[0-9]*")) == []


UNFINISHED = (b"", b"\x01", b"\xff\xff\0\0\0\0\0\0\xff")
"""Made and not sized; cut off; torn."""


def test_a_file_that_was_never_finished_stops_neither_figures_nor_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a kill leaves it between making a file and giving it its size."""
    monkeypatch.setenv(METRICS_FOLDER_VARIABLE, str(tmp_path))
    with door(tmp_path, 3, 0.1, 1, 1) as one:
        for held in UNFINISHED:
            for kind in ("counter", "histogram", "gauge_livesum", "gauge_livemostrecent"):
                (tmp_path / f"{kind}_900000.db").write_bytes(held)
            told = figures()
            assert (told["answers_total AA"], told["connections"]) == (3, 1)
            forget_process(tmp_path, 900_000)
            assert list(tmp_path.glob("*_900000.db")) == []
            # As a machine that lost power leaves what was written last.
            (tmp_path / "counter_ended.db").write_bytes(held)
            assert figures()["answers_total AA"] == 3
        kill(one, tmp_path)
        assert figures()["answers_total AA"] == 3


def test_whatever_happens_to_figures_is_no_error_of_who_forgets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The supervisor forgets before it starts the station again: it must get there."""
    calls = []

    def breaks(*_: object) -> None:
        calls.append(1)
        raise KeyError("of a client that has changed")

    monkeypatch.setattr("ops.runtime.metrics.folder.mark_process_dead", breaks)
    forget_process(tmp_path, 900_000)
    assert calls == [1]
