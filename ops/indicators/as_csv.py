"""Rows as CSV (RFC 4180): a header, a line a row, empty where a value is withheld. Pure."""

from __future__ import annotations

import csv
import io

from .columns import Rows


def rows_as_csv(rows: Rows, *, head: bool = True) -> str:
    """Return rows as CSV; without a head what follows on a page before."""
    text = io.StringIO()
    writer = csv.writer(text)
    if head:
        writer.writerow(rows.columns)
    writer.writerows(rows.values)
    return text.getvalue()
