"""`labdispatch labs silent` and `labs closure`: what they print."""

from __future__ import annotations

import sys
from datetime import date, timedelta
from pathlib import Path

from ops.asking import Asker
from ops.looking import instance_at
from ops.measuring.laboratories import Laboratories
from ops.printing import print_json, table_of
from ops.runtime.postgres import lent

from . import closing
from .routes import noticed
from .standing import Standing
from .watch import Seen, SilenceDesk, bounds_of

_SHOWN = 100


async def print_silent(data_dir: Path, *, everybody: bool, as_json: bool) -> int:
    """Print how laboratories stand; give 1 when one is silent."""
    async with instance_at(data_dir) as hub:
        desk = SilenceDesk(hub.pool, Laboratories(hub.pool, hub.clock), bounds_of(hub.settings))
        seen = await desk.ask()
    shown = seen if everybody else noticed(seen)
    if as_json:
        print_json(shown)
    else:
        sys.stdout.write(as_text(shown))
    return int(any(each.standing == "silent" for each in seen.laboratories))


def as_text(seen: Seen) -> str:
    """Return the list for a terminal, `_SHOWN` rows at most."""
    network = seen.network
    share = "unknown" if network.completeness is None else f"{network.completeness:.1%}"
    head = (
        f"{network.judged:,} laboratories can be judged; in 24 hours {share} of what they usually"
        " send has come\n"
    )
    if not seen.laboratories:
        return head + "none is silent, none sends too little\n"
    rows = [_row(each) for each in seen.laboratories[:_SHOWN]]
    table = table_of(("laboratory", "standing", "score", "silent", "24 h", "usual", "7 days"), rows)
    more = len(seen.laboratories) - len(rows)
    return head + table + (f"... and {more:,} more (--json names all)\n" if more else "")


def _row(each: Standing) -> tuple[object, ...]:
    silent = "never sent" if each.silent_seconds is None else f"{each.silent_seconds / 3_600:.1f} h"
    usual = "" if each.expected is None else f"{each.expected:.0f}"
    week = "" if each.week_completeness is None else f"{each.week_completeness:.0%}"
    score = max(each.score, each.short_score)
    return each.laboratory, each.standing, f"{score:.1f}", silent, each.received, usual, week


async def add_closure(data_dir: Path, lab: str, first: date, last: date, asker: Asker) -> None:
    """Note a closure."""
    async with instance_at(data_dir) as hub, lent(hub.pool) as connection:
        noted = await closing.add(connection, lab, first, last, asker=asker, now=hub.clock.now())
    sys.stdout.write(
        f"{noted.laboratory} is closed from {noted.first_day} to {noted.last_day}: its silence is"
        " not judged, and nothing is learned from these days\n"
    )


async def remove_closure(data_dir: Path, lab: str, first: date, asker: Asker) -> None:
    """Take a closure away."""
    async with instance_at(data_dir) as hub, lent(hub.pool) as connection:
        last = await closing.remove(connection, lab, first, asker)
    sys.stdout.write(f"the closure from {first} to {last} is gone\n")


async def print_closures(data_dir: Path, lab: str | None, *, as_json: bool) -> None:
    """Print closures that last until today or later."""
    async with instance_at(data_dir) as hub, lent(hub.pool) as connection:
        since = hub.clock.now().date() - timedelta(days=1)
        found = await closing.listed(connection, lab, since)
    if as_json:
        print_json({"closures": found})
    elif found:
        rows = [(each.laboratory, str(each.first_day), str(each.last_day), each.actor)
                for each in found]  # fmt: skip
        sys.stdout.write(table_of(("laboratory", "from", "to", "by"), rows))
    else:
        sys.stdout.write("no closure is noted\n")
