"""`labdispatch labs ...` and `labdispatch conformance`: what they print."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Final

import msgspec

from ingest.codes import CodeKind, LocalCode, fold_local
from ops.asking import Asker
from ops.looking import instance_at
from ops.printing import print_json, table_of
from ops.runtime.postgres import Connection, translated
from schemas.errors import HubError, PermanentError

from . import codes, labs
from .code_rows import Complaint, doubt_about, read_csv, row_of, write_csv
from .codes import Change
from .conformance import as_text, report_conformance

_SOON: Final = "running doors take it within 5 s"


async def print_labs(data_dir: Path, *, as_json: bool) -> None:
    """Print the register."""
    async with instance_at(data_dir) as hub, hub.pool.acquire() as connection:
        with translated():
            found = await labs.list_labs(connection)
    if as_json:
        print_json(found)
    elif not found:
        sys.stdout.write(
            "no laboratory is registered yet: in realm test on loopback the first message does it\n"
        )
    else:
        head = ("laboratory", "state", "profile", "version", "codes", "registered")
        rows = [
            (each.registry_id, each.state, each.profile, each.profile_version, each.codes,
             f"{each.registered_at:%Y-%m-%d %H:%M}")
            for each in found
        ]  # fmt: skip
        sys.stdout.write(table_of(head, rows))


async def print_lab(data_dir: Path, registry_id: str, *, as_json: bool) -> None:
    """Print one laboratory and the software it sends with."""
    async with instance_at(data_dir) as hub, hub.pool.acquire() as connection:
        with translated():
            lab = await labs.find_lab(connection, registry_id)
            software = await labs.software_of(connection, lab.lab_id)
    if as_json:
        print_json({**msgspec.structs.asdict(lab), "software": software})
        return
    for name in ("registry_id", "name", "state", "profile", "profile_version", "codes",
                 "wants_no_answer", "certificates", "tokens"):  # fmt: skip
        sys.stdout.write(f"{name.replace('_', ' '):<16} {getattr(lab, name)}\n")
    for facility in lab.facilities:
        sys.stdout.write(f"{'speaks for':<16} {facility}\n")
    for name, value in msgspec.structs.asdict(lab.limits).items():
        if value is not None:
            sys.stdout.write(f"{name.replace('_', ' '):<16} {value:,g}\n")
    sys.stdout.write(f"{'registered at':<16} {lab.registered_at:%Y-%m-%d %H:%M:%S} UTC\n")
    for one in software:
        names = " / ".join(filter(None, (one.application, one.vendor, one.product, one.version)))
        sys.stdout.write(f"{'software':<16} {names or '(no name)'}: {one.messages:,} messages\n")


async def set_state(
    data_dir: Path, registry_id: str, state: str, asker: Asker, *, as_json: bool
) -> None:
    """Put a laboratory into a state and say what changed."""
    async with instance_at(data_dir) as hub, hub.pool.acquire() as connection:
        with translated():
            before, now = await labs.set_state(
                connection, registry_id, state, actor=asker.actor, reason=asker.reason
            )
    name = labs.normalised(registry_id)
    if as_json:
        print_json({"laboratory": name, "before": before, "state": now})
    elif before == now:
        sys.stdout.write(f"{name} is {now} already\n")
    else:
        sys.stdout.write(f"{name}: {before} -> {now}; {_SOON}\n")


# -------------------------------------------------------------------------------- codes


async def print_codes(data_dir: Path, registry_id: str, *, as_json: bool) -> None:
    """Print a laboratory's mapping table."""
    async with instance_at(data_dir) as hub, hub.pool.acquire() as connection:
        with translated():
            lab = await labs.find_lab(connection, registry_id)
            rows = await codes.read_rows(connection, lab.lab_id)
    if as_json:
        print_json({"laboratory": lab.registry_id, "profile_version": lab.profile_version,
                     "codes": rows})  # fmt: skip
        return
    sys.stdout.write(f"{lab.registry_id}: profile version {lab.profile_version}\n")
    if rows:
        head = ("kind", "local", "local system", "code", "system", "text")
        shown = [
            (r.kind.value, r.local, r.local_system or "(any)", r.code, r.system, r.text)
            for r in rows
        ]
        sys.stdout.write(table_of(head, shown))
    else:
        sys.stdout.write("no local code is mapped; our own table of result words always counts\n")


async def add_code(
    data_dir: Path, registry_id: str, given: tuple[str, str, str, str, str, str], asker: Asker
) -> None:
    """Add one row, or replace the one with the same local code."""
    row = row_of(*given)
    async with instance_at(data_dir) as hub, hub.pool.acquire() as connection:
        change = await _change(connection, registry_id, hub.vault, asker=asker, put=[row])
    doubt = doubt_about(row)
    if doubt:
        sys.stderr.write(f"note: {doubt}\n")
    sys.stdout.write(_said(registry_id, change))


