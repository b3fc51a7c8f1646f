"""The mapping table of a laboratory: read, changed, and what it does not know yet.

A change is one transaction: the rows, the laboratory's `profile_version`, the audit. Running doors
take it at their next refresh; what was accepted before stays as it was mapped, until a replay.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final, Protocol

import msgspec

from ingest.codes import CodeKind, CodeTable, LocalCode, fold_local
from ops.runtime.postgres import Connection
from schemas.errors import PermanentError
from schemas.report import Coded

from .code_rows import MAX_ROWS
from .labs import (
    audit,
    changing,
    check_audit,
    find_lab,
    row_of,
)
from .unmapped import LocalValue

LOCK: Final = """
SELECT lab_id, registry_id, profile_version FROM lab WHERE registry_id = $1 FOR UPDATE
"""
ROWS: Final = """
SELECT kind, local, local_system, code, system, text FROM lab_code WHERE lab_id = $1
ORDER BY kind, folded, folded_system
"""
PUT: Final = """
INSERT INTO lab_code (lab_id, kind, folded, folded_system, local, local_system, code, system, text)
SELECT $1, r.k, r.f, r.g, r.l, r.m, r.c, r.s, r.t
FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
            $9::text[]) AS r (k, f, g, l, m, c, s, t)
ON CONFLICT (lab_id, kind, folded, folded_system) DO UPDATE
SET local = EXCLUDED.local, local_system = EXCLUDED.local_system, code = EXCLUDED.code,
    system = EXCLUDED.system, text = EXCLUDED.text
"""
REMOVE: Final = """
DELETE FROM lab_code AS held
USING unnest($2::text[], $3::text[], $4::text[]) AS r (k, f, g)
WHERE held.lab_id = $1 AND held.kind = r.k AND held.folded = r.f AND held.folded_system = r.g
"""
BUMP: Final = """
UPDATE lab SET profile_version = profile_version + 1 WHERE lab_id = $1 RETURNING profile_version
"""
# What waits for an answer that this change may bring is asked again (ops/holding/rechecking.py).
RECHECK: Final = """
INSERT INTO hold_recheck (lab_id, changed_at) VALUES ($1, now())
ON CONFLICT (lab_id) DO UPDATE
SET changed_at = EXCLUDED.changed_at, after_report = '00000000-0000-0000-0000-000000000000'
"""
UNMAPPED: Final = """
SELECT kind, digest, payload, n, first_seen_at, last_seen_at FROM lab_unmapped
WHERE lab_id = $1 ORDER BY n DESC, last_seen_at DESC
"""
FORGET: Final = """
DELETE FROM lab_unmapped WHERE lab_id = $1 AND digest = ANY ($2::uuid[])
"""


class Opener(Protocol):
    """What opens a sealed payload (ops/runtime/vault.py)."""

    def open(self, sealed: bytes, associated: bytes) -> bytes:
        """Return the plaintext or raise `PermanentError`."""
        ...


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What a change of a table does, or would do."""

    added: int
    changed: int
    removed: int
    unchanged: int
    profile_version: int
    """After the change; the same as before where nothing changed or nothing was written."""
    written: bool


class UnmappedValue(msgspec.Struct, frozen=True, kw_only=True):
    """A local code or text that no table knows, and how often it came."""

    kind: str
    code: str
    text: str
    system: str
    n: int
    first_seen_at: datetime
    last_seen_at: datetime


class UnmappedList(msgspec.Struct, frozen=True, kw_only=True):
    """What no table knows, the most frequent first; and how often a value is not shown, and why."""

    values: list[UnmappedValue]
    withheld: int
    """Could be personal data: not kept."""
    beyond: int
    """Came when the laboratory had its most values: not kept."""
    unreadable: int
    """The day's key was destroyed."""


async def read_rows(connection: Connection, lab_id: int) -> tuple[LocalCode, ...]:
    """Return a laboratory's table, in the order of its keys."""
    rows = await connection.fetch(ROWS, lab_id)
    return tuple(
        LocalCode(kind=CodeKind(row["kind"]), local=row["local"], local_system=row["local_system"],
                  code=row["code"], system=row["system"], text=row["text"])
        for row in rows
    )  # fmt: skip


