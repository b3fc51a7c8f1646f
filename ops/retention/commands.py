"""`labdispatch retention`: what is kept until when, what would go, what went."""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import msgspec

from ops.asking import Asker
from ops.looking import instance_at
from ops.printing import print_json
from ops.register.labs import check_audit
from ops.runtime.postgres import lent
from schemas.errors import PermanentError

from . import queries
from .ages import Kind, oldest_days
from .certificate import ACTION, Certificate, digest_of, reason_of, subject_of
from .keeping import found_at, purger_of, scope_of
from .purge import Plan


class ClassStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How a class stands."""

    name: str
    days: int
    """Days it is kept."""
    kept_from: date
    """The first day that may be read."""
    oldest: date | None
    """The oldest day whose key is there; None where there is none, or it has none."""
    held_back: str


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """How retention stands."""

    all_gone_at: datetime
    """When all that was of age was last found gone."""
    due_keys: int
    due_partitions: int
    parked_soon: int
    """Parked messages that wait and whose content goes within a week."""
    classes: list[ClassStatus]


async def print_status(data_dir: Path, *, as_json: bool) -> int:
    """Print how each class stands; give 1 while something of age is there."""
    async with instance_at(data_dir) as hub, purger_of(hub) as purger:
        plan = await purger.plan()
        oldest = oldest_days(hub.vault.day_keys())
        ages = scope_of(hub).ages
        async with lent(hub.pool) as connection:
            parked = await connection.fetchval(
                queries.PARKED_BEFORE, _in_a_week(plan.kept_from[Kind.INTAKE])
            )
        status = Status(
            all_gone_at=await found_at(hub.pool),
            due_keys=len(plan.keys),
            due_partitions=len(plan.parts),
            parked_soon=parked,
            classes=[
                ClassStatus(
                    name=kind.value,
                    days=ages.of(kind),
                    kept_from=plan.kept_from[kind],
                    oldest=oldest.get(kind),
                    held_back=plan.held_back.get(kind, ""),
                )
                for kind in Kind
            ],
        )
    if as_json:
        print_json(status)
    else:
        sys.stdout.write(_status_text(status))
    return 0 if plan.is_empty else 1


async def print_plan(data_dir: Path, *, as_json: bool) -> int:
    """Print what a purge would do now, and do nothing."""
    async with instance_at(data_dir) as hub, purger_of(hub) as purger:
        plan = await purger.plan()
    if as_json:
        print_json(_plan_as_told(plan))
    else:
        sys.stdout.write(_plan_text(plan))
    return 0


async def run_purge(
    data_dir: Path, asker: Asker, *, days_at_once: int | None, as_json: bool
) -> int:
    """Purge what is of age, and print the certificates."""
    check_audit(actor=asker.actor, reason=asker.reason)
    if not asker.reason:
        raise PermanentError("why_missing", "say why with --reason: it stands in the certificate")
    async with instance_at(data_dir) as hub, purger_of(hub) as purger:
        done = await purger.purge(asker, days_at_once=days_at_once)
    if as_json:
        print_json(done)
    else:
        sys.stdout.write("".join(_certificate_text(each) for each in done) or "nothing is of age\n")
    return 0


async def print_certificates(data_dir: Path, limit: int, *, as_json: bool) -> int:
    """List purges, the newest first."""
    async with instance_at(data_dir) as hub, lent(hub.pool) as connection:
        rows = [dict(row) for row in await connection.fetch(queries.CERTIFICATES, limit)]
    if as_json:
        print_json(rows)
        return 0
    for row in rows:
        ended = "not ended" if row["ended_at"] is None else f"{row['ended_at']:%Y-%m-%d %H:%M}"
        sys.stdout.write(
            f"{row['purge_id']:>6}  {ended:<16}  {row['keys']:>3} keys  {row['parts']:>3} parts"
            f"  {row['rows']:>12,} rows  audit {row['audit_id'] or '-'}  {row['actor']}\n"
        )
    return 0


async def print_certificate(data_dir: Path, purge_id: int) -> int:
    """Print one certificate as it was hashed; give 1 where it is not what the chain says."""
    async with instance_at(data_dir) as hub, lent(hub.pool) as connection:
        row = await connection.fetchrow(queries.CERTIFICATE, purge_id)
    if row is None or row["certificate"] is None:
        raise PermanentError("not_found", "no purge of this number has ended")
    sys.stdout.write(row["certificate"] + "\n")
    fits = is_proved(purge_id, row)
    sys.stderr.write(
        f"sha256 {digest_of(row['certificate']).hex()}:"
        f" {'as' if fits else 'NOT as'} the audit chain says\n"
    )
    return 0 if fits else 1


def is_proved(purge_id: int, row: Any) -> bool:
    """Say whether a certificate is the one whose digest stands in the audit chain."""
    digest = digest_of(row["certificate"])
    said = row["action"], row["subject"], row["reason"]
    return digest == row["digest"] and said == (ACTION, subject_of(purge_id), reason_of(digest))


def _in_a_week(day: date) -> datetime:
    return datetime.combine(day + timedelta(days=7), time(), UTC)


def _plan_as_told(plan: Plan) -> dict[str, Any]:
    return {
        "today": plan.today,
        "kept_from": {kind.value: day for kind, day in plan.kept_from.items()},
        "held_back": {kind.value: why for kind, why in plan.held_back.items()},
        "keys": [key.name for key in plan.keys],
        "partitions": plan.parts,
    }


def _plan_text(plan: Plan) -> str:
    lines = [f"key of {key.name}" for key in plan.keys]
    for part in plan.parts:
        kept = f", {part.kept:,} rows that are not of age stay" if part.kept else ""
        lines.append(f"partition {part.part}: {part.rows:,} rows{kept}")
    lines += [f"held back: {kind.value}: {why}" for kind, why in plan.held_back.items()]
    return "\n".join(lines or ["nothing is of age"]) + "\n"


def _status_text(status: Status) -> str:
    lines = [
        f"{each.name:<14} {each.days:>5} days, from {each.kept_from}"
        + (f", oldest key {each.oldest}" if each.oldest else "")
        + (f"  HELD BACK: {each.held_back}" if each.held_back else "")
        for each in status.classes
    ]
    lines.append(
        f"of age and there: {status.due_keys} keys, {status.due_partitions} partitions;"
        f" all was gone at {status.all_gone_at:%Y-%m-%d %H:%M} UTC"
    )
    if status.parked_soon:
        lines.append(f"{status.parked_soon} parked messages lose their content within a week")
    return "\n".join(lines) + "\n"


def _certificate_text(certificate: Certificate) -> str:
    rows = sum(part.rows for part in certificate.partitions)
    return (
        f"purge {certificate.purge_id}: {len(certificate.keys_destroyed)} keys,"
        f" {len(certificate.partitions)} partitions, {rows:,} rows\n"
    )
