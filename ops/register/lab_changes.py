"""Adding and changing laboratories, one or thousands: one way, one transaction, all or nothing.

The register is locked first, so what is compared is what stands; each laboratory that changes has
its own entry in the audit chain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec

from ingest.lab import LabLimits
from ops.runtime.postgres import Connection
from schemas.errors import PermanentError

from .lab_plan import Entry, Expect, Plan, Step
from .lab_rows import LIMITS, Complaint, LabRow, checked
from .labs import changing, check_audit, no_such_laboratory, normalised

MAX_AUDIT_CHARACTERS: Final = 2_000

HELD: Final = """
SELECT l.lab_id, l.registry_id, l.name, l.state, l.profile, l.rate_per_second, l.burst,
       l.daily_quota, l.max_connections,
       ARRAY(SELECT f.registry_id FROM lab_facility f WHERE f.lab_id = l.lab_id ORDER BY 1)
           AS facilities
FROM lab l
"""
RULES: Final = """
SELECT lab_id, subject FROM lab_certificate WHERE fingerprint IS NULL AND revoked_at IS NULL
"""
INSERT: Final = """
INSERT INTO lab (registry_id, name, state, profile, rate_per_second, burst, daily_quota,
                 max_connections)
SELECT r.i, r.n, r.s, r.p, r.r, r.b, r.q, r.c
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::double precision[], $6::integer[],
            $7::bigint[], $8::integer[]) AS r (i, n, s, p, r, b, q, c)
RETURNING lab_id, registry_id
"""
# A verdict is a function of the bytes and the version of the profile: another profile is another
# version. What is suspended goes back to what it was.
UPDATE: Final = """
UPDATE lab AS held
SET name = r.n, state = r.s, profile = r.p, rate_per_second = r.r, burst = r.b, daily_quota = r.q,
    max_connections = r.c,
    profile_version = held.profile_version + CASE WHEN held.profile = r.p THEN 0 ELSE 1 END,
    resumes_as = CASE WHEN r.s = 'suspended' AND held.state <> 'suspended' THEN held.state
                      ELSE held.resumes_as END
FROM unnest($1::integer[], $2::text[], $3::text[], $4::text[], $5::double precision[],
            $6::integer[], $7::bigint[], $8::integer[]) AS r (i, n, s, p, r, b, q, c)
WHERE held.lab_id = r.i
"""
DROP_FACILITIES: Final = "DELETE FROM lab_facility WHERE registry_id = ANY ($1::text[])"
ADD_FACILITIES: Final = """
INSERT INTO lab_facility (registry_id, lab_id)
SELECT r.f, r.i FROM unnest($1::text[], $2::integer[]) AS r (f, i)
"""
ADD_RULES: Final = """
INSERT INTO lab_certificate (lab_id, subject)
SELECT r.i, r.s FROM unnest($1::integer[], $2::text[]) AS r (i, s)
"""
AUDIT_EACH: Final = """
SELECT count(audit_append($1, $2, a.subject, a.reason))
FROM (SELECT 'laboratory ' || r.l AS subject, r.w AS reason
      FROM unnest($3::text[], $4::text[]) WITH ORDINALITY AS r (l, w, n) ORDER BY r.n) AS a
