"""What dispatch counts for a laboratory, in the transaction of the batch.

Conformance by software and day, and values that no table knows. Counted is every message once,
when it is handled first: no duplicate, no replay, and nothing that was parked by the hub's own
fault. A refused message (AE) is counted each time it was refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from enum import Enum
from hashlib import blake2b
from typing import Final, NamedTuple, Protocol
from uuid import UUID

import msgspec

from ops.outcomes import OutcomeRow
from ops.prepare import Prepared
from ops.runtime.metrics import METRICS
from ops.runtime.postgres import Connection
from ops.runtime.vault import SealClass
from schemas.envelope import RecordKind, Software
from schemas.finding import Level
from schemas.ids import id_of
from schemas.outcome import Duplicate, Parked, ParkReason, Refused

from .unmapped import LocalValue, unmapped_of

MAX_SOFTWARE: Final = 100
"""The most programs of one laboratory that are told apart; what comes later counts as OTHERS."""
MAX_UNMAPPED: Final = 500
"""The most values of one laboratory that are kept apart; what comes later counts as `beyond`."""
OTHERS: Final = Software(application="(others)")
_NIL: Final = UUID(int=0)
_CACHED_SOFTWARE: Final = 20_000

SOFTWARE: Final = """
SELECT s.software_id, s.lab_id, s.application, s.vendor, s.product, s.version
FROM lab_software s
JOIN unnest($1::integer[], $2::text[], $3::text[], $4::text[], $5::text[]) AS g (l, a, v, p, n)
  ON s.lab_id = g.l AND s.application = g.a AND s.vendor = g.v AND s.product = g.p
     AND s.version = g.n
"""

# The number of the row in the statement counts too: a statement does not see its own rows.
ADD_SOFTWARE: Final = """
INSERT INTO lab_software (lab_id, application, vendor, product, version, first_seen_at)
SELECT g.l, g.a, g.v, g.p, g.n, $6
FROM (SELECT u.*, row_number() OVER (PARTITION BY u.l) AS place
      FROM unnest($1::integer[], $2::text[], $3::text[], $4::text[], $5::text[])
           AS u (l, a, v, p, n)) AS g
WHERE (SELECT count(*) FROM lab_software s WHERE s.lab_id = g.l) + g.place <= $7
ON CONFLICT (lab_id, application, vendor, product, version) DO NOTHING
"""

COUNT_DAYS: Final = """
INSERT INTO conformance_day AS held (lab_id, software_id, day, messages, refused, failed, warned,
                                     clean)
SELECT d.l, d.s, d.d, d.m, d.r, d.f, d.w, d.c
FROM unnest($1::integer[], $2::integer[], $3::date[], $4::bigint[], $5::bigint[], $6::bigint[],
            $7::bigint[], $8::bigint[]) AS d (l, s, d, m, r, f, w, c)
ON CONFLICT (lab_id, software_id, day) DO UPDATE
SET messages = held.messages + EXCLUDED.messages, refused = held.refused + EXCLUDED.refused,
    failed = held.failed + EXCLUDED.failed, warned = held.warned + EXCLUDED.warned,
    clean = held.clean + EXCLUDED.clean
"""

COUNT_FINDINGS: Final = """
INSERT INTO conformance_finding AS held (lab_id, software_id, day, code, level, messages, times,
                                         first_seen_at, last_seen_at)
SELECT f.l, f.s, f.d, f.c, f.v, f.m, f.t, f.a, f.z
FROM unnest($1::integer[], $2::integer[], $3::date[], $4::text[], $5::text[], $6::bigint[],
            $7::bigint[], $8::timestamptz[], $9::timestamptz[]) AS f (l, s, d, c, v, m, t, a, z)
ON CONFLICT (lab_id, software_id, day, code, level) DO UPDATE
SET messages = held.messages + EXCLUDED.messages, times = held.times + EXCLUDED.times,
    first_seen_at = least(held.first_seen_at, EXCLUDED.first_seen_at),
    last_seen_at = greatest(held.last_seen_at, EXCLUDED.last_seen_at)
