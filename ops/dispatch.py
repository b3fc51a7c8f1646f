"""The transaction script of one micro-batch: the only place where dedup and routing meet.

It reads like the guarantee it keeps (docs/guarantees/exactly-one-outcome.md): fence, inbox, locks,
look-up, decide, version, cases, route, diff, outcomes, offsets, outbox, commit. All or nothing; a
commit whose result is unknown is settled by the fence of the next batch. What stewards change goes
the same way by `Dispatcher.stewards` (ops/stewards/script.py): the same locks in the same order.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from dedup.resolver import Resolution, Resolver
from dedup.store import DedupStore
from ingest.judge import LabProfile
from ingest.labs import PostgresLabStore, profile_of
from ops.batch_parts import (
    Unit,
    by_keys,
    count,
    due_of,
    outcomes_of,
    subject_of,
    unit_of,
    versions_of,
)
from ops.casework import Casework, Worked
from ops.inbox import pass_inbox
from ops.outcomes import OutcomeRow, read_raw, with_mended, write_outcomes
from ops.placing import Keyed, Placed, Shelf, key_reports
from ops.prepare import Prepared, Preparer
from ops.publishing import Published, Publisher
from ops.register.tally import Tally
from ops.runtime.clock import Clock
from ops.runtime.failpoints import hit
from ops.runtime.ids import new_message_id
from ops.runtime.intake_log import IntakeLog
from ops.runtime.logs import get_logger
from ops.runtime.metrics import METRICS
from ops.runtime.postgres import Connection, Pool, translated
from ops.runtime.traces import TRACES
from ops.runtime.worker import FenceLost
from ops.runtime.writes import GatheredWrites
from ops.stewards.acts import Stewards
from ops.stewards.standing import note_and_ask
from routing.emitted import PendingEvent
from schemas.envelope import RecordKind, StoredRecord
from schemas.errors import PermanentError, TransientError, pure_step
from schemas.outcome import Parked, ParkReason
from schemas.topics import Stream

_log = get_logger(__name__)

# The first statement of every batch. The order of partitions is the order of locks.
FENCE: Final = """
SELECT partition, next_offset,
       (SELECT array_agg(lab_id) FROM pause WHERE what = 'laboratory') AS paused
