"""What rows mean for a register, worked out in memory before anything is written. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, Literal

import msgspec
from msgspec import UNSET

from ingest.lab import LabLimits

from .lab_rows import LIMITS, MAX_FACILITIES, Complaint, LabRow

MAX_RULES: Final = 20
"""Subject rules of one laboratory that count at once."""
MAX_SHOWN: Final = 8
"""The most facilities that a difference names; the number of the others follows."""

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


class Plan:
    """What rows mean for a register: steps, or errors; never both are written.

    Args:
        held: The register as it stands, by registry id.
        rules: Subject rules that count -> number of their laboratory.
        rows: Tidy and without faults, each laboratory once.
        expect: Whether each must be new, or known, or may be either.
    """

    def __init__(
        self,
        held: Mapping[str, Entry],
        rules: Mapping[str, int],
        rows: Sequence[LabRow],
        expect: Expect,
    ) -> None:
        self.errors: list[Complaint] = []
        self.steps: list[Step] = []
        self._held = held
        self._rules = rules
        self._rule_counts = Counter(rules.values())
        self.new: list[Entry] = []
        self.changed: list[Entry] = []
        self.new_rules: dict[str, str] = {}
        """Subject -> registry id."""
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
            self.new_rules[row.subject] = row.registry_id
            differences.append("a subject rule added")
        if before is None:
            self.new.append(after)
            self.steps.append(_step(row, "added", differences))
        elif differences:
            self.changed.append(after)
            self.steps.append(_step(row, "changed", differences))
        return after

    def _adds_rule(self, row: LabRow, before: Entry | None) -> bool:
        assert isinstance(row.subject, str)
        owner = self._rules.get(row.subject)
        if owner is not None and before is not None and owner == before.lab_id:
            return False
        if owner is not None or row.subject in self.new_rules:
            self._complain(row, "subject", "is the rule of another laboratory: revoke it there")
            return False
        if before is not None and self._rule_counts[before.lab_id] >= MAX_RULES:
            text = f"a laboratory has at most {MAX_RULES} rules: revoke an old one"
            self._complain(row, "subject", text)
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

    def facility_moves(self) -> tuple[list[str], dict[str, str]]:
        """Return the facilities that somebody loses, and facility -> registry id of who gains."""
        gone: list[str] = []
        fresh: dict[str, str] = {}
        for entry in (*self.new, *self.changed):
            before = self._held.get(entry.registry_id)
            had = set(before.facilities) if before is not None else set()
            gone += sorted(had - set(entry.facilities))
            fresh.update({name: entry.registry_id for name in entry.facilities if name not in had})
        return gone, fresh

    def _complain(self, row: LabRow, column: str, text: str) -> None:
        self.errors.append(Complaint(line=row.line, column=column, text=text))


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