async def change_rows(
    connection: Connection,
    registry_id: str,
    *,
    put: Iterable[LocalCode] = (),
    remove: Iterable[tuple[CodeKind, str, str]] = (),
    replace: bool = False,
    dry_run: bool = False,
    actor: str,
    reason: str,
) -> Change:
    """Change a laboratory's table, all or nothing.

    Args:
        connection: Outside any transaction.
        registry_id: Of the laboratory.
        put: Rows to add; one with a key that is there replaces it.
        remove: Keys (see `LocalCode.key`) to take away; one that is not there is no error.
        replace: Whether every row that `put` does not name goes.
        dry_run: Only say what would be done.
        actor: Who asks; audited.
        reason: Why; audited.

    Raises:
        PermanentError: No such laboratory, an unusable actor or reason, or a table too large.
    """
    check_audit(actor=actor, reason=reason)
    async with changing(connection):
        lab = await row_of(connection, LOCK, registry_id)
        held = {row.key: row for row in await read_rows(connection, lab["lab_id"])}
        wanted = {row.key: row for row in put}
        gone = {key for key in remove if key in held and key not in wanted}
        if replace:
            gone |= held.keys() - wanted.keys()
        fresh = [row for key, row in wanted.items() if key not in held]
        other = [row for key, row in wanted.items() if key in held and held[key] != row]
        if len(held) + len(fresh) - len(gone) > MAX_ROWS:
            raise PermanentError("table_too_large", f"a table has at most {MAX_ROWS} rows")
        version: int = lab["profile_version"]
        changes = bool(fresh or other or gone)
        if changes and not dry_run:
            await _write(connection, lab["lab_id"], [*fresh, *other], gone)
            version = await connection.fetchval(BUMP, lab["lab_id"])
            await connection.execute(RECHECK, lab["lab_id"])
            why = (
                f"{len(fresh)} added, {len(other)} changed, {len(gone)} removed:"
                f" profile version {version}" + (f": {reason}" if reason else "")
            )
            await audit(connection, actor, "lab_codes", lab["registry_id"], why)
    return Change(
        added=len(fresh),
        changed=len(other),
        removed=len(gone),
        unchanged=len(wanted) - len(fresh) - len(other),
        profile_version=version,
        written=changes and not dry_run,
    )


async def _write(
    connection: Connection,
    lab_id: int,
    rows: list[LocalCode],
    gone: set[tuple[CodeKind, str, str]],
) -> None:
    if gone:
        keys = sorted(gone)
        await connection.execute(
            REMOVE, lab_id, [k.value for k, _, _ in keys], [f for _, f, _ in keys],
            [g for _, _, g in keys],
        )  # fmt: skip
    if rows:
        await connection.execute(
            PUT,
            lab_id,
            [row.kind.value for row in rows],
            [fold_local(row.local) for row in rows],
            [fold_local(row.local_system) for row in rows],
            [row.local for row in rows],
            [row.local_system for row in rows],
            [row.code for row in rows],
            [row.system for row in rows],
            [row.text for row in rows],
        )


async def list_unmapped(connection: Connection, opener: Opener, lab_id: int) -> UnmappedList:
    """Return what no table knows as it stands today: what a row maps since is left out."""
    table = CodeTable(await read_rows(connection, lab_id))
    values: list[UnmappedValue] = []
    counts = {"withheld": 0, "beyond": 0, "unreadable": 0}
    for row in await connection.fetch(UNMAPPED, lab_id):
        if row["kind"] in counts:
            counts[row["kind"]] += row["n"]
            continue
        value = _open(opener, row["payload"], row["digest"].bytes)
        if value is None:
            counts["unreadable"] += row["n"]
        elif not _is_mapped(table, value):
            values.append(
                UnmappedValue(
                    kind=value.kind.value,
                    code=value.code,
                    text=value.text,
                    system=value.system,
                    n=row["n"],
                    first_seen_at=row["first_seen_at"],
                    last_seen_at=row["last_seen_at"],
                )
            )
    return UnmappedList(values=values, **counts)


async def forget_mapped(connection: Connection, opener: Opener, registry_id: str) -> int:
    """Drop the counts of what a laboratory's table knows by now, or what nobody can open any more.

    Makes room under the bound of values; call it after a change, in no transaction of its own.
    """
    lab_id = (await find_lab(connection, registry_id)).lab_id
    table = CodeTable(await read_rows(connection, lab_id))
    known = []
    for row in await connection.fetch(UNMAPPED, lab_id):
        if row["kind"] not in {"withheld", "beyond"}:
            value = _open(opener, row["payload"], row["digest"].bytes)
            if value is None or _is_mapped(table, value):
                known.append(row["digest"])
    if known:
        await connection.execute(FORGET, lab_id, known)
    return len(known)


def _open(opener: Opener, payload: bytes, associated: bytes) -> LocalValue | None:
    try:
        return msgspec.msgpack.decode(opener.open(payload, associated), type=LocalValue)
    except PermanentError:
        return None


def _is_mapped(table: CodeTable, value: LocalValue) -> bool:
    return table.of_coded(value.kind, Coded(value.code, value.text, value.system)) is not None
