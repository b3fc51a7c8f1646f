"""How far an export is, on a terminal; silent where nobody looks."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)


class Bars:
    """Two bars on standard error: events read, rows written.

    Args:
        shown: Whether to show them where standard error is a terminal.
    """

    def __init__(self, *, shown: bool) -> None:
        self._progress = Progress(
            TextColumn("{task.description:<8}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not (shown and sys.stderr.isatty()),
        )
        self._reading = self._progress.add_task("reading", total=None)
        self._writing = self._progress.add_task("writing", total=None, visible=False)

    def __enter__(self) -> Self:
        """Show them."""
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave them as they stand."""
        self._progress.stop()

    def reading(self, events: int, total: int) -> None:
        """So many events were read."""
        self._progress.update(self._reading, completed=events, total=total)

    def writing(self, rows: int, total: int) -> None:
        """So many rows are in files."""
        self._progress.update(self._writing, completed=rows, total=total, visible=True)
