"""SIGKILL of the process that reads a file: it goes on where it was, and each message ends once."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path

import pytest

from ops.runtime.failpoints import FAILPOINTS
from tests.support.conservation import check_conservation
from tests.support.files import (
    answer_to,
    control_ids,
    journal_of,
    open_lab_folder,
    put,
    simulated_file,
)
from tests.support.product import Embedded

IN_CI = {"batch.after_window", "batch.after_checkpoint"}
MESSAGES = 2_600
"""More than two checkpoints."""


def product(tmp_path: Path, failpoints: str = "") -> Embedded:
    root = tmp_path / "files"
    root.mkdir()
    return Embedded(
        {
            "LABDISPATCH_BATCH_DIR": str(root),
            "LABDISPATCH_BATCH_POLL_SECONDS": "0.1",
            "LABDISPATCH_FAILPOINTS": failpoints,
        }
    )


@pytest.mark.parametrize(
    "failpoint",
    [
        pytest.param(name, marks=[] if name in IN_CI else [pytest.mark.proof])
        for name in sorted(FAILPOINTS)
        if name.startswith("batch.")
    ],
)
async def test_killed_in_the_middle_of_a_file(failpoint: str, tmp_path: Path) -> None:
    count = 1 if failpoint == "batch.after_done" else 2
    instance = product(tmp_path, f"{failpoint}=kill@{count}")
    lab, messages, content = simulated_file(21, MESSAGES)
    try:
        instance.start()
        before = instance.pids()["api"]
        folder = open_lab_folder(tmp_path / "files", lab)
        put(folder, "day.hl7", content)
        until = time.monotonic() + 120
        while instance.pids().get("api") in {before, None}:
            assert time.monotonic() < until, f"never died at {failpoint}"
            await asyncio.sleep(0.02)
        await asyncio.to_thread(instance.stop)
        instance.env["LABDISPATCH_FAILPOINTS"] = ""
        await asyncio.to_thread(instance.start)
        answer = await asyncio.to_thread(answer_to, folder, "day.hl7")
        journal = journal_of(answer)
        assert [control_id for control_id, _ in journal] == control_ids(messages)
        assert answer.count(b"BHS|") == answer.count(b"BTS|") == 1
        await asyncio.to_thread(check_conservation, instance, journal)
    finally:
        instance.remove()


async def test_killed_again_and_again(tmp_path: Path) -> None:
    instance = product(tmp_path)
    lab, messages, content = simulated_file(23, MESSAGES)
    rng = random.Random(20261126)
    try:
        instance.start()
        folder = open_lab_folder(tmp_path / "files", lab)
        put(folder, "day.hl7", content)
        for _ in range(3):
            await asyncio.sleep(rng.uniform(0.5, 1.5))
            if "api" in instance.pids():
                instance.kill("api")
        answer = await asyncio.to_thread(answer_to, folder, "day.hl7")
        journal = journal_of(answer)
        assert [control_id for control_id, _ in journal] == control_ids(messages)
        await asyncio.to_thread(check_conservation, instance, journal)
    finally:
        instance.remove()
