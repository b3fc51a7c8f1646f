"""`labdispatch account`: what its commands of days print."""

from __future__ import annotations

import sys
from datetime import date, timedelta
from pathlib import Path

from ops.asking import Asker
from ops.looking import instance_at
from ops.printing import print_json
from ops.runtime.postgres import lent

from .counting import day_of
from .days import (
    day_as_text,
    days_as_text,
    gaps_as_text,
    lab_of,
    list_days,
    list_gaps,
    note_gap,
    read_day,
)
from .keeping import write_files
from .reports import report_of


async def print_day(data_dir: Path, day: date, laboratory: str, *, as_json: bool) -> int:
    """Print the account of a day; give 1 when it does not close."""
    async with instance_at(data_dir) as hub, lent(hub.pool) as connection:
        lab_id, name = await lab_of(connection, laboratory) if laboratory else (None, "")
        account = await read_day(connection, day, lab_id=lab_id, laboratory=name)
    if as_json:
        print_json(account)
    else:
        sys.stdout.write(day_as_text(account))
    return 0 if account.closes else 1


async def print_days(data_dir: Path, days: int, laboratory: str, *, as_json: bool) -> int:
    """Print the last days; give 1 when one does not close."""
    async with instance_at(data_dir) as hub, lent(hub.pool) as connection:
        lab_id = (await lab_of(connection, laboratory))[0] if laboratory else None
        after = day_of(hub.clock.now()) - timedelta(days=days)
        found = await list_days(connection, after, lab_id=lab_id)
    if as_json:
        print_json(found)
    else:
        sys.stdout.write(days_as_text(found))
    return int(any(each.gap for each in found))


async def print_gaps(data_dir: Path, *, as_json: bool) -> int:
    """Print what does not close; give 1 when something waits for a word."""
    async with instance_at(data_dir) as hub, lent(hub.pool) as connection:
        found = await list_gaps(connection)
    if as_json:
        print_json(found)
    else:
        sys.stdout.write(gaps_as_text(found))
    return int(any(each.noted_by is None for each in found))


async def note(data_dir: Path, day: date, asker: Asker) -> int:
    """Note that somebody knows why a day does not close."""
    async with instance_at(data_dir, role="dispatch") as hub, lent(hub.pool) as connection:
        rows = await note_gap(connection, day, asker)
    sys.stdout.write(f"{day}: {rows} noted; the difference stays in the account\n")
    return 0


async def write_report(data_dir: Path, day: date, laboratory: str, folder: Path) -> int:
    """Write the report of a laboratory's day into a folder of your choice."""
    async with instance_at(data_dir) as hub, lent(hub.pool) as connection:
        report = await report_of(
            connection,
            hub.vault,
            day,
            await lab_of(connection, laboratory),
            from_copy=hub.is_cluster,
            most_items=hub.settings.account_report_items,
        )
    for path in write_files(folder, report, date.min):
        sys.stdout.write(f"{path}\n")
    return 0 if report.account.closes else 1
