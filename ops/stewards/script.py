"""One change of identities, one transaction: the second entry of the transaction script.

It reads as the first (`ops/dispatch.py`): locks, look, decide, write persons, move reports, diff,
events, outbox, commit. There is no fence, for no offset moves; the audit chain is locked after all
but the stream heads. Beside dispatch workers it is exact: whoever could give these persons a record
holds one of the keys that are held here.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import datetime
from typing import Final, TypeVar
from uuid import UUID

import msgspec

from dedup.store import DedupStore
from ops.asking import Asker, check_asker
from ops.publishing import Published, Publisher
from ops.runtime.clock import Clock
from ops.runtime.failpoints import hit
from ops.runtime.metrics import METRICS
from ops.runtime.postgres import Connection, Pool, translated
from schemas.errors import TransientError

from . import queries
from .persons import Held, hold
from .reemitting import NOTHING_YET, Reemitted, Reemitter

T = TypeVar("T")
_TRIES: Final = 8
# What another try mends: somebody else was first, and nothing was committed.
_AGAIN: Final = frozenset(
    {"persons_moved", "persons_busy", "deadlock", "lock_timeout", "serialization"}
)


class Act(msgspec.Struct, kw_only=True):
    """A change under way: the transaction, whom it holds, and what it leads to."""

    connection: Connection
    held: Held
    at: datetime
    actor: str
    events: list[Reemitted] = []
    joined: list[int] = []
    """Who was merged into somebody by it."""
    said: str = ""
    """For the audit chain: what was done, by numbers alone."""

    async def event(
        self,
        kind: str,
        person_id: int,
        other: int | None,
        rule: str,
        evidence: Mapping[str, object],
    ) -> int:
        """Append a link event; return its number."""
        told = msgspec.json.encode(evidence).decode()
        number: int = await self.connection.fetchval(
            queries.WRITE_EVENT,
            self.at,
            kind,
            person_id,
            other,
            rule,
            "",
            told,
            self.actor,
        )
        both = [person_id] if other is None else [person_id, other]
        await self.connection.execute(queries.WRITE_STEWARD_EVENT, both, number)
        return number


class Script:
    """Runs changes of identities.

    Args:
        pool: One connection is used at a time.
        store: The tables of dedup.
        reemitter: Brings the streams to what they should hold.
        publisher: Writes events.
        clock: Says when it was decided.
        most_persons: The most persons that may be merged together.
    """

    def __init__(
        self,
        *,
        pool: Pool,
        store: DedupStore,
        reemitter: Reemitter,
        publisher: Publisher,
        clock: Clock,
        most_persons: int,
    ) -> None:
        self.pool = pool
        self.store = store
        self._reemitter = reemitter
        self._publisher = publisher
        self.clock = clock
        self.most_persons = most_persons
        self._alone = asyncio.Lock()

    async def run(
        self,
        asked: Collection[int],
        asker: Asker,
        action: str,
        work: Callable[[Act], Awaitable[T]],
    ) -> T:
        """Hold some persons, let `work` change them, and commit: all of it or nothing.

        Args:
            asked: The persons; everybody they stand for is held with them.
            asker: For the link events and the audit chain.
            action: The audit chain's word for it.
            work: Writes the change and calls `reemit`.

        Raises:
            PermanentError: What `work` refuses; no such person.
            TransientError: The world is at fault, some times over; nothing was committed.
        """
        check_asker(asker)
        for left in range(_TRIES - 1, -1, -1):
            try:
                # One at a time: acts are rare, and must not take dispatch its connections.
                async with self._alone:
                    return await self._once(asked, asker, action, work)
            except TransientError as error:
                if error.reason not in _AGAIN or not left:
                    raise
                METRICS.errors.labels("stewards", error.reason).inc()
                await asyncio.sleep(random.uniform(0.01, 0.1))  # noqa: S311 - jitter
        raise AssertionError("the last try returns or raises")

    async def _once(
        self,
        asked: Collection[int],
        asker: Asker,
        action: str,
        work: Callable[[Act], Awaitable[T]],
    ) -> T:
        with translated():
            async with self.pool.acquire() as connection:
                async with connection.transaction():
                    held = await hold(connection, self.store, asked, most=self.most_persons)
                    act = Act(
                        connection=connection, held=held, at=self.clock.now(), actor=asker.actor
                    )
                    done = await work(act)
                    hit("stewards.before_outbox")
                    if action:
                        why = act.said + (f": {asker.reason}" if asker.reason else "")
                        subject = "persons " + " ".join(str(each) for each in sorted(set(asked)))
                        await connection.fetchval(queries.AUDIT, asker.actor, action, subject, why)
                    published = Published(events=[e for r in act.events for e in r.events])
                    await self._publisher.write_events(connection, published, act.at)
                    hit("stewards.before_commit")
                hit("stewards.after_commit")
        published.count()
        for worked in (w for r in act.events for w in r.worked):
            worked.count()
        METRICS.steward_acts.labels(action or "reemit").inc()
        METRICS.reemitted_reports.inc(sum(r.reports for r in act.events))
        METRICS.unreadable_reports.inc(sum(r.unreadable for r in act.events))
        return done

    async def reemit(
        self,
        act: Act,
        ends: Collection[int],
        *,
        reason: str,
        moved: Collection[UUID] = (),
        after: UUID = NOTHING_YET,
        remains_as: str = "identity_changed",
    ) -> Reemitted:
        """Give the ends their next version, and bring the streams to what they should hold of them.

        What is more than one transaction takes is left as rows of `reemission`, in this same
        transaction: whatever dies now, the rest will be done.
        """
        rows = await act.connection.fetch(queries.RAISE_VERSIONS, sorted(ends))
        versions = {row["person_id"]: row["version"] for row in rows}
        await act.connection.fetch(queries.LOCK_REPORTS, sorted(ends))
        done = await self._reemitter.reemit(
            act.connection,
            act.held,
            versions,
            act.at,
            reason=reason,
            joined=act.joined,
            moved=moved,
            after=after,
        )
        act.events.append(done)
        if done.remaining:
            after_report = next(iter(done.remaining.values()))
            await act.connection.execute(
                queries.REMAINS, sorted(done.remaining), remains_as, after_report, act.at
            )
        return done

    async def reemit_reports(
        self, act: Act, reports: Collection[UUID], *, reason: str
    ) -> Reemitted:
        """Bring the streams to what they should hold of some reports of persons that are held."""
        ends = sorted({act.held.pointers.end_of(each) for each in act.held.everybody})
        rows = await act.connection.fetch(queries.VERSIONS, ends)
        versions = {row["person_id"]: row["version"] for row in rows}
        done = await self._reemitter.reemit_reports(
            act.connection, act.held, versions, reports, act.at, reason=reason
        )
        act.events.append(done)
        return done
