"""Adding and changing laboratories, one or thousands: one way, one transaction, all or nothing.

The register is locked first, so what is compared is what stands; each laboratory that changes has
its own entry in the audit chain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Literal

import msgspec
from msgspec import UNSET

from ingest.lab import LabLimits
from ops.runtime.postgres import Connection
from schemas.errors import PermanentError

from .lab_rows import LIMITS, MAX_FACILITIES, Complaint, LabRow, checked
from .labs import LOCK_REGISTER, check_audit, no_such_laboratory, normalised

MAX_AUDIT_CHARACTERS: Final = 2_000
MAX_SHOWN: Final = 8
"""The most facilities that an audit entry names; the number of the others follows."""

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

Expect = Literal["new", "known", "any"]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What the register holds of a laboratory, as a change compares it."""

    lab_id: int
    registry_id: str
    name: str = ""
    state: str = "onboarding"
    profile: str = "fr"
    facilities: tuple[str, ...] = ()
    limits: LabLimits = LabLimits()


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of one laboratory; the differences hold no name and no subject."""

    registry_id: str
    what: Literal["added", "changed"]
    differences: list[str]


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
    async with connection.transaction():
        await connection.execute(LOCK_REGISTER)
        plan = _Plan(await _held(connection), await connection.fetch(RULES), rows, expect)
        if plan.steps and not plan.errors and not dry_run:
            await plan.write(connection)
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
    async with connection.transaction():
        await connection.execute(LOCK_REGISTER)
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


class _Plan:
    """What rows mean for a register, worked out in memory before anything is written."""

    def __init__(
        self, held: dict[str, Entry], rules: list[Any], rows: Sequence[LabRow], expect: Expect
    ) -> None:
        self.errors: list[Complaint] = []
        self.steps: list[Step] = []
        self._held = held
        self._rules = {rule["subject"]: rule["lab_id"] for rule in rules}
        self._new: list[Entry] = []
        self._changed: list[Entry] = []
        self._new_rules: dict[str, str] = {}
        after = dict(held)
        for row in rows:
            before = held.get(row.registry_id)
            if (before is None and expect == "known") or (before is not None and expect == "new"):
                text = "is not registered" if before is None else "is registered already"
                self._complain(row, "registry_id", f"{text}: `labdispatch labs list` shows all")
                continue
            after[row.registry_id] = self._compare(row, before)
        self._check_facilities(rows, after)

    def _compare(self, row: LabRow, before: Entry | None) -> Entry:
        base = before or Entry(lab_id=0, registry_id=row.registry_id, name=row.registry_id)
        said = {
            name: getattr(row, name)
            for name in ("name", "state", "profile", "facilities")
            if getattr(row, name) is not UNSET
        }
        limits = {name: getattr(row, name) for name in LIMITS if getattr(row, name) is not UNSET}
        after = msgspec.structs.replace(
            base, **said, limits=msgspec.structs.replace(base.limits, **limits)
        )
        differences = _differences(base, after)
        if row.subject is not UNSET and self._adds_rule(row, before):
            self._new_rules[row.subject] = row.registry_id
            differences.append("a subject rule added")
        if before is None:
            self._new.append(after)
            self.steps.append(_step(row, "added", differences))
        elif differences:
            self._changed.append(after)
            self.steps.append(_step(row, "changed", differences))
        return after

    def _adds_rule(self, row: LabRow, before: Entry | None) -> bool:
        assert isinstance(row.subject, str)
        owner = self._rules.get(row.subject)
        if owner is not None and before is not None and owner == before.lab_id:
            return False
        if owner is not None or row.subject in self._new_rules:
            self._complain(row, "subject", "is the rule of another laboratory: revoke it there")
            return False
        return True

    def _check_facilities(self, rows: Sequence[LabRow], after: dict[str, Entry]) -> None:
        owners: dict[str, str] = {}
        named = {row.registry_id for row in rows}
        # Those that are not changed keep what they have; of the others the first line gets it.
        for entry in sorted(after.values(), key=lambda entry: entry.registry_id in named):
            for name in entry.facilities:
                owners.setdefault(name, entry.registry_id)
        for row in rows:
            if row.registry_id not in after:
                continue
            entry = after[row.registry_id]
            if row.registry_id in owners:
                text = f"is a facility of {owners[row.registry_id]}: take it away there first"
                self._complain(row, "registry_id", text)
            for name in entry.facilities:
                if name in after:
                    self._complain(row, "facilities", f"{name} is a laboratory of its own")
                elif owners[name] != entry.registry_id:
                    text = f"{name} is a facility of {owners[name]}: take it away there first"
                    self._complain(row, "facilities", text)
            if len(entry.facilities) > MAX_FACILITIES:
                self._complain(row, "facilities", f"a laboratory has at most {MAX_FACILITIES}")

    async def write(self, connection: Connection) -> None:
        ids = {name: entry.lab_id for name, entry in self._held.items()}
        if self._new:
            made = await connection.fetch(
                INSERT, [each.registry_id for each in self._new], *_columns(self._new)
            )
            ids.update({row["registry_id"]: row["lab_id"] for row in made})
        if self._changed:
            await connection.execute(
                UPDATE, [each.lab_id for each in self._changed], *_columns(self._changed)
            )
        await self._write_facilities(connection, ids)
        if self._new_rules:
            owners = [ids[name] for name in self._new_rules.values()]
            await connection.execute(ADD_RULES, owners, list(self._new_rules))

    async def _write_facilities(self, connection: Connection, ids: dict[str, int]) -> None:
        gone: list[str] = []
        fresh: dict[str, int] = {}
        for entry in (*self._new, *self._changed):
            before = self._held.get(entry.registry_id)
            had = set(before.facilities) if before is not None else set()
            gone += sorted(had - set(entry.facilities))
            fresh.update(
                {name: ids[entry.registry_id] for name in entry.facilities if name not in had}
            )
        if gone:  # first: what one laboratory loses another may gain
            await connection.execute(DROP_FACILITIES, gone)
        if fresh:
            await connection.execute(ADD_FACILITIES, list(fresh), list(fresh.values()))

    def _complain(self, row: LabRow, column: str, text: str) -> None:
        self.errors.append(Complaint(line=row.line, column=column, text=text))


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


def _step(row: LabRow, what: Literal["added", "changed"], differences: list[str]) -> Step:
    return Step(registry_id=row.registry_id, what=what, differences=differences)


def _differences(before: Entry, after: Entry) -> list[str]:
    """Say in a few words what is different; of a name only that it is."""
    said = []
    if before.name != after.name:
        said.append("name")
    said += [
        f"{name} {getattr(before, name)} -> {getattr(after, name)}"
        for name in ("state", "profile")
        if getattr(before, name) != getattr(after, name)
    ]
    for words, names in (
        ("facilities added", sorted(set(after.facilities) - set(before.facilities))),
        ("facilities removed", sorted(set(before.facilities) - set(after.facilities))),
    ):
        if names:
            more = f" and {len(names) - MAX_SHOWN} more" if len(names) > MAX_SHOWN else ""
            said.append(f"{words}: {', '.join(names[:MAX_SHOWN])}{more}")
    said += [
        f"{name} {_limit(getattr(before.limits, name))} -> {_limit(getattr(after.limits, name))}"
        for name in LIMITS
        if getattr(before.limits, name) != getattr(after.limits, name)
    ]
    return said


def _limit(value: float | None) -> str:
    return "none" if value is None else f"{value:g}"