FROM intake_progress
WHERE partition = ANY ($1::integer[]) ORDER BY partition FOR UPDATE
"""

# While something is paused: what the fence saw of it may be older than its locks, and whoever ends
# a pause holds them all.
PAUSED: Final = "SELECT array_agg(lab_id) AS paused FROM pause WHERE what = 'laboratory'"

ADVANCE: Final = """
UPDATE intake_progress AS p SET next_offset = moved.next_offset, updated_at = $3
FROM unnest($1::integer[], $2::bigint[]) AS moved (partition, next_offset)
WHERE p.partition = moved.partition
"""


_BEHIND_ALL: Final = 2**62


class DispatchSecrets(msgspec.Struct, frozen=True, kw_only=True):
    """Keys of the digests that dispatch makes itself."""

    report: bytes

    def __repr__(self) -> str:
        """Show nothing."""
        return "<DispatchSecrets withheld>"


class Dispatcher:
    """Handles batches of the intake log, each in one transaction.

    Args:
        pool: Of the role `dispatch`; one connection is used at a time.
        log: To look up the original of a replay.
        preparer: Opens payloads and derives keys.
        store: The tables of dedup.
        resolver: Finds persons.
        publisher: Routes, and writes what the streams hold.
        casework: Keeps the cases of persons.
        clock: Says when it was decided.
        secrets: Keys of digests.
        max_keys: The most blocking keys of one transaction.
        keep_raw: Whether the sealed record is copied into the database (cluster).
        labs: The register, for what is mapped again.
        tally: Counts for conformance and unmapped values.
        stewards: The other entry points of the script: merge, unmerge, verdicts, oppositions, and
            what is emitted again.
    """

    def __init__(
        self,
        *,
        pool: Pool,
        log: IntakeLog,
        preparer: Preparer,
        store: DedupStore,
        resolver: Resolver,
        publisher: Publisher,
        casework: Casework,
        clock: Clock,
        secrets: DispatchSecrets,
        max_keys: int,
        keep_raw: bool,
        labs: PostgresLabStore,
        tally: Tally,
        stewards: Stewards,
    ) -> None:
        self._pool = pool
        self._log = log
        self._preparer = preparer
        self._store = store
        self._resolver = resolver
        self.publisher = publisher
        self.casework = casework
        self._clock = clock
        self._secrets = secrets
        self._max_keys = max_keys
        self._keep_raw = keep_raw
        self._labs = labs
        self._tally = tally
        self.stewards = stewards
        self._paused: frozenset[int] = frozenset()
        """Laboratories whose messages wait for the end of a pause, as the last fence saw it."""

    async def handle(
        self,
        positions: Mapping[int, int],
        records: list[StoredRecord],
        next_offsets: Mapping[int, int],
    ) -> None:
        """Handle a batch; see `ops.runtime.worker.BatchHandler`."""
        profiles: dict[int, LabProfile] = {}
        items = [await self._prepare(record, profiles) for record in records]
        stands = dict(positions)
        lasts = {record.partition: record.offset for record in records}
        ends = {(p, offset): next_offsets[p] for p, offset in lasts.items()}
        for part in by_keys(items, self._max_keys):
            unit = unit_of(part, stands, ends)
            await self._settle(unit)
            stands.update(unit.next_offsets)

    # ------------------------------------------------------------------ poison

    async def _settle(self, unit: Unit) -> None:
        """Commit a unit; where something in it is at fault, find it by halving and park it alone.

        Raises:
            FenceLost: Somebody else went on.
            TransientError: The world is at fault; nothing of what is left was committed.
        """
        try:
            await self._commit(unit)
        except PermanentError as error:
            if len(unit.items) == 1:
                await self._park(unit, error)
                return
            METRICS.bisections.inc()
            half = len(unit.items) // 2
            first = unit_of(unit.items[:half], unit.positions, unit.ends)
            await self._settle(first)
            stands = {**unit.positions, **first.next_offsets}
            await self._settle(unit_of(unit.items[half:], stands, unit.ends))

    async def _park(self, unit: Unit, error: PermanentError) -> None:
        """Park one message together with its offset step, in a transaction of its own."""
        item = unit.items[0]
        refused = error.reason == "database_refused"
        _log.error(
            "message_parked",
            reason=error.reason,
            remedy=error.remedy,
            message_id=item.record.message_id,
            partition=item.record.partition,
            offset=item.record.offset,
        )
        METRICS.errors.labels("dispatch", error.reason).inc()
        parked = Parked(
            reason=ParkReason.DATABASE_REFUSED if refused else ParkReason.UNEXPECTED,
            code=error.remedy[:200],
            place=error.place,
        )
        alone = msgspec.structs.replace(item, outcome=parked, mapped=None, keys=None)
        await self._commit(msgspec.structs.replace(unit, items=[alone]))

    # ------------------------------------------------------------------ the transaction

    async def _commit(self, unit: Unit) -> None:
        started = time.perf_counter()
        at = self._clock.now()
        with translated():
            async with self._pool.acquire() as connection:
                async with connection.transaction():
                    paused = await _fence(connection, unit.positions)
                    if paused != self._paused:
                        # The batch was prepared by what was paused before: it is read again.
                        self._paused = paused
                        raise TransientError("pauses_changed", "it is tried again at once")
                    hit("dispatch.after_fence")
                    gathered = GatheredWrites(connection)
                    rows, published, worked = await self._work(gathered, unit, at)
                    await gathered.send()
                    hit("dispatch.before_outbox")
                    await self.publisher.write_events(gathered, published, at)
                    await gathered.send()
                    hit("dispatch.before_commit")
                hit("dispatch.after_commit")
        seconds = time.perf_counter() - started
        count(rows, published, self._clock.now(), seconds)
        if TRACES.is_on:
            ids = [item.record.message_id for item in unit.items]
            TRACES.span_batch("dispatch", seconds, ids, events=len(published.events))
        worked.count()

    async def _work(
        self, connection: Connection, unit: Unit, at: datetime
    ) -> tuple[list[OutcomeRow], Published, Worked]:
        rows, published, worked = await self._decide(connection, unit.items, at)
        await write_outcomes(connection, rows, at=at, keep_raw=self._keep_raw)
        await self._tally.write(connection, unit.items, rows, at)
        await connection.execute(
            ADVANCE, list(unit.next_offsets), list(unit.next_offsets.values()), at
        )
        return rows, published, worked

    async def _decide(
        self, connection: Connection, items: Sequence[Prepared], at: datetime
    ) -> tuple[list[OutcomeRow], Published, Worked]:
        passed = await pass_inbox(self._store, connection, items, at)
        fresh = [
            item
            for item in passed.items
            if item.mapped is not None and item.record.offset_place not in passed.duplicates
        ]
        subjects = [subject_of(item) for item in fresh]
        with pure_step():
            keyed = [self._keyed(item) for item in fresh]
        resolutions = []
        if fresh:
            told = {report.key for reports in keyed for report in reports}
            left = await self._store.held_persons(connection, told)
            resolutions = await self._resolver.resolve(connection, subjects, at, left)
        keys = [subject.keys for subject in subjects]
        opposed = await note_and_ask(connection, resolutions, keys, at)
        placed = await self._place(connection, fresh, keyed, resolutions, at=at)
        due = [
            due
            for item, resolution, reports in zip(fresh, resolutions, placed, strict=True)
            for due in due_of(item, resolution, reports, opposed)
        ]
        worked = await self.casework.settle(connection, due, at)
        published = await self.publisher.prepare(connection, worked.due, at)
        if worked.withdrawn:
            stream = Stream.CONTACT_TRACING
            taken = await self.publisher.withdraw(connection, worked.withdrawn, stream)
            published = Published(events=published.events + taken.events)
        return outcomes_of(passed, fresh, resolutions, placed), published, worked

    async def rehearse(
        self, originals: Sequence[StoredRecord]
    ) -> tuple[list[OutcomeRow], list[PendingEvent]]:
        """Say what a replay of some records would do now: done, and rolled back.

        Takes the locks of a batch for as long as one takes, but no progress; leaves nothing
        behind but numbers of persons that nobody gets.

        Raises:
            PermanentError: One of them fails by its content; alone it says which.
            TransientError: The database is away; it may be asked again.
        """
        profiles: dict[int, LabProfile] = {}
        items = []
        for number, original in enumerate(originals):
            profile = await self._profile(original.lab_id, profiles)
            again = self._preparer.prepare_again(original, profile)
            # It stands behind all that came, as a record of its own would.
            record = msgspec.structs.replace(
                original, message_id=new_message_id(), kind=RecordKind.REPLAY,
                offset=_BEHIND_ALL + number,
            )  # fmt: skip
            items.append(
                msgspec.structs.replace(again, record=record, settles=original.offset_place)
            )
        try:
            with translated():
                async with self._pool.acquire() as connection, connection.transaction():
                    rows, published, _ = await self._decide(connection, items, self._clock.now())
                    _roll_back(rows, published.events)
        except _RolledBack as done:
            return done.rows, done.events
        raise AssertionError("what is rehearsed is rolled back")

    async def _place(
        self,
        connection: Connection,
        fresh: Sequence[Prepared],
        keyed: Sequence[tuple[Keyed, ...]],
        resolutions: Sequence[Resolution],
        *,
        at: datetime,
    ) -> list[list[Placed]]:
        """Put every report in its place and write the versions."""
        held = await self._store.reports_for_update(
            connection, {k.key for reports in keyed for k in reports}
        )
        known = await self._store.known_contents(
            connection,
            {report.report_id for reports in held.values() for report in reports},
            {each for reports in keyed for k in reports for each in k.statements},
        )
        shelf = Shelf(held, known)
        placed = []
        with pure_step():
            for item, resolution, reports in zip(fresh, resolutions, keyed, strict=True):
                is_replay = item.settles is not None
                placed.append(
                    [shelf.put(k, item.source, resolution, is_replay=is_replay) for k in reports]
                )
        await self._store.write_reports(connection, versions_of(placed), at)
        return placed

    def _keyed(self, item: Prepared) -> tuple[Keyed, ...]:
        assert item.mapped is not None
        return key_reports(item.mapped, item.source, self._secrets.report, item.door)

    # ------------------------------------------------------------------ preparing

    async def _prepare(self, record: StoredRecord, profiles: dict[int, LabProfile]) -> Prepared:
        if record.lab_id in self._paused and record.kind is not RecordKind.REFUSED:
            return self._preparer.prepare_waiting(record)
        if record.kind is not RecordKind.REPLAY:
            prepared = self._preparer.prepare(record)
            if prepared is None:
                profile = await self._profile(record.lab_id, profiles)
                prepared = self._preparer.prepare(record, profile)
                assert prepared is not None, "a profile was given"
            return prepared
        profile = await self._profile(record.lab_id, profiles)
        try:
            instruction = self._preparer.read_instruction(record)
        except PermanentError:
            return self._preparer.prepare_replay(record, None, profile)
        original = await self._original(instruction.partition, instruction.offset)
        return self._preparer.prepare_replay(record, original, profile)

    async def _profile(self, lab_id: int, profiles: dict[int, LabProfile]) -> LabProfile:
        """Return a laboratory's profile of today, asked for once a batch."""
        if lab_id not in profiles:
            lab = await self._labs.one(lab_id)
            profiles[lab_id] = LabProfile() if lab is None else profile_of(lab)
        return profiles[lab_id]

    async def _original(self, partition: int, offset: int) -> StoredRecord | None:
        """Return the record that is replayed: from the log, else from our own copy of it."""
        found = await self._log.fetch(partition, offset)
        with translated():
            async with self._pool.acquire() as connection:
                if found is None and self._keep_raw:
                    found = await read_raw(connection, partition, offset)
                return None if found is None else await with_mended(connection, found)


class _RolledBack(Exception):
    def __init__(self, rows: list[OutcomeRow], events: list[PendingEvent]) -> None:
        super().__init__()
        self.rows, self.events = rows, events


def _roll_back(rows: list[OutcomeRow], events: list[PendingEvent]) -> None:
    """Leave a transaction by raising what was found in it."""
    raise _RolledBack(rows, events)


async def _fence(connection: Connection, positions: Mapping[int, int]) -> frozenset[int]:
    """Take the batch's partitions, and return which laboratories are paused.

    Raises:
        FenceLost: Somebody else went on.
    """
    rows = await connection.fetch(FENCE, sorted(positions))
    held = {row["partition"]: row["next_offset"] for row in rows}
    moved = {partition for partition, at in positions.items() if held.get(partition) != at}
    if moved:
        raise FenceLost(frozenset(moved))
    if not any(row["paused"] for row in rows):
        return frozenset()
    return frozenset(await connection.fetchval(PAUSED) or ())
