"""Worker and log as a state machine: crashes, zombies and duplicates in any order.

Runs the real dispatcher on a real PostgreSQL. Whatever happens, every record ends once, every
stream is gapless, and progress never goes back.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from ops.runtime import failpoints
from ops.runtime.embedded import EmbeddedPostgres
from ops.runtime.intake_log import ReadBatch
from ops.runtime.worker import FenceLost
from schemas.errors import TransientError
from schemas.finding import Finding, Level
from schemas.report import ResultStatus
from schemas.topics import STREAMS
from tests.support.hub import Road, scratch_hub
from tests.support.people import dominique, message, report
from tests.support.postgres import clone, drop

WORKERS = 2
PARTITIONS = 2
T = TypeVar("T")

BEFORE_COMMIT = (
    "dispatch.after_fence",
    "dispatch.after_locks",
    "dispatch.after_lookup",
    "dispatch.after_cases",
    "dispatch.before_outbox",
    "dispatch.before_commit",
)


class Held:
    """What a worker has in hand: a batch it read, from where it stood then."""

    def __init__(self, positions: dict[int, int], batch: ReadBatch) -> None:
        self.positions = positions
        self.batch = batch


class WorkerMachine(RuleBasedStateMachine):
    server: EmbeddedPostgres

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.folder = Path(tempfile.mkdtemp(prefix="ld-machine-"))
        self.in_hand: dict[int, Held] = {}
        self.sent: list[tuple[int, bytes, int]] = []
        self.progress: dict[int, int] = {}

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    @initialize()
    def open(self) -> None:
        self.database = self.do(clone(self.server))
        hub = self.do(self.stack.enter_async_context(scratch_hub(self.database, self.folder)))
        self.roads = [Road(hub) for _ in range(WORKERS)]

    # ---------------------------------------------------------------- moves

    @rule(
        partition=st.integers(0, PARTITIONS - 1),
        person=st.integers(0, 2),
        order=st.integers(0, 2),
        status=st.sampled_from(list(ResultStatus)[5:9]),
    )
    def laboratory_sends(
        self, partition: int, person: int, order: int, status: ResultStatus
    ) -> None:
        raw = b"message %d" % len(self.sent)
        traits = dominique(ins=(), birth_given="ABC"[person] + "LEX", birth_givens=())
        content = message(traits, report(filler_order_number=f"F-{order}", status=status))
        (offset,) = self.do(self.roads[0].put(content, partition=partition, raws=[raw]))
        self.sent.append((partition, raw, offset))

    @rule(partition=st.integers(0, PARTITIONS - 1))
    def laboratory_sends_what_cannot_be_mapped(self, partition: int) -> None:
        raw = b"broken %d" % len(self.sent)
        finding = Finding("obr_without_code", Level.ERROR)
        (offset,) = self.do(self.roads[0].put(finding, partition=partition, raws=[raw]))
        self.sent.append((partition, raw, offset))

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def laboratory_sends_again(self, data: st.DataObject) -> None:
        partition, raw, _ = data.draw(st.sampled_from(self.sent))
        self.do(self.roads[0].put(message(), partition=partition, raws=[raw]))

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def operator_replays(self, data: st.DataObject) -> None:
        partition, _, offset = data.draw(st.sampled_from(self.sent))
        self.do(self.roads[0].put_replay(offset, partition=partition))

    @rule(worker=st.integers(0, WORKERS - 1), limit=st.integers(1, 5))
    def worker_reads(self, worker: int, limit: int) -> None:
        road = self.roads[worker]
        every = self.do(road.positions())
        positions = {p: every[p] for p in range(PARTITIONS)}
        batch = self.do(road.hub.log.read(positions, limit))
        if batch.records:
            self.in_hand[worker] = Held(positions, batch)

    @precondition(lambda self: self.in_hand)
    @rule(data=st.data())
    def worker_commits_however_late(self, data: st.DataObject) -> None:
        """A zombie commits here too, or rather tries to: others may have gone on meanwhile."""
        worker = data.draw(st.sampled_from(sorted(self.in_hand)))
        self._handle(worker, keep=False)

    @precondition(lambda self: self.in_hand)
    @rule(data=st.data(), place=st.sampled_from(BEFORE_COMMIT))
    def worker_dies_before_its_commit(self, data: st.DataObject, place: str) -> None:
        worker = data.draw(st.sampled_from(sorted(self.in_hand)))
        before = self.do(self._facts())
        failpoints.arm(f"{place}=transient")
        self._handle(worker, keep=True)
        died = place not in failpoints.armed()  # a batch of resends passes fewer places
        failpoints.arm("")
        if died:
            assert self.do(self._facts()) == before

    @precondition(lambda self: self.in_hand)
    @rule(data=st.data())
    def worker_never_hears_of_its_commit(self, data: st.DataObject) -> None:
        """The result is unknown to it; with the same batch in hand it tries again later."""
        worker = data.draw(st.sampled_from(sorted(self.in_hand)))
        failpoints.arm("dispatch.after_commit=transient")
        self._handle(worker, keep=True)
        failpoints.arm("")

    def _handle(self, worker: int, *, keep: bool) -> None:
        held = self.in_hand[worker]
        if not keep:
            del self.in_hand[worker]
        try:
            self.do(
                self.roads[worker].dispatcher.handle(
                    held.positions, held.batch.records, held.batch.next_offsets
                )
            )
        except (FenceLost, TransientError):
            return

    async def _facts(self) -> list[Any]:
        return [
            await self.roads[0].rows('SELECT partition, "offset", ending FROM outcome'),
            await self.roads[0].rows("SELECT stream, partition, last_seq FROM stream_head"),
            await self.roads[0].rows("SELECT person_id, version FROM person"),
        ]

    # ---------------------------------------------------------------- what always holds

    @invariant()
    def the_account_closes(self) -> None:
        if hasattr(self, "roads"):
            account = self.do(self.roads[0].account())
            assert account.closes, account.difference

    @invariant()
    def progress_never_goes_back(self) -> None:
        if hasattr(self, "roads"):
            now = self.do(self.roads[0].positions())
            assert all(now[p] >= at for p, at in self.progress.items())
            self.progress = now

    def teardown(self) -> None:
        try:
            if hasattr(self, "roads"):
                self.do(self._drained())
        finally:
            failpoints.arm("")
            self.do(self.stack.aclose())
            if hasattr(self, "database"):
                self.do(drop(self.server, self.database.name))
            self.runner.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    async def _drained(self) -> None:
        """In the end a worker handles what is left, and everything is in its place once."""
        road = self.roads[0]
        await road.dispatch()
        account = await road.account()
        assert account.closes
        assert account.in_flight == 0
        first_seen: set[tuple[int, UUID]] = set()
        rows = await road.rows(
            """SELECT i.partition, i.inbox_key, o.ending, o.reason FROM intake i
               JOIN outcome o ON o.partition = i.partition AND o."offset" = i."offset"
               WHERE i.kind = 1 ORDER BY i.partition, i."offset" """
        )
        for row in rows:
            place = (row["partition"], row["inbox_key"])
            is_resend = row["reason"] == "same_message"
            assert is_resend == (place in first_seen)
            first_seen.add(place)
        for stream in STREAMS:
            _check_stream(await road.events(stream))


def _check_stream(events: list[dict[str, Any]]) -> None:
    seqs: dict[int, int] = {}
    versions: dict[tuple[str, str], int] = {}
    ids = set()
    for event in events:
        assert event["seq"] == seqs.get(event["partition"], 0) + 1
        seqs[event["partition"]] = event["seq"]
        part = (event["report_id"], event["part"])
        assert event["event_version"] == versions.get(part, 0) + 1
        versions[part] = event["event_version"]
        assert event["event_id"] not in ids
        ids.add(event["event_id"])


@pytest.mark.timeout(400)
def test_worker_and_log(
    postgres_server: EmbeddedPostgres, postgres_template: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ops.prepare.map_again", lambda *_: message())
    machine = type("Machine", (WorkerMachine,), {"server": postgres_server})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=25,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
