"""`labdispatch labs add`, `import`, `certificate`, `token` and so on: what they print."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from ops.asking import Asker
from ops.looking import instance_at
from ops.printing import print_json, table_of
from ops.runtime.certificates import read_certificate
from ops.runtime.postgres import Connection, translated
from schemas.errors import PermanentError

from . import credentials, labs
from .lab_changes import RegisterChange, change_facilities, change_lab, change_labs, limits_row
from .lab_rows import LIMITS, Complaint, LabRow, checked, doubts_about, normalised, read_csv

_SOON: Final = "running doors take it within 5 s"
_SHOWN: Final = 50
"""The most laboratories of an import that are named on a terminal; JSON names all."""


async def add_lab(data_dir: Path, row: LabRow, asker: Asker, *, as_json: bool) -> None:
    """Add one laboratory and say what it is now."""
    await _one(data_dir, row, asker, expect_new=True, as_json=as_json)


async def set_quota(
    data_dir: Path,
    registry_id: str,
    limits: dict[str, float | None],
    asker: Asker,
    *,
    as_json: bool,
) -> None:
    """Set some limits of a laboratory; with none given, show them."""
    if limits:
        row = limits_row(registry_id, **limits)
        await _one(data_dir, row, asker, expect_new=False, as_json=as_json)
        return
    async with instance_at(data_dir) as hub, hub.pool.acquire() as connection:
        with translated():
            lab = await labs.find_lab(connection, registry_id)
    if as_json:
        print_json({"laboratory": lab.registry_id, "limits": lab.limits})
    else:
        for name in LIMITS:
            value = getattr(lab.limits, name)
            shown = "none" if value is None else f"{value:,g}"
            sys.stdout.write(f"{name.replace('_', ' '):<16} {shown}\n")


async def resume_lab(data_dir: Path, registry_id: str, asker: Asker, *, as_json: bool) -> None:
    """Give a suspended laboratory the state it had before, and say which."""
    async with instance_at(data_dir) as hub, hub.pool.acquire() as connection:
        with translated():
            before, now = await labs.set_state(
                connection, registry_id, None, actor=asker.actor, reason=asker.reason
            )
    name = normalised(registry_id)
    if as_json:
        print_json({"laboratory": name, "before": before, "state": now})
    elif before == now:
        sys.stdout.write(f"{name} is not suspended: it is {now}\n")
    else:
        sys.stdout.write(f"{name}: {before} -> {now}; {_SOON}\n")


async def import_labs(
    data_dir: Path, file: Path, content: bytes, asker: Asker, *, dry_run: bool, as_json: bool
) -> int:
    """Import a file, all or nothing; give 1 when it has an error."""
    found = read_csv(content)
    errors = list(found.errors)
    change: RegisterChange | None = None
    if not errors:
        why = asker.reason or f"import {file.name}"[: labs.MAX_AUDIT_CHARACTERS]
        async with instance_at(data_dir) as hub, hub.pool.acquire() as connection:
            with translated():
                change = await change_labs(
                    connection, found.rows, dry_run=dry_run, actor=asker.actor, reason=why
                )
        errors = change.errors
    if as_json:
        print_json({"dry_run": dry_run, "errors": errors, "warnings": found.warnings,
                     "change": change})  # fmt: skip
        return 1 if errors else 0
    _complain(file, "error", errors)
    _complain(file, "note", found.warnings)
    if change is None or errors:
        sys.stderr.write(f"{len(errors)} errors: nothing was written\n")
        return 1
    for step in change.steps[:_SHOWN]:
        sys.stdout.write(f"{step.what:<8} {step.registry_id}: {', '.join(step.differences)}\n")
    if len(change.steps) > _SHOWN:
        sys.stdout.write(f"... and {len(change.steps) - _SHOWN:,} more (--json names all)\n")
    sys.stdout.write(_counted(change))
    if dry_run:
        sys.stdout.write("dry run: nothing was written\n")
    return 0


async def edit_facilities(
    data_dir: Path,
    registry_id: str,
    change: Callable[[frozenset[str]], Iterable[str]] | None,
    asker: Asker,
    *,
    as_json: bool,
) -> None:
    """Change the facilities a laboratory may speak for, or only list them."""
    async with instance_at(data_dir) as hub, hub.pool.acquire() as connection:
        with translated():
            done = None
            if change is not None:
                done = await change_facilities(
                    connection, registry_id, change, actor=asker.actor, reason=asker.reason
                )
            lab = await labs.find_lab(connection, registry_id)
    if as_json:
        print_json({"laboratory": lab.registry_id, "facilities": lab.facilities,
                     "written": done is not None and done.written})  # fmt: skip
        return
    for doubt in doubts_about(LabRow(registry_id="-", facilities=tuple(lab.facilities))):
        sys.stderr.write(f"note: a facility {doubt.text}\n")
    for name in (lab.registry_id, *lab.facilities):
        sys.stdout.write(f"{name}\n")
    if done is not None:
        sys.stdout.write(f"{_SOON}\n" if done.written else "nothing has changed\n")


# -------------------------------------------------------------------------------- certificates


async def add_certificate(
    data_dir: Path, registry_id: str, content: bytes | None, subject: str, asker: Asker, *,
    as_json: bool,
) -> None:  # fmt: skip
    """Let a certificate, or without `content` whatever has the subject, stand for one."""
    given = read_certificate(content) if content is not None else subject.strip()
    async with instance_at(data_dir) as hub, hub.pool.acquire() as connection:
        with translated():
            entry, new = await credentials.add_certificate(
                connection, registry_id, given, now=hub.clock.now(), actor=asker.actor,
                reason=asker.reason,
            )  # fmt: skip
    _said(registry_id, entry, f"certificate {entry.certificate_id}",
          "added" if new else "was there already", as_json=as_json)  # fmt: skip


async def print_certificates(data_dir: Path, registry_id: str, *, as_json: bool) -> None:
    """Print a laboratory's certificates and subject rules."""
    async with instance_at(data_dir) as hub, hub.pool.acquire() as connection:
        with translated():
            found = await credentials.list_certificates(connection, registry_id)
    if as_json:
        print_json({"laboratory": normalised(registry_id), "certificates": found})
        return
    now = datetime.now(UTC)
    head = ("number", "counts", "until", "fingerprint", "subject")
    rows = [
        (str(each.certificate_id), _counts(each, now),
         f"{each.not_after:%Y-%m-%d}" if each.not_after else "",
         each.fingerprint or "(any: a rule)", each.subject)
        for each in found
    ]  # fmt: skip
    sys.stdout.write(table_of(head, rows) if rows else "no certificate\n")


