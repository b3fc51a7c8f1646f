"""The tables of dedup, spoken to in arrays: one statement a table and batch."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Final, Protocol
from uuid import UUID

import msgspec

from ops.runtime.metrics import METRICS
from ops.runtime.postgres import Connection
from ops.runtime.vault import SealClass
from schemas.decision import MatchDecision
from schemas.errors import PermanentError
from schemas.patient import Ins, Traits

from . import queries
from .identity import Alias, Candidate, HeldIns, Identity
from .normalize import NORMALISE_VERSION, normalise
from .results import HeldReport

INBOX_DAYS: Final = 35
CANDIDATE_CAP: Final = 300


class Sealer(Protocol):
    """What seals and opens (ops/runtime/vault.py)."""

    def seal(self, seal_class: SealClass, plaintext: bytes, associated: bytes) -> bytes:
        """Return ciphertext bound to `associated`."""
        ...

    def open(self, sealed: bytes, associated: bytes) -> bytes:
        """Return the plaintext or raise `PermanentError`."""
        ...


class InsRow(msgspec.Struct, frozen=True, kw_only=True):
    """A qualified INS to write for a person."""

    person_id: int
    digest: UUID
    ins: Ins


class AliasRow(msgspec.Struct, frozen=True, kw_only=True):
    """A set of traits to write for a person."""

    person_id: int
    digest: UUID
    alias: Alias


class LinkRow(msgspec.Struct, frozen=True, kw_only=True):
    """A decision to write: append-only, and enough to decide again bit for bit."""

    person_id: int
    partition: int
    offset: int
    alias_digest: UUID
    decision: MatchDecision


class VersionRow(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a report to write; `is_current` says whether the report's row follows it."""

    report_id: UUID
    report_key: UUID
    lab_id: int
    person_id: int
    version: int
    status: str
    status_rank: int
    content_digest: UUID
    sampled_on: str
    partition: int
    offset: int
    position: int
    is_new: bool
    is_current: bool


