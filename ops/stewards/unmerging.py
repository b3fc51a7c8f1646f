"""Unmerge: the reversing event, and both persons as they were.

What stood with the gone person goes back to it: pointer, reports, oppositions; its own keys, INS
and traits never left it. What came while the two were one is decided again, between the two as they
were before, by the same pure function that decides in the stream. What that cannot decide becomes a
person of its own with review items beside it, as in the stream.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec

from dedup.model import SERVICE_MODEL, load_model
from dedup.review import Rows, Side, rows_of, sides_of, taken_from
from ops.runtime.failpoints import hit
from ops.sources import REPORTS_OF, ReportRow, Sources, report_rows
from schemas.errors import PermanentError

from . import queries
from .deciding import Bench, Keeper, Subject, subject_of_alias, subject_of_record
from .edges import Edge, standing_edges
from .persons import look, own_rows
from .script import Act, Script

_VERDICT: Final = {Side.GONE: "link", Side.KEPT: "link", Side.NEITHER: "review"}


class Unmerged(msgspec.Struct, frozen=True, kw_only=True):
    """What an unmerge was, by numbers."""

    event: int
    of: int
    kept: int
    gone: int
    made: tuple[int, ...]
    """Persons made for what nobody could decide."""
    reports: int
    events: int
    unreadable: int
    remaining: bool


async def unmerge(
    script: Script,
    sources: Sources,
    act: Act,
    gone: int,
    *,
    rule: str,
    evidence: Mapping[str, object],
    most: int,
) -> Unmerged:
    """Undo the merge of `gone`, and let every stream know.

    Args:
        script: The transaction script.
        sources: Reads back what came since.
        act: Holds everybody concerned.
        gone: Whose pointer is taken away.
        rule: steward, verdict or undo.
        evidence: Numbers for the link event.
        most: The most records that may be decided again.

    Raises:
        PermanentError: It is not merged, or more came since than `most`.
    """
    edges = await standing_edges(act.connection, act.held.everybody)
    edge = edges.get(gone)
    if edge is None:
        raise PermanentError("not_merged", f"person {gone} is merged into nobody now")
    parting = _Parting(script, sources, act, edge=edge, edges=edges, most=most)
    return await parting.run(rule, evidence)


class _Parting:
    """One unmerge under way."""

    def __init__(
        self,
        script: Script,
        sources: Sources,
        act: Act,
        *,
        edge: Edge,
        edges: Mapping[int, Edge],
        most: int,
    ) -> None:
        self._script = script
        self._sources = sources
        self._act = act
        self._edge = edge
        self._most = most
        pointers = act.held.pointers
        self._way = pointers.way_of(edge.kept)
        self._end = self._way[-1]
        self._below = pointers.below(edge.gone)
        # Each person on the way, with the merge since which it may have learnt of the gone one.
        self._since = dict(
            zip(self._way, [edge, *(edges[each] for each in self._way[:-1])], strict=True)
        )
        above = {each.event for each in self._since.values()} - {edge.event}
        beside = {e.event for e in edges.values() if e.gone not in self._below} - above
        self._above, self._beside = sorted(above), sorted(beside - {edge.event})
        self._made: list[int] = []

    async def run(self, rule: str, evidence: Mapping[str, object]) -> Unmerged:
        act, edge = self._act, self._edge
        connection = act.connection
        await connection.fetch(queries.LOCK_REPORTS, [self._end])
        own = await own_rows(connection, [*self._way, *self._below])
        gained = {each: own[each].without(e.before) for each, e in self._since.items()}
        back, since = await self._reports()
        subjects, sides = await self._decide(gained, since)
        persons = await self._persons_of(subjects, sides)
        event = await act.event(
            "unmerge",
            edge.kept,
            edge.gone,
            rule,
            {**evidence, "of": edge.event, "made": self._made},
        )
        await connection.execute(queries.UNDO_MERGE, edge.event, event)
        await connection.execute(queries.POINT, edge.gone, None)
        await connection.execute(queries.PART_OPPOSITIONS, sorted(self._below), edge.gone)
        await self._move_rows(gained, subjects, persons)
        moved = await self._move_reports(back, subjects, persons)
        await self._tell(subjects, sides, persons)
        hit("stewards.after_pointer")
        act.held = await look(
            connection, [*act.held.everybody, *self._made], most=len(act.held.everybody) + 10_000
        )
        ends = [self._end, edge.gone, *self._made]
        done = await self._script.reemit(act, ends, reason="identity_changed", moved=moved)
        act.said = f"unmerge {event} of {edge.event}: {edge.gone} out of {edge.kept}"
        return Unmerged(
            event=event,
            of=edge.event,
            kept=edge.kept,
            gone=edge.gone,
            made=tuple(self._made),
            reports=done.reports,
            events=len(done.events),
            unreadable=done.unreadable,
            remaining=bool(done.remaining),
        )

    # ------------------------------------------------------------------ what came since

    async def _reports(self) -> tuple[set[UUID], list[tuple[ReportRow, bool]]]:
        """Return reports that go back as they are, and those to decide again.

        The latter in the order in which they were accepted, each with whether it stood with the
        gone person before.
        """
        connection = self._act.connection
        found = await connection.fetch(
            queries.REPORTS_SINCE, self._end, self._edge.event, self._above, self._beside
        )
        back = {row["report_id"] for row in found if row["of_gone"] and not row["since"]}
        since = {row["report_id"]: row["of_gone"] for row in found if row["since"]}
        if len(since) > self._most:
            raise PermanentError(
                "too_many_reports",
                f"{len(since)} reports came since, and {self._most} may be decided again at once:"
                " raise LABDISPATCH_STEWARD_REPORTS",
            )
        rows = {
            row.report_id: row
            for row in report_rows(await connection.fetch(REPORTS_OF, sorted(since)))
        }
        return back, [(rows[each], of_gone) for each, of_gone in since.items()]

    async def _decide(
        self, gained: Mapping[int, Rows], since: Sequence[tuple[ReportRow, bool]]
    ) -> tuple[list[Subject], list[Side]]:
        """Decide again about what came since, in its order; what cannot be read stays put."""
        connection = self._act.connection
        told = await self._sources.read(connection, [row for row, _ in since])
        keeper = await Keeper.of(self._script.store, self._sources, connection, self._act.at)
        subjects = [
            await subject_of_record(keeper, row, told.get(row.report_id), of_gone=of_gone)
            for row, of_gone in since
        ]
        seen = {each.came.alias for each in subjects if each.came is not None}
        traits = await self._script.store.traits_of(connection, gained)
        for person, rows in gained.items():
            for alias in sorted(rows.aliases - seen):
                subjects.append(await subject_of_alias(keeper, traits[person, alias]))
                seen.add(alias)
        bench = await Bench.of(
            self._script.store,
            connection,
            kept=self._end,
            gone=self._edge.gone,
            below=self._below,
            gained=gained,
            pointers=self._act.held.pointers,
        )
        heard = [each for each in subjects if each.came is not None]
        sides = iter(
            sides_of(
                [each.came for each in heard if each.came is not None],
                lambda at: bench.judge(heard[at]),
                lambda at, side: bench.learn(heard[at], side),
            )
        )
        return subjects, [next(sides) if s.came is not None else s.stays for s in subjects]

    # ------------------------------------------------------------------ writing

    async def _persons_of(self, subjects: Sequence[Subject], sides: Sequence[Side]) -> list[int]:
        """Return the person of each subject; equal traits that nobody can decide are one person."""
        own: dict[UUID, int] = {}
        persons = []
        for subject, side in zip(subjects, sides, strict=True):
            if side is Side.NEITHER:
                assert subject.came is not None
                if subject.came.alias not in own:
                    own[subject.came.alias] = await self._make()
                persons.append(own[subject.came.alias])
            else:
                persons.append(self._edge.gone if side is Side.GONE else self._end)
        return persons

    async def _make(self) -> int:
        connection = self._act.connection
        (number,) = await self._script.store.begin(connection, 1)
        await connection.execute(queries.NEW_PERSON, number, self._act.at)
        for other in (self._end, self._edge.gone):
            await connection.execute(
                queries.OPEN_ITEM, self._act.at, number, other, "undecided_after_unmerge", "{}",
                "unmerge", 1,
            )  # fmt: skip
        self._made.append(number)
        return number

    async def _move_rows(
        self,
        gained: Mapping[int, Rows],
        subjects: Sequence[Subject],
        persons: Sequence[int],
    ) -> None:
        """Give each person what its records taught, and take it where it does not belong."""
        everything = Rows(
            aliases=frozenset().union(*(r.aliases for r in gained.values())),
            ins=frozenset().union(*(r.ins for r in gained.values())),
            keys=frozenset().union(*(r.keys for r in gained.values())),
        )
        if not everything:
            return
        came = [(s.came, p) for s, p in zip(subjects, persons, strict=True) if s.came is not None]
        stays = rows_of([c for c, p in came if p == self._end], everything.ins)
        for person in sorted({p for _, p in came} - {self._end}):
            own = rows_of([c for c, p in came if p == person], everything.ins)
            await self._give(gained, own, person)
        moved = rows_of([c for c, p in came if p != self._end], everything.ins)
        for source, rows in gained.items():
            await self._take(source, taken_from(rows, moved, stays))

    async def _give(self, gained: Mapping[int, Rows], own: Rows, person: int) -> None:
        connection = self._act.connection
        for source, rows in gained.items():
            ins = sorted(rows.ins & own.ins)
            if ins:
                await connection.execute(queries.COPY_INS, source, person, ins)
        # Traits may have been there before, at whoever: the sealed row is the same everywhere.
        for source in self._act.held.everybody if own.aliases else ():
            await connection.execute(queries.COPY_ALIASES, source, person, sorted(own.aliases))
        # Keys that the end had before the merge lead there too: two persons under one key.
        await connection.execute(queries.GIVE_KEYS, person, sorted(own.keys))

    async def _take(self, person: int, rows: Rows) -> None:
        connection = self._act.connection
        for statement, gone in (
            (queries.TAKE_ALIASES, rows.aliases),
            (queries.TAKE_INS, rows.ins),
            (queries.TAKE_KEYS, rows.keys),
        ):
            if gone:
                await connection.execute(statement, person, sorted(gone))

    async def _move_reports(
        self, back: set[UUID], subjects: Sequence[Subject], persons: Sequence[int]
    ) -> set[UUID]:
        goes = dict.fromkeys(sorted(back), self._edge.gone)
        for subject, person in zip(subjects, persons, strict=True):
            if subject.report_id is not None and person != self._end:
                goes[subject.report_id] = person
        if goes:
            await self._act.connection.execute(
                queries.MOVE_REPORTS, list(goes), list(goes.values())
            )
        return set(goes)

    async def _tell(
        self, subjects: Sequence[Subject], sides: Sequence[Side], persons: Sequence[int]
    ) -> None:
        """Append a link event for each record whose person is another now: none moves silently."""
        told: list[tuple[Any, ...]] = []
        for subject, side, person in zip(subjects, sides, persons, strict=True):
            if person == self._end or subject.came is None or subject.came.place is None:
                continue
            partition, offset = subject.came.place
            told.append((_VERDICT[side], person, self._end, partition, offset, subject.came.alias))
        if told:
            await self._act.connection.execute(
                queries.WRITE_RECORD_EVENTS,
                *(list(column) for column in zip(*told, strict=True)),
                msgspec.json.encode({"of": self._edge.event}).decode(),
                self._act.at,
                load_model(SERVICE_MODEL).version,
                self._act.actor,
            )