"""


class RegisterChange(msgspec.Struct, frozen=True, kw_only=True):
    """What a change does, or would do where it has errors or is a dry run."""

    added: int
    changed: int
    unchanged: int
    written: bool
    errors: list[Complaint]
    steps: list[Step]


async def change_labs(
    connection: Connection,
    rows: Sequence[LabRow],
    *,
    expect: Expect = "any",
    dry_run: bool = False,
    actor: str,
    reason: str,
) -> RegisterChange:
    """Bring laboratories to what the rows say, all or nothing; doing it twice changes nothing.

    Args:
        connection: Outside any transaction.
        rows: Tidy and without faults, each laboratory once.
        expect: Whether each must be new, or known, or may be either.
        dry_run: Only say what would be done.
        actor: Who asks; audited.
        reason: Why; audited.

    Raises:
        PermanentError: An unusable actor or reason.
    """
    check_audit(actor=actor, reason=reason)
    async with changing(connection):
        held = await _held(connection)
        rules = {row["subject"]: row["lab_id"] for row in await connection.fetch(RULES)}
        plan = Plan(held, rules, rows, expect)
        if plan.steps and not plan.errors and not dry_run:
            await _write(connection, plan, held)
            whys = [
                "; ".join([step.what, *filter(None, [reason]), *step.differences])[
                    :MAX_AUDIT_CHARACTERS
                ]
                for step in plan.steps
            ]
            names = [step.registry_id for step in plan.steps]
            await connection.fetchval(AUDIT_EACH, actor, "lab_entry", names, whys)
            written = True
        else:
            written = False
    added = sum(step.what == "added" for step in plan.steps)
    return RegisterChange(
        added=added,
        changed=len(plan.steps) - added,
        unchanged=len(rows) - len(plan.steps),
        written=written,
        errors=plan.errors,
        steps=plan.steps,
    )


async def change_lab(
    connection: Connection,
    row: LabRow,
    *,
    expect: Expect,
    actor: str,
    reason: str,
) -> RegisterChange:
    """Bring one laboratory to what a row says.

    Raises:
        PermanentError: A part that cannot be taken, no such laboratory, or one that is there.
    """
    row = checked(row)
    change = await change_labs(connection, [row], expect=expect, actor=actor, reason=reason)
    for error in change.errors:
        if error.column == "registry_id" and expect == "known":
            raise await no_such_laboratory(connection, row.registry_id)
        raise PermanentError("register_conflict", f"{error.column} {error.text}")
    return change


async def change_facilities(
    connection: Connection,
    registry_id: str,
    change: Callable[[frozenset[str]], Iterable[str]],
    *,
    actor: str,
    reason: str,
) -> RegisterChange:
    """Change the facilities of one laboratory from what they are at this moment.

    Raises:
        PermanentError: No such laboratory, or a facility that cannot be its own.
    """
    async with changing(connection):
        name = normalised(registry_id)
        row = await connection.fetchrow(HELD + " WHERE l.registry_id = $1", name)
        if row is None:
            raise await no_such_laboratory(connection, registry_id)
        wanted = LabRow(registry_id=name, facilities=tuple(change(frozenset(row["facilities"]))))
        return await change_lab(connection, wanted, expect="known", actor=actor, reason=reason)


def limits_row(registry_id: str, **limits: float | None) -> LabRow:
    """Return a row that sets some limits and leaves the others."""
    return msgspec.convert({"registry_id": registry_id, **limits}, LabRow, strict=False)


# -------------------------------------------------------------------------------- inside


async def _write(connection: Connection, plan: Plan, held: dict[str, Entry]) -> None:
    ids = {name: entry.lab_id for name, entry in held.items()}
    if plan.new:
        made = await connection.fetch(
            INSERT, [each.registry_id for each in plan.new], *_columns(plan.new)
        )
        ids.update({row["registry_id"]: row["lab_id"] for row in made})
    if plan.changed:
        await connection.execute(
            UPDATE, [each.lab_id for each in plan.changed], *_columns(plan.changed)
        )
    gone, fresh = plan.facility_moves()
    if gone:  # first: what one laboratory loses another may gain
        await connection.execute(DROP_FACILITIES, gone)
    if fresh:
        await connection.execute(ADD_FACILITIES, list(fresh), [ids[n] for n in fresh.values()])
    if plan.new_rules:
        owners = [ids[name] for name in plan.new_rules.values()]
        await connection.execute(ADD_RULES, owners, list(plan.new_rules))


async def _held(connection: Connection) -> dict[str, Entry]:
    return {
        row["registry_id"]: Entry(
            lab_id=row["lab_id"],
            registry_id=row["registry_id"],
            name=row["name"],
            state=row["state"],
            profile=row["profile"],
            facilities=tuple(row["facilities"]),
            limits=LabLimits(**{name: row[name] for name in LIMITS}),
        )
        for row in await connection.fetch(HELD)
    }


def _columns(entries: Sequence[Entry]) -> list[list[Any]]:
    return [
        [each.name for each in entries],
        [each.state for each in entries],
        [each.profile for each in entries],
        *([getattr(each.limits, name) for each in entries] for name in LIMITS),
    ]
