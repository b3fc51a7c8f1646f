"""Letting a stream go by a person's word: in the stewards' transaction, and through `emitted.diff`.

The word is kept about what was seen (`hold_release`), is audited, and counts until the report says
something else. It changes no rule: the rules decide as if that one doubt were not there.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from ops.asking import Asker
from ops.runtime.metrics import METRICS
from ops.runtime.postgres import translated
from ops.stewards.script import Act, Script
from schemas.errors import PermanentError, TransientError
from schemas.topics import STREAMS

from . import queries
from .looking import Behind, HeldStream, Wish, list_holds, no_such_report
from .reasons import releasable

MAX_BULK: Final = 1_000
_TRIES: Final = 3


class Released(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a stream that was let go."""

    report_id: UUID
    stream: str
    reason: str
    stream_events: int = 0
    """Events that this led to; none where the report is not due there without the answer."""
    still: str = ""
    """The next reason for which it waits; empty where it waits no more."""
    unreadable: bool = False
    """Nothing of the report can be read any more, so nothing can be sent."""


class Bulk(msgspec.Struct, frozen=True, kw_only=True):
    """What a release of many led to; with `dry_run` what it would be about."""

    dry_run: bool
    found: int
    """Tried, or with `dry_run` to be tried."""
    released: int
    """Wait for this reason no more."""
    stream_events: int
    still_waiting: int
    """Wait on, for another reason or because they can be read no more."""
    failed: dict[str, int]
    """Reason of a failure -> how many; these wait as before."""
    reports: tuple[UUID, ...]
    """The first of them."""
    behind: Behind | None = None
    """Where to go on, if more was to be tried than a request may."""


class Releasing:
    """Lets streams go.

    Args:
        script: Runs each as one transaction.
    """

    def __init__(self, script: Script) -> None:
        self._script = script

    async def release(self, report: UUID, stream: str, asker: Asker) -> Released:
        """Let one stream of a report go.

        Raises:
            PermanentError: No such report, it does not wait there, nobody may release that reason,
                or no word why.
        """
        if not asker.reason.strip():
            raise PermanentError("bad_reason", "say why (--reason): it stands in the audit trail")
        if stream not in {each.value for each in STREAMS}:
            raise PermanentError("no_such_stream", f"the streams are {', '.join(STREAMS)}")
        for left in range(_TRIES - 1, -1, -1):
            person = await self._person_of(report)
            try:
                done = await self._script.run(
                    [person],
                    asker,
                    "hold_release",
                    lambda act: self._release(act, report, stream, asker),
                )
            except TransientError as error:
                if error.reason != "report_moved" or not left:
                    raise
            else:
                METRICS.hold_releases.labels(done.stream, done.reason).inc()
                return done
        raise AssertionError("the last try returns or raises")

    async def release_many(
        self, wish: Wish, asker: Asker, *, dry_run: bool, tries: int | None = None
    ) -> Bulk:
        """Let go what a wish finds, each in a transaction of its own, the longest waiting first.

        What fails or waits on is counted, and passed by: `limit` counts what was let go, so that
        what nothing can be done about never stands before the rest. Asked again after a stop, it
        goes on with what is left.

        Args:
            wish: Which; a stream and a reason are named.
            asker: For the audit chain.
            dry_run: Only list them.
            tries: The most that are tried; None: on to the end of the list of now.

        Raises:
            PermanentError: No stream or reason is named, or nobody may release that reason.
        """
        if not wish.stream or not wish.reason:
            raise PermanentError("name_both", "name the stream and the reason to be released")
        releasable(wish.reason)
        if wish.limit > MAX_BULK:
            raise PermanentError("too_many", f"release at most {MAX_BULK} at a time")
        now = self._script.clock.now()
        sums: Counter[str] = Counter()
        failed: Counter[str] = Counter()
        reports: list[UUID] = []
        behind, left = wish.behind, tries
        while left is None or left > 0:
            size = wish.limit - sums["released"]
            page = await self._listed(wish, behind, now, size if left is None else min(size, left))
            sums["found"] += len(page)
            reports += [each.report_id for each in page[: MAX_BULK - len(reports)]]
            for each in [] if dry_run else page:
                try:
                    done = await self.release(each.report_id, each.stream, asker)
                except PermanentError as error:
                    failed[error.reason] += 1
                else:
                    waits_on = bool(done.still) or done.unreadable
                    sums["waits" if waits_on else "released"] += 1
                    sums["events"] += done.stream_events
            left = None if left is None else left - len(page)
            behind = Behind(page[-1].since, page[-1].report_id) if page else behind
            if dry_run or not page or sums["released"] >= wish.limit:
                left = None
                break
        return Bulk(
            dry_run=dry_run,
            found=sums["found"],
            released=sums["released"],
            stream_events=sums["events"],
            still_waiting=sums["waits"],
            failed=dict(failed),
            reports=tuple(reports),
            behind=behind if left == 0 else None,
        )

    async def _listed(
        self, wish: Wish, behind: Behind, now: datetime, limit: int
    ) -> list[HeldStream]:
        asked = msgspec.structs.replace(wish, behind=behind, limit=limit)
        with translated():
            async with self._script.pool.acquire() as connection:
                return await list_holds(connection, asked, now)

    async def _person_of(self, report: UUID) -> int:
        with translated():
            async with self._script.pool.acquire() as connection:
                person: int | None = await connection.fetchval(queries.PERSON, report)
        if person is None:
            raise no_such_report()
        return person

    async def _release(self, act: Act, report: UUID, stream: str, asker: Asker) -> Released:
        row = await act.connection.fetchrow(queries.LOCK, report)
        if row["person_id"] not in act.held.pointers.into:
            raise TransientError("report_moved", "it is another person's now; it is tried again")
        reason = await act.connection.fetchval(queries.HELD, report, stream)
        if reason is None:
            raise PermanentError("not_on_hold", f"{stream} does not wait for this report")
        releasable(reason)
        await act.connection.execute(
            queries.WRITE_RELEASE,
            report,
            stream,
            reason,
            row["content_digest"],
            asker.actor,
            asker.reason,
            act.at,
        )
        done = await self._script.reemit_reports(act, [report], reason="replayed")
        act.said = f"report {report} {stream} {reason}"
        still = await act.connection.fetchval(queries.HELD, report, stream)
        return Released(
            report_id=report,
            stream=stream,
            reason=reason,
            stream_events=len(done.events),
            still="" if still is None else still,
            unreadable=bool(done.unreadable),
        )