async def revoke_certificate(
    data_dir: Path, registry_id: str, which: str, asker: Asker, *, as_json: bool
) -> None:
    """Let a certificate or rule count no more."""
    async with instance_at(data_dir) as hub, hub.pool.acquire() as connection:
        with translated():
            entry, new = await credentials.revoke_certificate(
                connection, registry_id, which, actor=asker.actor, reason=asker.reason
            )
    _said(registry_id, entry, f"certificate {entry.certificate_id}",
          "revoked" if new else "was revoked already", as_json=as_json)  # fmt: skip


# -------------------------------------------------------------------------------- tokens


async def new_token(
    data_dir: Path, registry_id: str, name: str, asker: Asker, *, as_json: bool
) -> None:
    """Make a token and print it, this once."""
    async with instance_at(data_dir) as hub, hub.pool.acquire() as connection:
        with translated():
            made = await credentials.new_token(
                connection, registry_id, name, actor=asker.actor, reason=asker.reason
            )
    if as_json:
        print_json({"laboratory": normalised(registry_id), **msgspec.structs.asdict(made)})
        return
    sys.stderr.write(f"token {made.token_id} of {normalised(registry_id)}, shown this once:\n")
    sys.stdout.write(f"{made.token}\n")


async def print_tokens(data_dir: Path, registry_id: str, *, as_json: bool) -> None:
    """Print a laboratory's tokens, each by its last four characters."""
    async with instance_at(data_dir) as hub, hub.pool.acquire() as connection:
        with translated():
            found = await credentials.list_tokens(connection, registry_id)
    if as_json:
        print_json({"laboratory": normalised(registry_id), "tokens": found})
        return
    head = ("number", "name", "ends in", "added", "revoked")
    rows = [
        (str(each.token_id), each.name, each.last4, f"{each.added_at:%Y-%m-%d %H:%M}",
         f"{each.revoked_at:%Y-%m-%d %H:%M}" if each.revoked_at else "")
        for each in found
    ]  # fmt: skip
    sys.stdout.write(table_of(head, rows) if rows else "no token\n")


