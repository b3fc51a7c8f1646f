"""Verdicts that move nobody: kept, taken back, proposed for another steward to confirm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dedup.review import PairVerdict

from . import queries
from .done import Done
from .script import Act


async def note(act: Act, pair: tuple[int, int], verdict: PairVerdict) -> Done:
    """Keep a verdict that moves nobody."""
    connection, pointers = act.connection, act.held.pointers
    before = await connection.fetchval(queries.HELD_VERDICT, *pair)
    sides = [act.held.cluster(pointers.end_of(each)) for each in pair]
    closed: list[Any] = []
    if verdict is PairVerdict.LATER:
        await connection.execute(queries.POSTPONE_ITEMS, *sides, act.at)
    else:
        closed = await connection.fetch(
            queries.CLOSE_ITEMS, *sides, act.at, act.actor, verdict.value
        )
    await connection.execute(queries.WRITE_VERDICT, *pair, verdict.value, act.actor, act.at)
    event = await act.event(
        "verdict",
        *pair,
        verdict.value,
        {"verdict_before": before or "", "closed": [row["review_item_id"] for row in closed]},
    )
    act.said = f"verdict {event}"
    return Done(act="verdict", event=event, persons=pair)


async def undo_verdict(
    act: Act, event: int, pair: tuple[int, int], evidence: Mapping[str, Any]
) -> Done:
    """Give a pair the verdict it had before a steward's word, as another word of a steward."""
    now = await act.connection.fetchval(queries.HELD_VERDICT, *pair)
    await put_back(act, pair, evidence)
    number = await act.event(
        "verdict", *pair, "undo", {"undoes": event, "verdict_before": now or "", "closed": []}
    )
    act.said = f"event {event} undone by {number}"
    return Done(act="verdict", event=number, persons=pair)


async def put_back(act: Act, pair: Any, evidence: Mapping[str, Any]) -> None:
    """Give a pair the verdict it had before an event, and open again what the event closed."""
    one, other = pair
    before = str(evidence.get("verdict_before", ""))
    if before:
        await act.connection.execute(queries.WRITE_VERDICT, one, other, before, act.actor, act.at)
    else:
        await act.connection.execute(queries.FORGET_VERDICT, one, other)
    closed = list(evidence.get("closed", []))
    if closed:
        await act.connection.execute(queries.REOPEN_ITEMS, closed)


async def is_second(act: Act, pair: tuple[int, int]) -> bool:
    """Say whether another steward has said `same` of this pair before."""
    rows = await act.connection.fetch(queries.PROPOSALS, *pair)
    return any(row["proposed_by"] != act.actor for row in rows)


async def propose(act: Act, pair: tuple[int, int]) -> Done:
    """Note who said `same` first; the persons stay as they are until another one says it too."""
    await act.connection.execute(queries.OPEN_ITEM, act.at, *pair, "four_eyes", "{}", "steward", 1)
    await act.connection.execute(queries.PROPOSE, *pair, act.actor, act.at)
    act.said = "proposed: another steward confirms"
    return Done(act="proposed", persons=pair)
