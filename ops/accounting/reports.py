"""What a laboratory is told of its day: sums by ending, and control ids of what did not go.

No nominative value: a control id (MSH-10) is the laboratory's own number of a message, and codes
and places are ours. JSON for programs, CSV for a spreadsheet.
"""

from __future__ import annotations

import asyncio
import csv
import io
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from ops.prepare import Opener
from ops.runtime.postgres import Connection
from schemas.envelope import AcceptedMessage
from schemas.errors import PermanentError

from . import queries
from .days import DayAccount, read_day

_PAGE: Final = 500
_AT_ONCE: Final = 10
"""Payloads that are opened before others of this process have their turn: its doors answer too."""


class ReportItem(msgspec.Struct, frozen=True, kw_only=True):
    """A message that was refused, or is or was parked."""

    control_id: str
    """MSH-10; empty where the message can be read no more."""
    message_id: UUID
    received_at: datetime
    ending: str
    reason: str
    place: str
    """Segment, field and component; never a value."""


class LaboratoryReport(msgspec.Struct, frozen=True, kw_only=True):
    """A laboratory's day."""

    account: DayAccount
    items: list[ReportItem]
    items_left_out: bool
    """There are more than are listed."""


async def report_of(
    connection: Connection,
    opener: Opener,
    day: date,
    lab: tuple[int, str],
    *,
    from_copy: bool,
    most_items: int,
) -> LaboratoryReport:
    """Return what a laboratory is told of a day.

    Args:
        connection: To the database.
        opener: Opens payloads, for the control ids alone.
        day: Of reception, in Europe/Paris.
        lab: Its number and registry id.
        from_copy: Whether our own copy is read (cluster), and not the log's table.
        most_items: How many messages are listed one by one.
    """
    lab_id, laboratory = lab
    account = await read_day(connection, day, lab_id=lab_id, laboratory=laboratory)
    statement = queries.ITEMS_MESSAGES if from_copy else queries.ITEMS_INTAKE
    items: list[ReportItem] = []
    after = -1
    while len(items) <= most_items:
        rows = await connection.fetch(statement, day, lab_id, after, _PAGE)
        for begin in range(0, len(rows), _AT_ONCE):
            items += [_item(opener, row) for row in rows[begin : begin + _AT_ONCE]]
            await asyncio.sleep(0)
        if len(rows) < _PAGE:
            break
        after = rows[-1]["at"]
    return LaboratoryReport(
        account=account,
        items=items[:most_items],
        items_left_out=len(items) > most_items,
    )


def _item(opener: Opener, row: Any) -> ReportItem:
    control_id = ""
    if row["payload"] is not None:
        try:
            plaintext = opener.open(row["payload"], row["message_id"].bytes)
            control_id = AcceptedMessage.from_bytes(plaintext).control_id
        except PermanentError:
            control_id = ""  # its key is destroyed: the message id still names it
    return ReportItem(
        control_id=control_id,
        message_id=row["message_id"],
        received_at=row["received_at"],
        ending=row["ending"],
        reason=row["reason"],
        place=row["place"],
    )


def as_csv(report: LaboratoryReport) -> str:
    """Return a report for a spreadsheet: first the sums, a line each, then the messages.

    A value that a spreadsheet would take for a formula is led by an apostrophe.
    """
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\r\n")
    out.writerow(["what", "reason", "messages", "control_id", "message_id", "received_at", "place"])
    account = report.account

    def sums(name: str, n: int, split: dict[str, int] | None = None) -> None:
        out.writerow([name, "", n, "", "", "", ""])
        for reason, each in (split or {}).items():
            if reason:
                out.writerow([name, reason, each, "", "", "", ""])

    sums("received", account.received)
    sums("dispatched", account.dispatched)
    sums("duplicate", account.duplicate, account.duplicate_by_reason)
    sums("refused", account.refused, account.refused_by_reason)
    sums("parked", account.parked, account.parked_by_reason)
    sums("in_flight", account.in_flight)
    for item in report.items:
        out.writerow([
            f"{item.ending} message", item.reason, "", _plain(item.control_id), item.message_id,
            item.received_at.isoformat(), item.place,
        ])  # fmt: skip
    return text.getvalue()


def _plain(text: str) -> str:
    return f"'{text}" if text[:1] in {"=", "+", "-", "@", "\t", "\r"} else text