async def revoke_token(
    data_dir: Path, registry_id: str, token_id: int, asker: Asker, *, as_json: bool
) -> None:
    """Let a token count no more."""
    async with instance_at(data_dir) as hub, hub.pool.acquire() as connection:
        with translated():
            entry, new = await credentials.revoke_token(
                connection, registry_id, token_id, actor=asker.actor, reason=asker.reason
            )
    _said(registry_id, entry, f"token {token_id}", "revoked" if new else "was revoked already",
          as_json=as_json)  # fmt: skip


# -------------------------------------------------------------------------------- parts


async def _one(
    data_dir: Path, row: LabRow, asker: Asker, *, expect_new: bool, as_json: bool
) -> None:
    row = checked(row)
    async with instance_at(data_dir) as hub, hub.pool.acquire() as connection:
        with translated():
            change, lab = await _changed(connection, row, asker, expect_new=expect_new)
    if as_json:
        print_json({**msgspec.structs.asdict(lab), "written": change.written})
        return
    for doubt in doubts_about(row):
        sys.stderr.write(f"note: {doubt.column} {doubt.text}\n")
    for step in change.steps:
        sys.stdout.write(
            f"{step.registry_id}: {step.what}; {', '.join(step.differences)}; {_SOON}\n"
        )
    if not change.steps:
        sys.stdout.write(f"{lab.registry_id}: nothing has changed\n")


async def _changed(
    connection: Connection, row: LabRow, asker: Asker, *, expect_new: bool
) -> tuple[RegisterChange, labs.Laboratory]:
    change = await change_lab(
        connection, row, expect="new" if expect_new else "known", actor=asker.actor,
        reason=asker.reason,
    )  # fmt: skip
    return change, await labs.find_lab(connection, row.registry_id)


def limits_of(given: dict[str, str | None]) -> dict[str, float | None]:
    """Return limits as they were typed: a number, or `none`; what was not typed is left out.

    Raises:
        PermanentError: Something else (`bad_laboratory`).
    """
    found: dict[str, float | None] = {}
    for name, text in given.items():
        if text is None:
            continue
        if text.lower() == "none":
            found[name] = None
            continue
        try:
            found[name] = float(text) if name == "rate_per_second" else int(text)
        except ValueError:
            raise PermanentError("bad_laboratory", f"{name} must be a number, or none") from None
    return found


def _counts(each: credentials.CertificateEntry, now: datetime) -> str:
    if each.revoked_at is not None:
        return "revoked"
    if each.not_after is not None and each.not_after < now:
        return "expired"
    return "later" if each.not_before is not None and each.not_before > now else "yes"


def _said(registry_id: str, entry: msgspec.Struct, what: str, done: str, *, as_json: bool) -> None:
    name = normalised(registry_id)
    if as_json:
        print_json({"laboratory": name, "done": done, **msgspec.structs.asdict(entry)})
    else:
        sys.stdout.write(f"{name}: {what} {done}; {_SOON}\n")


def _counted(change: RegisterChange) -> str:
    soon = f"; {_SOON}" if change.written else ""
    counts = f"{change.added:,} added, {change.changed:,} changed, {change.unchanged:,} unchanged"
    return f"{counts}{soon}\n"


def _complain(file: Path, kind: str, complaints: Iterable[Complaint]) -> None:
    for each in complaints:
        column = f"{each.column} " if each.column else ""
        sys.stderr.write(f"{file}:{each.line}: {kind}: {column}{each.text}\n")
