"""A purge: floors, then keys, then rows, then the certificate.

The order is the promise. Readers are first sent behind what goes; then the keys of the days are
destroyed, and with them every payload in every copy of the database that was ever made; then rows
go by whole partitions; and last the certificate is written into the audit chain. Whoever dies in
between leaves a purge without an end, and the next one does the rest of it before its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time
from typing import Any, Final
from uuid import UUID

import msgspec

from ops.asking import Asker
from ops.runtime.clock import Clock
from ops.runtime.metrics import METRICS
from ops.runtime.postgres import Connection, translated
from ops.runtime.vault import DayKey, Vault, day_key
from schemas.errors import FatalError, TransientError
from schemas.topics import Stream

from . import queries
from .ages import OF_SEAL, Ages, Kind, check_days, keys_due
from .certificate import ACTION, Certificate, Part, reason_of, subject_of, written
from .families import floors_statement
from .parts import Due, PartLimits, PartTaker
from .walking import empty_traits, renew_codes

_OF_STREAM: Final = {
    Stream.DOSSIER: Kind.NAMES,
    Stream.CONTACT_TRACING: Kind.NAMES,
    Stream.PUBLIC_HEALTH: Kind.PUBLIC_HEALTH,
}


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """What a purge is of, and its bounds."""

    instance_id: UUID
    partitions: int
    is_cluster: bool
    sealed_apart_from: date
    ages: Ages
    parts: PartLimits
    days_at_once: int
    rows: int


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a purge would do now."""

    today: date
    kept_from: Mapping[Kind, date]
    held_back: Mapping[Kind, str]
    """Classes that keep more than their age, and why."""
    keys: Sequence[DayKey]
    parts: Sequence[Due]

    @property
    def is_empty(self) -> bool:
        """Whether nothing is of age."""
        return not self.keys and not self.parts


class _Open(msgspec.Struct, frozen=True, kw_only=True):
    purge_id: int
    began_at: datetime
    actor: str
    why: str
    cuts: dict[Kind, date]
    keys: list[str]


