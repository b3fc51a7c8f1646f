"""What commands print: JSON for a program, aligned columns for a person."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import msgspec

from ops.checking.shapes import for_terminal


def print_json(what: object) -> None:
    """Print one line of JSON."""
    sys.stdout.write(msgspec.json.encode(what).decode() + "\n")


def table_of(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return rows as aligned columns for a terminal; numbers stand to the right."""
    texts = [list(head), *([f"{each:,}" if isinstance(each, int) else for_terminal(str(each))
                            for each in row] for row in rows)]  # fmt: skip
    widths = [max(len(text[n]) for text in texts) for n in range(len(head))]
    right = [all(isinstance(row[n], int | float) for row in rows) for n in range(len(head))]
    lines = (
        "  ".join(
            text.rjust(width) if is_right else text.ljust(width)
            for text, width, is_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in texts
    )
    return "\n".join(lines) + "\n"