async def remove_code(
    data_dir: Path, registry_id: str, given: tuple[str, str, str], asker: Asker
) -> None:
    """Take one row away.

    Raises:
        PermanentError: There is no such row (`no_such_code`).
    """
    kind, local, local_system = given
    key = (CodeKind(kind), fold_local(local), fold_local(local_system))
    async with instance_at(data_dir) as hub, hub.pool.acquire() as connection:
        change = await _change(connection, registry_id, hub.vault, asker=asker, remove=[key])
    if not change.removed:
        raise PermanentError(
            "no_such_code",
            "no row has this kind, local code and --local-system:"
            " `labdispatch labs codes LAB list` shows them",
        )
    sys.stdout.write(_said(registry_id, change))


async def import_codes(
    data_dir: Path,
    registry_id: str,
    file: Path,
    content: bytes,
    asker: Asker,
    *,
    replace: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Import a CSV, all or nothing; give 1 when it has an error."""
    found = read_csv(content)
    change: Change | None = None
    if not found.errors:
        why = asker.reason or f"import {file.name}"[: labs.MAX_AUDIT_CHARACTERS]
        async with instance_at(data_dir) as hub, hub.pool.acquire() as connection:
            change = await _change(
                connection,
                registry_id,
                hub.vault,
                asker=Asker(actor=asker.actor, reason=why),
                put=found.rows,
                replace=replace,
                dry_run=dry_run,
            )
    if as_json:
        print_json({"dry_run": dry_run, "errors": found.errors, "warnings": found.warnings,
                     "change": change})  # fmt: skip
        return 1 if found.errors else 0
    for kind, complaints in (("error", found.errors), ("note", found.warnings)):
        for each in complaints:
            sys.stderr.write(_complaint(file, kind, each))
    if change is None:
        sys.stderr.write(f"{len(found.errors)} errors: nothing was written\n")
        return 1
    sys.stdout.write(_said(registry_id, change))
    if dry_run:
        sys.stdout.write("dry run: nothing was written\n")
    return 0


async def export_codes(data_dir: Path, registry_id: str) -> None:
    """Print a laboratory's table as the CSV that `import` takes."""
    async with instance_at(data_dir) as hub, hub.pool.acquire() as connection:
        with translated():
            lab = await labs.find_lab(connection, registry_id)
            rows = await codes.read_rows(connection, lab.lab_id)
    sys.stdout.write(write_csv(rows))


async def print_unmapped(data_dir: Path, registry_id: str, *, as_json: bool) -> None:
    """Print what no table knows, the most frequent first."""
    async with instance_at(data_dir) as hub, hub.pool.acquire() as connection:
        with translated():
            lab = await labs.find_lab(connection, registry_id)
            found = await codes.list_unmapped(connection, hub.vault, lab.lab_id)
    if as_json:
        print_json({"laboratory": lab.registry_id, **msgspec.structs.asdict(found)})
        return
    if found.values:
        head = ("times", "kind", "code", "text", "system", "first seen", "last seen")
        rows = [
            (v.n, v.kind, v.code, v.text, v.system, f"{v.first_seen_at:%Y-%m-%d %H:%M}",
             f"{v.last_seen_at:%Y-%m-%d %H:%M}")
            for v in found.values
        ]  # fmt: skip
        sys.stdout.write(table_of(head, rows))
    else:
        sys.stdout.write("every value is known\n")
    for n, why in (
        (
            found.withheld,
            "not shown, for it could be personal data (docs/runbooks/unmapped-values.md)",
        ),
        (found.beyond, "beyond the bound of values: map those above first"),
        (found.unreadable, "no longer readable: the key of their day was destroyed"),
    ):
        if n:
            sys.stdout.write(f"{n:,} times a value is {why}\n")


# -------------------------------------------------------------------------------- conformance


async def print_conformance(
    data_dir: Path, registry_id: str | None, *, vendor: str, since: date | None, as_json: bool
) -> None:
    """Print the conformance report."""
    async with instance_at(data_dir) as hub, hub.pool.acquire() as connection:
        with translated():
            report = await report_conformance(
                connection,
                registry_id=registry_id,
                vendor=vendor,
                since=since,
                today=hub.clock.now().date(),
            )
    if as_json:
        print_json(report)
    else:
        sys.stdout.write(as_text(report))


# -------------------------------------------------------------------------------- parts


async def _change(
    connection: Connection,
    registry_id: str,
    opener: codes.Opener,
    *,
    asker: Asker,
    put: Sequence[LocalCode] = (),
    remove: Sequence[tuple[CodeKind, str, str]] = (),
    replace: bool = False,
    dry_run: bool = False,
) -> Change:
    with translated():
        change = await codes.change_rows(
            connection,
            registry_id,
            put=put,
            remove=remove,
            replace=replace,
            dry_run=dry_run,
            actor=asker.actor,
            reason=asker.reason,
        )
    if change.written:
        # The change stands whatever comes; counts that stay are not shown, and go with the next.
        with suppress(HubError), translated():
            await codes.forget_mapped(connection, opener, registry_id)
    return change


def _said(registry_id: str, change: Change) -> str:
    soon = f"; {_SOON}" if change.written else ""
    return (
        f"{labs.normalised(registry_id)}: {change.added} added, {change.changed} changed,"
        f" {change.removed} removed, {change.unchanged} unchanged;"
        f" profile version {change.profile_version}{soon}\n"
    )


def _complaint(file: Path, kind: str, each: Complaint) -> str:
    return f"{file}:{each.line}: {kind}: {each.text}\n"