class Purger:
    """Purges an instance.

    Args:
        connection: Of the role retention, its own: it bears the lock by which one purges at a time.
        vault: Has the keys.
        clock: Says which day it is.
        scope: What, and the bounds.
    """

    def __init__(self, connection: Connection, vault: Vault, clock: Clock, scope: Scope) -> None:
        self._connection = connection
        self._vault = vault
        self._clock = clock
        self._scope = scope
        self._taker = PartTaker(connection, scope.partitions, scope.parts)

    async def plan(self) -> Plan:
        """Return what is of age; changes nothing.

        Raises:
            TransientError: The database is away.
        """
        now = self._clock.now()
        with translated():
            cuts = self._scope.ages.cuts(now.date())
            held_back = await self._hold_back(cuts)
        keys = keys_due(self._vault.day_keys(), cuts)
        return Plan(
            today=now.date(),
            kept_from=cuts,
            held_back=held_back,
            keys=keys,
            parts=await self._taker.due(cuts),
        )

    async def purge(self, asker: Asker, *, days_at_once: int | None = None) -> list[Certificate]:
        """Do what is due; return the certificates, none where nothing was of age.

        Raises:
            TransientError: The database is away, or another purge is under way (`purge_under_way`).
            PermanentError: More days are of age than are taken at once (`purge_suspect`).
            FatalError: A key could not be destroyed (`keys_not_destroyed`).
        """
        with translated():
            if not await self._connection.fetchval(queries.TAKE_TURN):
                raise TransientError("purge_under_way", "another process purges: wait for it")
        try:
            return await self._purge(asker, days_at_once or self._scope.days_at_once)
        finally:
            with translated():
                await self._connection.fetchval(queries.END_TURN)

    async def _purge(self, asker: Asker, most: int) -> list[Certificate]:
        done = []
        with translated():
            left = await self._connection.fetchrow(queries.OPEN_PURGE)
        if left is not None:
            done.append(await self._finish(_open_of(left)))
        ages = self._scope.ages
        await renew_codes(
            self._connection, self._vault, ages.cuts(self._clock.now().date())[Kind.CODES]
        )
        plan = await self.plan()
        check_days(plan.keys, most)
        if not plan.is_empty:
            done.append(await self._finish(await self._begin(plan, asker)))
        await empty_traits(self._connection, plan.kept_from[Kind.IDENTITY], self._scope.rows)
        with translated():
            # Tables that a purge took off their parent before it was killed.
            await self._taker.drop_left_behind()
            if not plan.held_back and not await self._taker.due(plan.kept_from):
                await self._connection.execute(queries.FOUND_GONE, self._clock.now())
        return done

    async def _hold_back(self, cuts: dict[Kind, date]) -> dict[Kind, str]:
        """Move cuts back before what is needed still; return which, and why."""
        held: dict[Kind, str] = {}

        def keep(kind: Kind, oldest: datetime | date | None, why: str) -> None:
            if oldest is None:
                return
            day = oldest.astimezone(UTC).date() if isinstance(oldest, datetime) else oldest
            if day < cuts[kind]:
                cuts[kind] = day
                held[kind] = why

        if self._scope.is_cluster:
            for row in await self._connection.fetch(queries.UNPUBLISHED):
                kind = _OF_STREAM[Stream(row["stream"])]
                keep(kind, row["oldest"], "the relay has not published all of it")
                if row["oldest"].astimezone(UTC).date() < self._scope.sealed_apart_from:
                    keep(Kind.NAMES, row["oldest"], "the relay has not published all of it")
        else:
            waiting = await self._connection.fetchval(queries.WAITING_INTAKE)
            keep(Kind.INTAKE, waiting, "dispatch has not handled all of it")
        uncounted = await self._connection.fetchval(
            queries.UNCOUNTED_MESSAGES if self._scope.is_cluster else queries.UNCOUNTED_INTAKE
        )
        keep(Kind.INTAKE, uncounted, "the account has not counted all of it")
        gap = await self._connection.fetchval(queries.GAP_NOT_NOTED)
        keep(Kind.INTAKE, gap, "the account does not close, and nobody has noted why")
        code = await self._connection.fetchval(queries.OLDEST_CODE)
        keep(Kind.CODES, code, "local codes that are seen still are sealed by it")
        return held

    async def _begin(self, plan: Plan, asker: Asker) -> _Open:
        with translated():
            row = await self._connection.fetchrow(
                queries.BEGIN_PURGE,
                self._clock.now(),
                asker.actor,
                asker.reason,
                msgspec.json.encode(plan.kept_from).decode(),
                [key.name for key in plan.keys],
            )
        return _open_of(row)

    async def _finish(self, opened: _Open) -> Certificate:
        """Do what a purge that was begun says, whatever of it is done already."""
        await self._raise_floors(opened)
        self._destroy(opened.keys)
        await self._taker.take(opened.purge_id, opened.cuts, self._clock.now())
        with translated():
            async with self._connection.transaction():
                rows = await self._connection.fetch(queries.PARTS_OF, opened.purge_id)
                certificate = Certificate(
                    purge_id=opened.purge_id,
                    instance_id=self._scope.instance_id,
                    began_at=opened.began_at,
                    ended_at=self._clock.now(),
                    actor=opened.actor,
                    why=opened.why,
                    kept_from={kind.value: day for kind, day in opened.cuts.items()},
                    keys_destroyed=opened.keys,
                    partitions=sorted(Part(**row) for row in rows),
                )
                text, digest = written(certificate)
                subject, reason = subject_of(opened.purge_id), reason_of(digest)
                # The chain's lock is taken last, as everywhere.
                entry = await self._connection.fetchval(
                    queries.AUDIT, opened.actor, ACTION, subject, reason
                )
                await self._connection.execute(
                    queries.END_PURGE, opened.purge_id, certificate.ended_at, text, digest, entry
                )
        return certificate

    async def _raise_floors(self, opened: _Open) -> None:
        for stream, kind in _OF_STREAM.items():
            first = opened.cuts[kind]
            if kind is Kind.PUBLIC_HEALTH:
                # What was sealed with the names goes with the names.
                first = max(first, min(opened.cuts[Kind.NAMES], self._scope.sealed_apart_from))
            with translated():
                await self._connection.execute(
                    floors_statement(stream.value),
                    stream.value,
                    datetime.combine(first, time(), UTC),
                )

    def _destroy(self, names: Sequence[str]) -> None:
        for key in filter(None, map(day_key, names)):
            self._vault.destroy(key.seal_class, key.day)
            METRICS.purged_keys.labels(OF_SEAL[key.seal_class].value).inc()
        left = {key.name for key in self._vault.day_keys()} & set(names)
        if left:
            raise FatalError(
                "keys_not_destroyed",
                f"{len(left)} key files are there still: remove what holds them",
            )


def _open_of(row: Any) -> _Open:
    return _Open(
        purge_id=row["purge_id"],
        began_at=row["began_at"],
        actor=row["actor"],
        why=row["why"],
        cuts=msgspec.json.decode(row["cuts"], type=dict[Kind, date]),
        keys=row["keys"],
    )
