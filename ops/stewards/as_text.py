"""The queue, an item and a history for a terminal. Pure; values only where the item holds them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from .desk import Event, Item, Person, Shown
from .done import Done

_DAY: int = 86_400


def items_as_text(items: Sequence[Item], now: datetime) -> str:
    """Return the queue, the most urgent first."""
    if not items:
        return "nothing waits for a steward\n"
    lines = [f"{'item':>8} {'prio':>4} {'age':>6} {'bits':>8}  {'guard':<26} persons"]
    for each in items:
        bits = "" if each.bits is None else f"{each.bits:+.1f}"
        said = " (put off)" if each.postponed_at else ""
        said += f" (same, says {each.proposed_by})" if each.proposed_by else ""
        lines.append(
            f"{each.item:>8} {each.priority:>4} {age(each.opened_at, now):>6} {bits:>8}"
            f"  {each.guard:<26} {each.person} {each.other}{said}"
        )
    return "\n".join(lines) + "\n"


def item_as_text(shown: Shown, now: datetime) -> str:
    """Return an item with both sides field by field."""
    item = shown.item
    lines = [
        f"item {item.item}: {item.guard}, priority {item.priority}, {age(item.opened_at, now)} old"
        + (f", closed by {shown.closed_by}: {shown.verdict}" if shown.closed_at else "")
    ]
    lines += [_person(each) for each in (shown.one, shown.other)]
    held = shown.comparison
    if held is None:
        lines.append("the traits of one side can be read no more: their key was destroyed")
    else:
        lines.append(f"\n  {'field':<12} {'level':<18} {'bits':>9}  one | other")
        lines.append(f"  {'prior':<12} {'':<18} {held.prior:>+9.3f}")
        for each in held.fields:
            values = f"  {each.one} | {each.other}" if each.one or each.other else ""
            lines.append(f"  {each.field:<12} {each.level:<18} {each.bits:>+9.3f}{values}")
        lines.append(
            f"  {'total':<12} {'':<18} {held.total:>+9.3f}  posterior {held.posterior:.6f}"
            f"  ({held.model})"
        )
    lines.append("\nhistory, the newest first")
    return "\n".join(lines) + "\n" + history_as_text(shown.history)


def history_as_text(events: Sequence[Event]) -> str:
    """Return link events, the newest first."""
    lines = []
    for each in events:
        other = "" if each.other is None else f" and {each.other}"
        record = f" record {each.record}" if each.record else ""
        model = f" {each.model}" if each.model else ""
        lines.append(
            f"  {each.event:>8} {each.at:%Y-%m-%d %H:%M:%S} {each.kind:<8} {each.person}{other}"
            f" by {each.rule}{model}{record} ({each.actor})"
        )
    return "\n".join(lines) + "\n" if lines else "  nothing\n"


def done_as_text(done: Done) -> str:
    """Return what an act led to."""
    persons = ", ".join(str(each) for each in done.persons)
    match done.act:
        case "merge":
            said = f"one person now: {persons}"
        case "unmerge":
            said = f"persons now: {persons}"
        case "verdict":
            said = f"kept for persons {persons}"
        case "proposed":
            return f"proposed for persons {persons}: another steward says `same` too\n"
        case _:
            said = f"{done.act} of person {persons}"
    said += f"; {done.reports} reports looked at, {done.stream_events} events to the streams"
    if done.unreadable:
        said += f"; {done.unreadable} reports can be read no more: moved, not emitted again"
    if done.remaining:
        said += "; dispatch goes on with the rest"
    if done.event:
        said += f"\nundo: labdispatch identity undo {done.event}"
    return said + "\n"


def age(since: datetime, now: datetime) -> str:
    """Return an age as a person says it: 5m, 3h, 12d."""
    seconds = max(0, int((now - since).total_seconds()))
    if seconds < 3_600:
        return f"{seconds // 60}m"
    return f"{seconds // 3_600}h" if seconds < 2 * _DAY else f"{seconds // _DAY}d"


def _person(each: Person) -> str:
    parts = [f"{each.identities} sets of traits", f"{each.reports} reports"]
    if each.ins_oids:
        parts.append("INS " + ", ".join(each.ins or each.ins_oids))
    if each.stands_for != each.person:
        parts.append(f"merged: stands for {each.stands_for}")
    elif each.merged:
        parts.append("holds " + ", ".join(str(one) for one in each.merged))
    if each.isolated:
        parts.append("isolated")
    return f"  person {each.person}: " + "; ".join(parts)