"""

COUNT_UNMAPPED: Final = """
UPDATE lab_unmapped AS held
SET n = held.n + u.n, last_seen_at = greatest(held.last_seen_at, u.z)
FROM unnest($1::integer[], $2::text[], $3::uuid[], $4::bigint[], $5::timestamptz[])
     AS u (l, k, d, n, z)
WHERE held.lab_id = u.l AND held.kind = u.k AND held.digest = u.d
RETURNING held.lab_id, held.kind, held.digest
"""

ADD_UNMAPPED: Final = """
INSERT INTO lab_unmapped (lab_id, kind, digest, payload, n, first_seen_at, last_seen_at)
SELECT g.l, g.k, g.d, g.b, g.n, g.z, g.z
FROM (SELECT u.*, row_number() OVER (PARTITION BY u.l) AS place
      FROM unnest($1::integer[], $2::text[], $3::uuid[], $4::bytea[], $5::bigint[],
                  $6::timestamptz[]) AS u (l, k, d, b, n, z)) AS g
WHERE g.k IN ('withheld', 'beyond')
   OR (SELECT count(*) FROM lab_unmapped h WHERE h.lab_id = g.l) + g.place <= $7
ON CONFLICT (lab_id, kind, digest) DO UPDATE
SET n = lab_unmapped.n + EXCLUDED.n, last_seen_at = EXCLUDED.last_seen_at
RETURNING lab_id, kind, digest
"""


class Sealer(Protocol):
    """What seals (ops/runtime/vault.py)."""

    def seal(self, seal_class: SealClass, plaintext: bytes, associated: bytes) -> bytes:
        """Return ciphertext bound to `associated`."""
        ...


class Standing(Enum):
    """How one message counts: by its worst finding."""

    FAILED = "failed"
    WARNED = "warned"
    CLEAN = "clean"


class _SoftwareKey(NamedTuple):
    lab_id: int
    software: Software


class _UnmappedKey(NamedTuple):
    lab_id: int
    kind: str
    digest: UUID


class _Day(msgspec.Struct):
    messages: int = 0
    refused: int = 0
    failed: int = 0
    warned: int = 0
    clean: int = 0


class _Found(msgspec.Struct):
    first_at: datetime
    last_at: datetime
    messages: int = 0
    times: int = 0


class _Seen(msgspec.Struct):
    value: LocalValue | None
    last_at: datetime
    n: int = 0


class Tally:
    """Counts batches, always on the connection of their transaction.

    Args:
        sealer: Seals the values that no table knows.
        secret: Key of their digests.
    """

    def __init__(self, sealer: Sealer, secret: bytes) -> None:
        self._sealer = sealer
        self._secret = secret
        self._software: dict[_SoftwareKey, int] = {}

    async def write(
        self,
        connection: Connection,
        items: Sequence[Prepared],
        rows: Sequence[OutcomeRow],
        at: datetime,
    ) -> None:
        """Count a batch.

        Args:
            connection: Inside the batch's transaction.
            items: What was handled.
            rows: How each ended, in the same order.
            at: When it was decided.
        """
        counted = [each for each in zip(items, rows, strict=True) if _counts(*each)]
        if not counted:
            return
        wanted = {_SoftwareKey(i.record.lab_id, i.software) for i, _ in counted}
        numbers = await self._numbers(connection, wanted, at)
        await _count_conformance(connection, counted, numbers)
        await self._count_unmapped(connection, [i for i, _ in counted if i.mapped is not None])

    # ------------------------------------------------------------------ software

    async def _numbers(
        self, connection: Connection, wanted: set[_SoftwareKey], at: datetime
    ) -> dict[_SoftwareKey, int]:
        """Return the number of every software, made now where it is new and there is room."""
        missing = wanted - self._software.keys()
        if not missing:
            return {key: self._software[key] for key in wanted}
        found = await _read_software(connection, missing)
        if len(self._software) + len(found) > _CACHED_SOFTWARE:
            self._software.clear()
        # Only what was there before this transaction: it may yet be rolled back.
        self._software.update(found)
        fresh = missing - found.keys()
        if fresh:
            found |= await _add_software(connection, fresh, at, MAX_SOFTWARE)
        full = missing - found.keys()
        if full:
            METRICS.limit_hits.labels("software_of_a_laboratory").inc(len(full))
            others = {_SoftwareKey(key.lab_id, OTHERS) for key in full}
            made = await _add_software(connection, others, at, MAX_SOFTWARE + 1)
            found |= {key: made[_SoftwareKey(key.lab_id, OTHERS)] for key in full}
        known = {key: self._software[key] for key in wanted if key in self._software}
        return found | known

    # ------------------------------------------------------------------ unmapped

    async def _count_unmapped(self, connection: Connection, items: Iterable[Prepared]) -> None:
        seen = self._seen(items)
        if not seen:
            return
        left = await self._add(connection, COUNT_UNMAPPED, seen)
        if not left:
            return
        left = await self._add(connection, ADD_UNMAPPED, left)
        if not left:
            return
        METRICS.limit_hits.labels("unmapped_values_of_a_laboratory").inc(len(left))
        beyond: dict[_UnmappedKey, _Seen] = {}
        for key, one in left.items():
            place = _UnmappedKey(key.lab_id, "beyond", _NIL)
            held = beyond.setdefault(place, _Seen(value=None, last_at=one.last_at))
            held.n += one.n
        left = await self._add(connection, COUNT_UNMAPPED, beyond)
        if left:
            await self._add(connection, ADD_UNMAPPED, left)

    def _seen(self, items: Iterable[Prepared]) -> dict[_UnmappedKey, _Seen]:
        seen: dict[_UnmappedKey, _Seen] = {}
        for item in items:
            assert item.mapped is not None
            unmapped = unmapped_of(item.mapped)
            lab_id, at = item.record.lab_id, item.record.received_at
            for value, n in unmapped.values.items():
                key = _UnmappedKey(lab_id, value.kind.value, self.digest(lab_id, value))
                one = seen.setdefault(key, _Seen(value=value, last_at=at))
                one.n, one.last_at = one.n + n, max(at, one.last_at)
            if unmapped.withheld:
                key = _UnmappedKey(lab_id, "withheld", _NIL)
                one = seen.setdefault(key, _Seen(value=None, last_at=at))
                one.n, one.last_at = one.n + unmapped.withheld, max(at, one.last_at)
        return seen

    def digest(self, lab_id: int, value: LocalValue) -> UUID:
        """Return the keyed digest under which a laboratory's value is counted."""
        digest = blake2b(digest_size=16, key=self._secret, person=b"unmapped")
        digest.update(b"%d\x1f" % lab_id)
        digest.update(value.key)
        return id_of(digest.digest())

    async def _add(
        self, connection: Connection, statement: str, seen: dict[_UnmappedKey, _Seen]
    ) -> dict[_UnmappedKey, _Seen]:
        """Run one of the two statements; return what it did not take."""
        keys = sorted(seen)
        arrays: list[object] = [[k.lab_id for k in keys], [k.kind for k in keys]]
        arrays.append([k.digest for k in keys])
        if statement is ADD_UNMAPPED:
            arrays.append([self._sealed(k, seen[k].value) for k in keys])
        arrays += [[seen[k].n for k in keys], [seen[k].last_at for k in keys]]
        if statement is ADD_UNMAPPED:
            arrays.append(MAX_UNMAPPED)
        taken = {_UnmappedKey(*row.values()) for row in await connection.fetch(statement, *arrays)}
        return {key: one for key, one in seen.items() if key not in taken}

    def _sealed(self, key: _UnmappedKey, value: LocalValue | None) -> bytes:
        if value is None:
            return b""
        return self._sealer.seal(SealClass.CODES, msgspec.msgpack.encode(value), key.digest.bytes)


