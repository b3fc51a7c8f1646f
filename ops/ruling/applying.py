"""The rules in effect, applied to what came before them: `labdispatch route apply`.

Whoever a stream holds otherwise than the rules of now say is put down for the stewards' reemission
(`reemission`, reason `rules_changed`), which holds all of a person's reports against the streams
again under the person's locks, and through `emitted.diff`. So nothing here decides: a row too many
leads to no event, a row twice is one row, and whoever is stopped begins again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from ops.asking import Asker, check_asker
from ops.publishing import Due, Publisher
from ops.runtime.postgres import Connection
from ops.stewards import queries
from ops.stewards.reemitting import NOTHING_YET
from routing import emitted
from routing.holds import Hold
from schemas.errors import PermanentError, pure_step
from schemas.events import EventKind
from schemas.topics import Stream

from .in_effect import IN_EFFECT
from .past import Past

WAITING: Final = """
SELECT report_id, stream, reason, parts FROM hold WHERE report_id = ANY ($1::uuid[])
"""
SETTLED: Final = timedelta(seconds=60)
"""Longer than a transaction may take (`transaction_timeout`): since then every batch that is still
to commit goes by the rules in effect, so none slips in behind the walk by those of before."""


class Applied(msgspec.Struct, kw_only=True):
    """What rules would change, or what was asked for."""

    rules: str
    """The version in effect; empty where none was ever loaded."""
    dry_run: bool
    reports: int = 0
    """Looked at."""
    differ: int = 0
    """Of which at least one stream holds something else than the rules of now say."""
    unreadable: int = 0
    """Can be read no more, so nothing can be said or done about them."""
    persons: int = 0
    """Put down for reemission, or who would be; one of two pages counts twice."""
    changes: dict[str, dict[str, int]] = {}
    """Stream -> published, revised, withdrawn, waits or released -> reports."""


class Applying:
    """Applies the rules in effect to reports that came before them.

    Args:
        past: Reads reports back.
        publisher: Says what the streams should hold.
    """

    def __init__(self, past: Past, publisher: Publisher) -> None:
        self._past = past
        self._publisher = publisher

    async def apply(
        self,
        connection: Connection,
        since: datetime,
        until: datetime,
        asker: Asker,
        *,
        now: datetime,
        dry_run: bool,
        progress: Callable[[int], None] = lambda _: None,
    ) -> Applied:
        """Find whose reports that came in [since, until) streams hold otherwise than rules say.

        A page at a time, and one short statement for each: whoever is stopped has done a part, and
        asked again finds the rest.

        Args:
            connection: Of its own, outside a transaction.
            since: From when on reports are looked at.
            until: Before when.
            asker: For the audit chain, before anything is written.
            now: The moment whose rules count.
            dry_run: Write nothing.
            progress: Told how many reports were looked at.

        Raises:
            PermanentError: No word why; a set that has not settled (`rules_too_new`).
        """
        check_asker(asker)
        if not asker.reason.strip():
            raise PermanentError("bad_reason", "say why (--reason): it stands in the audit trail")
        row = await connection.fetchrow(IN_EFFECT, now)
        if row is not None and not dry_run and row["effective_at"] > now - SETTLED:
            raise PermanentError(
                "rules_too_new",
                "a batch by the rules before may be under way: ask again in a minute",
            )
        done = Applied(rules="" if row is None else row["version"], dry_run=dry_run)
        if not dry_run:
            said = f"reports from {_time(since)} until {_time(until)}: {asker.reason}"
            subject = f"set {done.rules or 'of the release'}"
            await connection.fetchval(queries.AUDIT, asker.actor, "rules_apply", subject, said)
        counts: Counter[tuple[str, str]] = Counter()
        async for page in self._past.due_since(connection, since, until):
            changes = await self._would_change(connection, page.due, now)
            persons = {
                each.person.person_id for each in page.due if each.placed.report_id in changes
            }
            if persons and not dry_run:
                await connection.execute(queries.RULES_CHANGED, sorted(persons), NOTHING_YET, now)
            counts.update(
                (stream.value, what) for each in changes.values() for stream, what in each
            )
            done.reports += len(page.due)
            done.unreadable += page.unreadable
            done.differ += len(changes)
            done.persons += len(persons)
            progress(done.reports)
        for (stream, what), n in sorted(counts.items()):
            done.changes.setdefault(stream, {})[what] = n
        return done

    async def _would_change(
        self, connection: Connection, due: Sequence[Due], at: datetime
    ) -> dict[UUID, set[tuple[Stream, str]]]:
        """Return which reports streams should hold in another way by the rules of then.

        Looks only, without a lock: what it says is to be done under locks, or not at all. Beside a
        stream stands what would become of it: published, revised or withdrawn; `waits` or
        `released` where nothing but a hold would change.
        """
        if not due:
            return {}
        asked = await self._publisher.ask(connection, due, at)
        reports = {each.placed.report_id for each in due}
        held = await emitted.load(connection, reports, locks=False)
        waiting = {
            (row["report_id"], row["stream"]): Hold(row["reason"], tuple(row["parts"]))
            for row in await connection.fetch(WAITING, sorted(reports))
        }
        with pure_step():
            changes = self._publisher.diff(held, asked.wanted)
        found: dict[UUID, set[tuple[Stream, str]]] = {}
        # By rows: an event may bear another id than its report's.
        for row in changes.rows:
            before = held.get((row.report_id, row.stream, row.part))
            stood = before is not None and before.published
            kind = EventKind.REVISED if stood else EventKind.PUBLISHED
            if not row.published:
                kind = EventKind.WITHDRAWN
            found.setdefault(row.report_id, set()).add((row.stream, kind.value))
        for (report, stream), why in asked.holds.items():
            if waiting.get((report, stream.value)) != why:
                told = found.setdefault(report, set())
                if not any(each is stream for each, _ in told):
                    told.add((stream, "released" if why is None else "waits"))
        return found


def applied_as_text(done: Applied) -> str:
    """Return it for a terminal: numbers alone."""
    by = done.rules or "of the release"
    looked = f"{done.reports:,} reports looked at by the rules {by}"
    lines = [f"{looked}: streams hold {done.differ:,} otherwise"]
    lines += [
        f"{n:>10,}  {stream}: {_SAYS[what]}"
        for stream, told in done.changes.items()
        for what, n in told.items()
    ]
    if done.unreadable:
        lines.append(f"{done.unreadable:,} can be read no more: they stay as they are")
    if done.dry_run:
        lines.append(f"{done.persons:,} persons would be gone over; nothing was done")
    elif done.persons:
        lines.append(
            f"{done.persons:,} persons are gone over by dispatch from now on:"
            " labdispatch_reemission_due_persons says how many are left"
        )
    return "\n".join(lines) + "\n"


_SAYS: Final = {
    "published": "to be published",
    "revised": "to be revised",
    "withdrawn": "to be withdrawn",
    "waits": "to wait, or for another reason",
    "released": "to wait no more",
}


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
