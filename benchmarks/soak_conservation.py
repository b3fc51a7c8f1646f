"""Conservation after a run too long to hold in memory: the same questions, line by line.

As tests/support/conservation.py: the account closes and holds as many records as were acknowledged
or turned away; each stream is gapless from 1, each event is there once, versions of a report follow
each other; the fold of each stream is what a computation from scratch gives. Of the journal a share
is traced: each message of it is in the log, and ended once.
"""

from __future__ import annotations

import json
import random
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from benchmarks.results import BenchmarkFailed
from benchmarks.soak_load import Counted
from schemas.topics import STREAMS
from tests.support.conservation import AFTER, check_endings
from tests.support.product import LABDISPATCH, Embedded

_TRACED_AT_ONCE: Final = 1_000
_LOOK_SECONDS: Final = 3_600.0


class _Event(msgspec.Struct):
    stream: str
    partition: int
    seq: int
    report_id: str
    part: str
    event_version: int
    kind: str
    event_id: str
    body: msgspec.Raw


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What was checked, and found in order."""

    received: int
    endings: dict[str, int]
    answered_again: int
    events: dict[str, int]
    traced: int
    reports: int
    seconds: float


def check(  # noqa: PLR0917
    hub: Embedded, counted: Counted, journal: Path, traces: int, verified: int, seed: int
) -> Found:
    """Check an instance that comes to rest.

    Args:
        hub: It.
        counted: What came of the sending.
        journal: Each answer.
        traces: So many messages are traced.
        verified: Of so many reports the streams are computed from scratch; 0: of all.
        seed: Of the lots.

    Raises:
        BenchmarkFailed: Something is lost, twice, or not what it must be.
    """
    began = time.monotonic()
    hub.look_seconds = _LOOK_SECONDS
    account = hub.drained(600)
    due = counted.acknowledged + counted.turned_away
    kept = account["received"] - account["replays"] + account["answered_again"]
    _must(not counted.wrong, f"answers that were not deserved: {dict(counted.wrong)}")
    _must(kept == due, f"{kept} kept or answered again of {due} answered")
    _must(account["refused"] == counted.turned_away, "refused are not those turned away")
    events = {stream.value: _stream(hub, stream.value) for stream in STREAMS}
    for name, n in events.items():
        _must(account["events"].get(name, 0) == n, f"{name}: the account counts otherwise")
    traced = _trace(hub, journal, traces, seed)
    sample = ("--sample", str(verified)) if verified else ()
    done = hub.look("streams", "verify", "--json", *sample)
    fold = json.loads(done.stdout or "{}")
    _must(bool(fold.get("agrees")), f"streams do not agree: {done.stdout} {done.stderr}")
    return Found(
        received=account["received"],
        endings={e: account[e] for e in ("dispatched", "duplicate", "refused", "parked")},
        answered_again=account["answered_again"],
        events=events,
        traced=traced,
        reports=fold["reports"],
        seconds=round(time.monotonic() - began, 1),
    )


def _must(holds: bool, otherwise: str) -> None:  # noqa: FBT001 - it is what is asked
    if not holds:
        raise BenchmarkFailed(otherwise)


def _stream(hub: Embedded, name: str) -> int:
    """Check one stream by itself, as it comes: gapless, once, in order; return its events."""
    seqs: dict[int, int] = {}
    parts: dict[int, tuple[int, str]] = {}
    ids: set[bytes] = set()
    n = 0
    for event in _events(hub, name):
        n += 1
        _must(event.stream == name, f"{name}: an event of {event.stream}")
        _must(event.seq == seqs.get(event.partition, 0) + 1, f"{name}/{event.partition}: a gap")
        seqs[event.partition] = event.seq
        part = hash(f"{event.report_id} {event.part}")
        version, kind = parts.get(part, (0, ""))
        _must(event.event_version == version + 1, f"{name}: version of {event.report_id}")
        _must(event.kind in AFTER[kind], f"{name}: {event.kind} of {event.report_id}")
        _must((bytes(event.body) == b"null") == (event.kind == "withdrawn"), f"{name}: a body")
        parts[part] = (event.event_version, event.kind)
        number = bytes.fromhex(event.event_id.replace("-", ""))
        _must(number not in ids, f"{name}: {event.event_id} twice")
        ids.add(number)
    return n


def _events(hub: Embedded, name: str) -> Iterator[_Event]:
    decoder = msgspec.json.Decoder(_Event)
    process = subprocess.Popen(
        [
            *LABDISPATCH, "stream", name, "--actor", "benchmark", "--reason", "conservation",
            "--data-dir", str(hub.data_dir),
        ],
        env=hub.station_env(),
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    with process:
        for line in process.stdout:
            yield decoder.decode(line)
    _must(process.returncode == 0, f"{name} could not be read")


def _trace(hub: Embedded, journal: Path, most: int, seed: int) -> int:
    """Trace some of what was acknowledged; return how many messages."""
    answers = [line.split(" ") for line in journal.read_text().splitlines()]
    kept = sorted({control_id for control_id, code in answers if code[1:] in {"A", "E"}})
    chosen = random.Random(seed).sample(kept, min(most, len(kept)))
    for begin in range(0, len(chosen), _TRACED_AT_ONCE):
        part = chosen[begin : begin + _TRACED_AT_ONCE]
        held: dict[str, list[Any]] = {control_id: [] for control_id in part}
        for each in _traced(hub, part):
            held[each["control_id"]].append(each)
        for control_id, records in held.items():
            _must(bool(records), f"acknowledged and lost: {control_id}")
            try:
                check_endings(control_id, records)
            except AssertionError as found:
                raise BenchmarkFailed(str(found)) from None
    return len(chosen)


def _traced(hub: Embedded, control_ids: Sequence[str]) -> list[dict[str, Any]]:
    return hub.trace(control_ids)