def _counts(item: Prepared, row: OutcomeRow) -> bool:
    """Say whether a record is a message that is counted here and now."""
    if item.record.kind is RecordKind.REPLAY or isinstance(row.outcome, Duplicate):
        return False
    return not isinstance(row.outcome, Parked) or row.outcome.reason is ParkReason.UNMAPPABLE


def standing_of(row: OutcomeRow) -> Standing:
    """Return how a message counts: failed where it was refused, cannot be mapped, or has an error.

    An info never counts against it.
    """
    levels = {finding.level for finding in row.findings}
    if isinstance(row.outcome, Refused | Parked) or Level.ERROR in levels:
        return Standing.FAILED
    return Standing.WARNED if Level.WARNING in levels else Standing.CLEAN


async def _count_conformance(
    connection: Connection,
    counted: Sequence[tuple[Prepared, OutcomeRow]],
    numbers: dict[_SoftwareKey, int],
) -> None:
    days: dict[tuple[int, int, date], _Day] = {}
    found: dict[tuple[int, int, date, str, str], _Found] = {}
    for item, row in counted:
        lab_id, at = item.record.lab_id, item.record.received_at
        place = (lab_id, numbers[_SoftwareKey(lab_id, item.software)], at.date())
        day = days.setdefault(place, _Day())
        day.messages += 1
        day.refused += isinstance(row.outcome, Refused)
        standing = standing_of(row)
        day.failed += standing is Standing.FAILED
        day.warned += standing is Standing.WARNED
        day.clean += standing is Standing.CLEAN
        in_message = set()
        for finding in row.findings:
            key = (*place, finding.code, finding.level.value)
            one = found.setdefault(key, _Found(first_at=at, last_at=at))
            one.first_at, one.last_at = min(at, one.first_at), max(at, one.last_at)
            one.times += 1
            one.messages += key not in in_message
            in_message.add(key)
    await _write_days(connection, days)
    await _write_findings(connection, found)


