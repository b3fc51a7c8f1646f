"""Candidates, decision, link: for each record of a batch, the person it is about.

Locks on all keys of the batch; then, in statements of their own, who stands under the tight keys;
decide; who stands under the wide keys of the records that have no link; decide again. The number of
statements does not grow with the batch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

import msgspec

from ops.runtime.failpoints import hit
from ops.runtime.metrics import METRICS
from ops.runtime.postgres import Connection
from schemas.decision import MatchDecision
from schemas.errors import TransientError, pure_step
from schemas.patient import Ins

from .deciding import Asked, Batch, Subject, Unasked, wants_more
from .key_function import KeyFunction
from .model import SERVICE_MODEL, Model, load_model
from .person_writing import LinkRow
from .persons import KeyVersions, PersonStore
from .search import Search

__all__ = ["Resolution", "Resolver", "Subject"]


Settled = tuple[Batch, list[tuple[int, MatchDecision]]]
"""A batch that was gone through, and person and decision of each record."""


class Resolution(msgspec.Struct, frozen=True, kw_only=True):
    """Who a record is about."""

    person_id: int
    person_version: int
    """Grows by one with every message about the person."""
    decision: MatchDecision
    qualified_ins: Ins | None
    """INS under which this record may enter a dossier: the record's own, or the person's where the
    laboratory had validated the identity and all strict traits agree; else None."""
    gained_ins: bool = False
    """The person was known when a qualified INS came, or another than it had: its other reports may
    be due in a dossier, or in another one."""


class Resolver:
    """Finds or makes the persons of a batch.

    Args:
        store: The tables, on the batch's own connection.
        keys: The key function of the instance.
        model: Which matcher decides; that of the service where none is given.
    """

    def __init__(self, store: PersonStore, keys: KeyFunction, model: Model | None = None) -> None:
        self._store = store
        self._keys = keys
        self._model = model or load_model(SERVICE_MODEL)
        self._versions = KeyVersions(live=keys.newest)
        self._hot: set[int] = set()

    async def resolve(
        self,
        connection: Connection,
        subjects: Sequence[Subject],
        at: datetime,
        also: Collection[int] = (),
    ) -> list[Resolution]:
        """Return the person of each subject, in their order, and write what was decided.

        Takes the locks of all keys of the batch, then looks up in a later statement: two first
        results of one new person, wherever they are handled, make one person.

        Args:
            connection: Inside the transaction of the batch.
            subjects: Of the batch, in its order.
            at: When it is decided.
            also: Persons whom the batch's reports may leave: locked with the others, in one order.

        Raises:
            TransientError: The keys in use have changed since this process last looked; the same
                batch can be tried again at once.
        """
        search = Search(self._store, self._keys, connection, at, self._hot)
        numbers = await self._store.begin(connection, len(subjects))
        await self._lock(connection, search, subjects)
        hit("dispatch.after_locks")
        await search.ask_tight()
        self._remember(search.hot)
        hit("dispatch.after_lookup")
        batch, decided = await self._settle(search, numbers)
        known = {p for p, _ in decided if p not in batch.new}
        locked = await self._store.lock_persons(connection, known | set(also))
        versions = {person: version for person, version in locked.items() if person in known}
        resolutions = [
            Resolution(
                person_id=person_id,
                person_version=batch.next_version(person_id, versions.get(person_id, 0)),
                decision=decision,
                qualified_ins=batch.dossier_ins(subject, person_id),
                gained_ins=person_id in batch.gained,
            )
            for subject, (person_id, decision) in zip(subjects, decided, strict=True)
        ]
        await self._write(connection, batch, versions, at)
        await self._write_links(connection, subjects, resolutions, at)
        return resolutions

    # ------------------------------------------------------------------ locks

    async def _lock(
        self, connection: Connection, search: Search, subjects: Sequence[Subject]
    ) -> None:
        with pure_step():
            search.asked = [self._asked(subject) for subject in subjects]
        keys = {key for asked in search.asked for key in asked.all}
        search.locked |= keys
        held = await self._store.lock_keys(connection, keys)
        if held is None:
            held = await self._store.begin_keys(connection, self._versions.live)
        if held != self._versions:
            self._versions = held
            raise TransientError("keys_changed", "the same batch is tried again by the new keys")

    def _asked(self, subject: Subject) -> Asked:
        versions = self._versions
        if subject.keys.key_version != versions.live:
            keys = self._keys.derive(subject.traits, versions.live)
            subject = msgspec.structs.replace(subject, keys=keys)
        ways = self._keys.ways(subject.keys, self._hot)
        if versions.filling is None:
            return Asked(subject=subject, ways=ways)
        other = self._keys.derive(subject.traits, versions.filling)
        return Asked(
            subject=subject, ways=ways, other=other, also=self._keys.ways(other, self._hot)
        )

    def _remember(self, hot: Iterable[int]) -> None:
        """Keep hot keys in mind: next time their narrower keys are locked in their place."""
        most = self._store.bounds.hot_keys
        for key in hot:
            if len(self._hot) >= most:
                self._hot.clear()
            self._hot.add(key)

    # ------------------------------------------------------------------ decisions

    async def _settle(self, search: Search, numbers: list[int]) -> Settled:
        """Decide by the tight keys, then by all keys where these gave no link, then in order."""
        model, known = self._model, search.known
        with pure_step():
            first = [known.judge(a.subject, a.ways.tight, model) for a in search.asked]
            open_ones = [n for n, decision in enumerate(first) if wants_more(decision)]
        await search.ask_wide(open_ones)
        with pure_step():
            for n in open_ones:
                asked = search.asked[n]
                first[n] = known.judge(asked.subject, asked.ways.all, model)
        settled = self._in_order(search, first, numbers)
        if settled is None:
            # Somebody whom an earlier record of the batch touched: ask for everything, once.
            METRICS.second_lookups.inc()
            await search.ask_wide(range(len(search.asked)))
            settled = self._in_order(search, [None] * len(search.asked), numbers)
        assert settled is not None, "all wide keys were asked for"
        return settled

    def _in_order(
        self, search: Search, first: Sequence[MatchDecision | None], numbers: list[int]
    ) -> Settled | None:
        """Decide record by record, each seeing those before it; None: more must be asked first."""
        batch = Batch(
            search.known,
            self._model,
            widened=search.widened,
            numbers=numbers,
            on=search.at.date(),
        )
        with pure_step():
            try:
                decided = [
                    batch.take(n, asked, before)
                    for n, (asked, before) in enumerate(zip(search.asked, first, strict=True))
                ]
            except Unasked:
                return None
        return batch, decided

    # ------------------------------------------------------------------ writing

    async def _write(
        self,
        connection: Connection,
        batch: Batch,
        versions: dict[int, int],
        at: datetime,
    ) -> None:
        await self._store.write_persons(
            connection,
            new=[(p, batch.versions[p], isolated) for p, isolated in batch.new.items()],
            versions={p: batch.versions[p] for p in versions},
            at=at,
        )
        await self._store.write_identities(
            connection,
            ins=list(batch.ins_rows.values()),
            aliases=list(batch.alias_rows.values()),
            keys=batch.key_rows,
            on=at.date(),
        )

    async def _write_links(
        self,
        connection: Connection,
        subjects: Sequence[Subject],
        resolutions: Sequence[Resolution],
        at: datetime,
    ) -> None:
        links = [
            LinkRow(
                person_id=resolution.person_id,
                partition=subject.partition,
                offset=subject.offset,
                alias_digest=subject.keys.alias_digest,
                decision=resolution.decision,
            )
            for subject, resolution in zip(subjects, resolutions, strict=True)
        ]
        await self._store.write_links(connection, links, at)
        gained = {r.person_id for r in resolutions if r.gained_ins}
        if gained:
            METRICS.gained_ins.inc(len(gained))
        taken = Counter((r.decision.verdict, r.decision.rule) for r in resolutions)
        for (verdict, rule), n in taken.items():
            METRICS.decisions.labels(verdict.value, rule).inc(n)
