"""Files of simulated messages, and their answers read as a laboratory reads them."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from ingest.header import Header, read_header
from ops.batches.place import LabFolder, folder_name
from ops.simulate.simulation import SimulatedMessage, Simulation

START = datetime(2026, 1, 5, 8, tzinfo=UTC)


def simulated_file(seed: int, count: int) -> tuple[str, list[SimulatedMessage], bytes]:
    """Return a laboratory's registry id, its messages that deserve AA, and a file of them."""
    every = Simulation(seed=seed, labs=1, start_at=START).messages()
    messages = [m for m in islice(every, count) if m.expected == "AA" and m.control_id]
    header = read_header(messages[0].raw)
    assert isinstance(header, Header)
    head = b"FHS|^~\\&|LIS|LAB\rBHS|^~\\&|LIS|LAB\r"
    body = b"".join(each.raw for each in messages)
    return header.registry_id, messages, head + body + b"BTS|%d\rFTS|1\r" % len(messages)


def open_lab_folder(root: Path, registry_id: str) -> LabFolder:
    """Make a laboratory's folder, as an operator does; give its user's way in and out."""
    folder = LabFolder(root / folder_name(registry_id))
    folder.path.mkdir(parents=True)
    folder.prepare()
    return folder


def put(folder: LabFolder, name: str, content: bytes) -> None:
    """Write a file and rename it in."""
    scratch = folder["in"] / f".{name}.writing"
    with scratch.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    scratch.rename(folder["in"] / name)


def answer_to(folder: LabFolder, name: str, seconds: float = 180) -> bytes:
    """Wait for the answer to a file."""
    until = time.monotonic() + seconds
    path = folder["out"] / f"{name}.ack"
    while not path.exists():
        assert time.monotonic() < until, "no answer in time"
        time.sleep(0.05)
    return path.read_bytes()


def journal_of(answer: bytes) -> list[tuple[str, str]]:
    """Return (control id, MSA-1) of each acknowledgement, in order."""
    lines = [line.split(b"|") for line in answer.split(b"\r") if line.startswith(b"MSA")]
    return [(line[2].decode(), line[1].decode()) for line in lines]


def control_ids(messages: Sequence[SimulatedMessage]) -> list[str]:
    """Return the control id of each message."""
    return [each.control_id for each in messages]