class DedupStore:
    """Reads and writes of one batch, always on the connection of its transaction."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    # ------------------------------------------------------------------ inbox

    async def seen(
        self, connection: Connection, keys: Collection[UUID], on: date
    ) -> dict[UUID, UUID]:
        """Return inbox key -> message id of what was handled in the last 35 days."""
        since = on - timedelta(days=INBOX_DAYS)
        rows = await connection.fetch(queries.SEEN, list(keys), since)
        return {row["inbox_key"]: row["message_id"] for row in rows}

    async def control_ids(
        self, connection: Connection, keys: Collection[int], at: datetime
    ) -> set[tuple[int, int]]:
        """Return (laboratory, control key) of what came under these keys in the last 35 days."""
        if not keys:
            return set()
        since = at - timedelta(days=INBOX_DAYS)
        rows = await connection.fetch(queries.CONTROL_IDS, list(keys), since)
        return {(row["lab_id"], row["control_key"]) for row in rows}

    async def remember(
        self, connection: Connection, messages: Sequence[tuple[UUID, UUID]], on: date
    ) -> None:
        """Remember (inbox key, message id)."""
        if messages:
            await connection.execute(
                queries.REMEMBER, on, [k for k, _ in messages], [m for _, m in messages]
            )

    # ------------------------------------------------------------------ persons

    async def lock_keys(self, connection: Connection, keys: Iterable[int]) -> None:
        """Take the advisory locks of all keys of a batch, sorted, in one statement."""
        ordered = sorted(set(keys))
        if ordered:
            await connection.fetchval(queries.LOCK_KEYS, ordered)

    async def look_up(
        self, connection: Connection, keys: Iterable[int]
    ) -> tuple[dict[int, list[int]], dict[int, Candidate]]:
        """Return key -> person ids, and the persons; merged ones replaced by whom they became.

        Call it after `lock_keys`, in a statement of its own: its snapshot must be younger than
        the locks.
        """
        ordered = sorted(set(keys))
        if not ordered:
            return {}, {}
        rows = await connection.fetch(queries.LOOK_UP, ordered, CANDIDATE_CAP)
        under: dict[int, list[int]] = {}
        for row in rows:
            under.setdefault(row["key"], []).append(row["person_id"])
        METRICS.capped_lookups.inc(sum(len(p) >= CANDIDATE_CAP for p in under.values()))
        ends, persons = await self._load(connection, {r["person_id"] for r in rows})
        by_key = {key: sorted({ends[p] for p in found}) for key, found in under.items()}
        return by_key, persons

    async def _load(
        self, connection: Connection, numbers: set[int]
    ) -> tuple[dict[int, int], dict[int, Candidate]]:
        if not numbers:
            return {}, {}
        asked = sorted(numbers)
        ends: dict[int, int] = {}
        persons: dict[int, Candidate] = {}
        for row in await connection.fetch(queries.FOLLOW, asked):
            end = ends[row["start"]] = row["person_id"]
            persons.setdefault(
                end, Candidate(person_id=end, ins={}, aliases={}, isolated=row["isolated"])
            )
        everybody = sorted(set(asked) | set(persons))
        for row in await connection.fetch(queries.LOAD_INS, everybody):
            held = persons[ends.get(row["person_id"], row["person_id"])]
            ins = self._open_ins(row["payload"], row["ins_digest"])
            if ins is not None:
                held.ins[row["ins_digest"]] = HeldIns(ins)
        for row in await connection.fetch(queries.LOAD_ALIASES, everybody):
            held = persons[ends.get(row["person_id"], row["person_id"])]
            held.aliases[row["alias_digest"]] = self._open_identity(
                row["payload"], row["alias_digest"]
            )
        return ends, persons

    async def lock_persons(self, connection: Connection, numbers: Iterable[int]) -> dict[int, int]:
        """Lock these persons' rows in the order of their numbers; return their versions."""
        ordered = sorted(set(numbers))
        if not ordered:
            return {}
        rows = await connection.fetch(queries.LOCK_PERSONS, ordered)
        return {row["person_id"]: row["version"] for row in rows}

    async def new_numbers(self, connection: Connection, count: int) -> list[int]:
        """Return unused person numbers; a number that a rollback leaves behind is never used."""
        rows = await connection.fetch(queries.NEW_NUMBERS, count)
        return [row["n"] for row in rows]

    async def write_persons(
        self,
        connection: Connection,
        *,
        new: Sequence[tuple[int, int, bool]],
        versions: dict[int, int],
        at: datetime,
    ) -> None:
        """Write new persons (id, version, isolated) and the versions of known ones."""
        if new:
            await connection.execute(
                queries.WRITE_PERSONS,
                [n[0] for n in new],
                [n[1] for n in new],
                [n[2] for n in new],
                at,
            )
        if versions:
            await connection.execute(
                queries.WRITE_VERSIONS, list(versions), list(versions.values())
            )

    async def write_identities(
        self,
        connection: Connection,
        *,
        ins: Sequence[InsRow],
        aliases: Sequence[AliasRow],
        keys: Collection[tuple[int, int]],
        on: date,
    ) -> None:
        """Write what persons are known by: INS, sets of traits, blocking keys (key, person id)."""
        if ins:
            sealed = [self._seal(msgspec.msgpack.encode(r.ins), r.digest) for r in ins]
            await connection.execute(
                queries.WRITE_INS,
                [r.person_id for r in ins],
                [r.digest for r in ins],
                [r.ins.oid for r in ins],
                sealed,
                on,
            )
        if aliases:
            sealed = [self._seal(msgspec.msgpack.encode(r.alias), r.digest) for r in aliases]
            await connection.execute(
                queries.WRITE_ALIASES,
                [r.person_id for r in aliases],
                [r.digest for r in aliases],
                sealed,
                on,
            )
        if keys:
            ordered = sorted(keys)
            await connection.execute(
                queries.WRITE_KEYS, [k for k, _ in ordered], [p for _, p in ordered]
            )

    async def write_links(
        self, connection: Connection, rows: Sequence[LinkRow], at: datetime
    ) -> None:
        """Append the link events of a batch, and open review items where a guard asks for one."""
        if not rows:
            return
        await connection.execute(
            queries.WRITE_LINKS,
            [r.decision.verdict.value for r in rows],
            [r.person_id for r in rows],
            [r.decision.contradicts for r in rows],
            [r.partition for r in rows],
            [r.offset for r in rows],
            [r.alias_digest for r in rows],
            [r.decision.rule for r in rows],
            [r.decision.model_version for r in rows],
            [_evidence(r.decision) for r in rows],
            at,
        )
        reviews = [(r, other, guard) for r in rows for other, guard in _reviews(r.decision)]
        if reviews:
            await connection.execute(
                queries.OPEN_REVIEWS,
                [r.person_id for r, _, _ in reviews],
                [other for _, other, _ in reviews],
                [guard for _, _, guard in reviews],
                [_evidence(r.decision) for r, _, _ in reviews],
                at,
            )

    # ------------------------------------------------------------------ reports

    async def reports_for_update(
        self, connection: Connection, keys: Collection[UUID]
    ) -> dict[UUID, list[HeldReport]]:
        """Return and lock the reports held under these keys."""
        if not keys:
            return {}
        held: dict[UUID, list[HeldReport]] = {}
        for row in await connection.fetch(queries.REPORTS, list(keys)):
            report = HeldReport(
                report_id=row["report_id"],
                report_key=row["report_key"],
                person_id=row["person_id"],
                version=row["version"],
                status=row["status"],
                status_rank=row["status_rank"],
                content_digest=row["content_digest"],
                sampled_on=row["sampled_on"].isoformat() if row["sampled_on"] else "",
                offset=row["offset"],
            )
            held.setdefault(report.report_key, []).append(report)
        return held

    async def known_contents(
        self, connection: Connection, report_ids: Collection[UUID]
    ) -> set[tuple[UUID, UUID]]:
        """Return (report id, content digest) of every version of these reports."""
        if not report_ids:
            return set()
        rows = await connection.fetch(queries.KNOWN_VERSIONS, list(report_ids))
        return {(row["report_id"], row["content_digest"]) for row in rows}

    async def write_reports(
        self, connection: Connection, rows: Sequence[VersionRow], at: datetime
    ) -> None:
        """Write versions in their order, and bring each report's row to its newest current one."""
        if not rows:
            return
        current = {row.report_id: row for row in rows if row.is_current}
        if current:
            await self._write_current(connection, list(current.values()), at)
        numbers = {row.report_id: row.version for row in rows}
        behind = {i: n for i, n in numbers.items() if i not in current or current[i].version < n}
        if behind:
            await connection.execute(queries.COUNT_VERSIONS, list(behind), list(behind.values()))
        await connection.execute(
            queries.WRITE_REPORT_VERSIONS,
            [r.report_id for r in rows],
            [r.version for r in rows],
            [r.partition for r in rows],
            [r.offset for r in rows],
            [r.position for r in rows],
            [r.person_id for r in rows],
            [r.status for r in rows],
            [r.content_digest for r in rows],
            [r.is_current for r in rows],
            at,
        )

    async def _write_current(
        self, connection: Connection, rows: Sequence[VersionRow], at: datetime
    ) -> None:
        await connection.execute(
            queries.WRITE_REPORTS,
            [r.report_id for r in rows],
            [r.report_key for r in rows],
            [r.lab_id for r in rows],
            [r.person_id for r in rows],
            [r.version for r in rows],
            [r.status for r in rows],
            [r.status_rank for r in rows],
            [r.content_digest for r in rows],
            [date.fromisoformat(r.sampled_on) if r.sampled_on else None for r in rows],
            [r.partition for r in rows],
            [r.offset for r in rows],
            [r.position for r in rows],
            at,
        )

    # ------------------------------------------------------------------ sealing

    def _seal(self, plaintext: bytes, digest: UUID) -> bytes:
        return self._sealer.seal(SealClass.IDENTITY, plaintext, digest.bytes)

    def _open_ins(self, sealed: bytes, digest: UUID) -> Ins | None:
        try:
            return msgspec.msgpack.decode(self._sealer.open(sealed, digest.bytes), type=Ins)
        except PermanentError:
            return None

    def _open_identity(self, sealed: bytes, digest: UUID) -> Identity | None:
        try:
            plain = self._sealer.open(sealed, digest.bytes)
        except PermanentError:
            return None
        try:
            alias = msgspec.msgpack.decode(plain, type=Alias)
        except msgspec.ValidationError:  # of the strict first form, which kept traits alone
            return normalise(msgspec.msgpack.decode(plain, type=Traits))
        if alias.normalise_version != NORMALISE_VERSION:
            return normalise(alias.traits)
        return alias.identity


def _reviews(decision: MatchDecision) -> list[tuple[int, str]]:
    """Return whom a review item compares with, and why."""
    asked = []
    if decision.contradicts is not None:
        asked.append((decision.contradicts, decision.guard))
    if decision.possible_duplicate is not None:
        asked.append((decision.possible_duplicate, "possible_duplicate"))
    return asked


def _evidence(decision: MatchDecision) -> str:
    return msgspec.json.encode(decision).decode()