async def _write_days(connection: Connection, days: dict[tuple[int, int, date], _Day]) -> None:
    keys = sorted(days)
    await connection.execute(
        COUNT_DAYS,
        [k[0] for k in keys],
        [k[1] for k in keys],
        [k[2] for k in keys],
        [days[k].messages for k in keys],
        [days[k].refused for k in keys],
        [days[k].failed for k in keys],
        [days[k].warned for k in keys],
        [days[k].clean for k in keys],
    )


async def _write_findings(
    connection: Connection, found: dict[tuple[int, int, date, str, str], _Found]
) -> None:
    if not found:
        return
    keys = sorted(found)
    await connection.execute(
        COUNT_FINDINGS,
        [k[0] for k in keys],
        [k[1] for k in keys],
        [k[2] for k in keys],
        [k[3] for k in keys],
        [k[4] for k in keys],
        [found[k].messages for k in keys],
        [found[k].times for k in keys],
        [found[k].first_at for k in keys],
        [found[k].last_at for k in keys],
    )


def _software_arrays(keys: Sequence[_SoftwareKey]) -> list[list[object]]:
    return [
        [k.lab_id for k in keys],
        [k.software.application for k in keys],
        [k.software.vendor for k in keys],
        [k.software.product for k in keys],
        [k.software.version for k in keys],
    ]


async def _read_software(
    connection: Connection, wanted: Iterable[_SoftwareKey]
) -> dict[_SoftwareKey, int]:
    rows = await connection.fetch(SOFTWARE, *_software_arrays(list(wanted)))
    return {
        _SoftwareKey(
            row["lab_id"],
            Software(row["application"], row["vendor"], row["product"], row["version"]),
        ): row["software_id"]
        for row in rows
    }


async def _add_software(
    connection: Connection, wanted: set[_SoftwareKey], at: datetime, most: int
) -> dict[_SoftwareKey, int]:
    keys = sorted(wanted, key=lambda key: (key.lab_id, msgspec.structs.astuple(key.software)))
    await connection.execute(ADD_SOFTWARE, *_software_arrays(keys), at, most)
    return await _read_software(connection, wanted)
