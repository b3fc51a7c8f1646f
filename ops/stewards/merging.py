"""Merge: a pointer and an event, and what both were known by before, so that it can be undone."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from dedup.review import PairVerdict, check_no_other_verdict, kept_of, pair_of
from ops.runtime.failpoints import hit
from schemas.errors import PermanentError

from . import queries
from .persons import look, own_rows
from .script import Act, Script


class Merged(msgspec.Struct, frozen=True, kw_only=True):
    """What a merge was, by numbers."""

    event: int
    kept: int
    gone: int
    reports: int
    events: int
    unreadable: int
    remaining: bool


async def join(
    act: Act, one: int, other: int, *, rule: str, evidence: Mapping[str, object]
) -> tuple[int, int, int]:
    """Merge whom two persons stand for; return the event, who is kept and who is gone.

    Moves pointer, reports and oppositions and closes review items; the streams are the caller's,
    by `Script.reemit`.

    Raises:
        PermanentError: They are one person already, one is isolated, or another verdict of a
            steward says that they differ.
    """
    pair = pair_of(one, other)
    pointers = act.held.pointers
    kept, gone = kept_of(pointers.end_of(one), pointers.end_of(other))
    if kept == gone:
        raise PermanentError("one_person_already", f"both stand for person {kept}")
    if act.held.isolated & {kept, gone}:
        raise PermanentError(
            "isolated_person",
            "an isolated person is nobody's: its identity is doubtful, fictitious or a placeholder;"
            " the laboratory corrects the identity and sends again",
        )
    rows = await act.connection.fetch(queries.VERDICTS, act.held.everybody)
    standing = {(row["person_id"], row["other_person_id"]): row["verdict"] for row in rows}
    check_no_other_verdict(pair, standing, pointers)
    sides = act.held.cluster(kept), act.held.cluster(gone)
    closed = await act.connection.fetch(
        queries.CLOSE_ITEMS, *sides, act.at, act.actor, PairVerdict.SAME.value
    )
    event = await act.event(
        "merge",
        kept,
        gone,
        rule,
        {
            "pair": pair,
            "verdict_before": standing.get(pair, ""),
            "closed": [row["review_item_id"] for row in closed],
            **evidence,
        },
    )
    await _write(act, event, kept, gone)
    act.joined.append(gone)
    hit("stewards.after_pointer")
    act.held = await look(act.connection, act.held.everybody, most=len(act.held.everybody))
    return event, kept, gone


async def _write(act: Act, event: int, kept: int, gone: int) -> None:
    connection = act.connection
    before = (await own_rows(connection, [kept]))[kept]
    await connection.execute(
        queries.WRITE_MERGE,
        event,
        kept,
        gone,
        sorted(before.aliases),
        sorted(before.ins),
        sorted(before.keys),
    )
    # Locked before they are noted: dispatch moves a report between persons under its row alone.
    await connection.fetch(queries.LOCK_REPORTS, [kept, gone])
    await connection.execute(queries.WRITE_MERGE_REPORTS, event, kept, gone)
    await connection.execute(queries.POINT, gone, kept)
    await connection.execute(queries.MOVE_ALL_REPORTS, gone, kept)
    await connection.execute(queries.JOIN_OPPOSITIONS, gone, kept)


async def merge(
    script: Script, act: Act, one: int, other: int, *, rule: str, evidence: Mapping[str, object]
) -> Merged:
    """Merge two persons, note `same`, and let every stream know; see `join`."""
    event, kept, gone = await join(act, one, other, rule=rule, evidence=evidence)
    await act.connection.execute(
        queries.WRITE_VERDICT, *pair_of(one, other), PairVerdict.SAME.value, act.actor, act.at
    )
    done = await script.reemit(act, [kept], reason="identity_changed")
    act.said = f"merge {event}: {gone} into {kept}"
    return Merged(
        event=event,
        kept=kept,
        gone=gone,
        reports=done.reports,
        events=len(done.events),
        unreadable=done.unreadable,
        remaining=bool(done.remaining),
    )
