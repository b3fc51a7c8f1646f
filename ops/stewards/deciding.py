"""Deciding again between two persons, by the same pure function as in the stream."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from uuid import UUID

import msgspec

from dedup.decide import decide
from dedup.identity import Candidate, HeldIns, InsKey, PersonKeys
from dedup.model import SERVICE_MODEL, load_model
from dedup.review import Came, Pointers, Rows, Side
from dedup.store import DedupStore
from ops.runtime.postgres import Connection
from schemas.decision import Verdict
from schemas.patient import Traits

from .sources import ReportRow, Sources, Told


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be decided again: a report's record, or traits that came without one."""

    report_id: UUID | None = None
    came: Came | None = None
    """None where it can be read no more: then it `stays` where it stood."""
    stays: Side = Side.KEPT
    keys: PersonKeys | None = None


def subject_of_record(row: ReportRow, told: Told | None, *, of_gone: bool) -> Subject:
    """Return a report's current version as a subject."""
    stays = Side.GONE if of_gone else Side.KEPT
    if told is None:
        return Subject(report_id=row.report_id, stays=stays)
    return Subject(
        report_id=row.report_id,
        came=_came(row.place, told.keys),
        stays=stays,
        keys=told.keys,
    )


def subject_of_alias(sources: Sources, traits: Traits | None) -> Subject:
    """Return a set of traits of which no record is at hand as a subject."""
    if traits is None:
        return Subject()
    keys = sources.keys_of(traits)
    return Subject(came=_came(None, keys), keys=keys)


class Bench:
    """Two persons as they were before they were merged, and what they have learnt again since.

    Args:
        kept: Whom the other was merged into.
        gone: The other.
    """

    def __init__(self, kept: Candidate, gone: Candidate) -> None:
        self._kept = kept
        self._gone = gone

    @classmethod
    async def of(
        cls,
        store: DedupStore,
        connection: Connection,
        *,
        kept: int,
        gone: int,
        below: Collection[int],
        gained: Mapping[int, Rows],
        pointers: Pointers,
    ) -> Bench:
        """Read the two from the tables.

        Args:
            store: The tables.
            connection: Holds all of them.
            kept: The end.
            gone: Who parts.
            below: Who parts with it.
            gained: What each person on the way learnt since: left out.
            pointers: Everybody, as they stand.
        """
        alone = await store.each_alone(connection, pointers.into)
        for person, rows in gained.items():
            for alias in rows.aliases:
                alone[person].aliases.pop(alias, None)
            for ins in rows.ins:
                alone[person].ins.pop(ins, None)
        sides = {kept: set(pointers.into) - set(below), gone: set(below)}
        both = [
            Candidate(
                person_id=end,
                ins={d: ins for each in sorted(members) for d, ins in alone[each].ins.items()},
                aliases={
                    d: alias for each in sorted(members) for d, alias in alone[each].aliases.items()
                },
            )
            for end, members in sides.items()
        ]
        return cls(both[0], both[1])

    def judge(self, subject: Subject) -> Side:
        """Say whose a subject is."""
        assert subject.keys is not None
        pair = sorted((self._kept, self._gone), key=lambda each: each.person_id)
        decision = decide(subject.keys, pair, load_model(SERVICE_MODEL))
        if decision.verdict is not Verdict.LINK:
            return Side.NEITHER
        return Side.KEPT if decision.person_id == self._kept.person_id else Side.GONE

    def learn(self, subject: Subject, side: Side) -> None:
        """Let those who come later see a subject with its person."""
        if side is Side.NEITHER:
            return
        assert subject.keys is not None
        person, other = (self._kept, self._gone) if side is Side.KEPT else (self._gone, self._kept)
        person.aliases[subject.keys.alias_digest] = subject.keys.identity
        for number in _numbers(subject.keys):
            if number.digest not in other.ins:
                is_former = number is not subject.keys.ins
                person.ins.setdefault(number.digest, HeldIns(number.ins, is_former))


def _came(place: tuple[int, int] | None, keys: PersonKeys) -> Came:
    return Came(
        place=place,
        alias=keys.alias_digest,
        keys=frozenset(keys.blocking),
        numbers={number.digest: number.key for number in _numbers(keys)},
    )


def _numbers(keys: PersonKeys) -> tuple[InsKey, ...]:
    return (*keys.former_ins, *([keys.ins] if keys.ins is not None else ()))
