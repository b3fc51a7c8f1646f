"""The few figures of the live screen, read cheaply."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import msgspec

from ops.runtime.postgres import Connection

# Heads and progress are one row a partition; persons are estimated by their numbers.
READ: Final = """
SELECT 'head' AS what, coalesce(sum(next_offset), 0)::bigint AS n FROM intake_head
UNION ALL SELECT 'progress', coalesce(sum(next_offset), 0)::bigint FROM intake_progress
UNION ALL SELECT 'persons', count(*) FROM person
UNION ALL SELECT 'parked', count(*) FROM parked WHERE resolved_at IS NULL
UNION ALL SELECT 'paused', (SELECT count(*) FROM pause)
    + (SELECT count(*) FROM receiver WHERE state = 'paused' AND removed_at IS NULL)
UNION ALL SELECT stream, (sum(last_seq) - (SELECT coalesce(sum(s.skipped), 0)
    FROM stream_history s WHERE s.stream = h.stream))::bigint FROM stream_head h GROUP BY stream
"""
_SECTIONS: Final = ("head", "progress", "persons", "parked", "paused")
_TAIL_BYTES: Final = 16_384


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """One look: messages a second since the last look, totals since ever."""

    rate_in: float
    acknowledged: int
    persons: int
    parked: int
    paused: int
    lag: int
    events: dict[str, int]


class StatusReader:
    """Remembers the last look for the rate."""

    def __init__(self) -> None:
        self._last: tuple[float, int] | None = None

    async def read(self, connection: Connection) -> Status:
        """Look once."""
        counts = {row["what"]: row["n"] for row in await connection.fetch(READ)}
        now, head = time.monotonic(), counts["head"]
        rate = 0.0
        if self._last is not None and now > self._last[0]:
            rate = (head - self._last[1]) / (now - self._last[0])
        self._last = (now, head)
        return Status(
            rate_in=rate,
            acknowledged=head,
            persons=counts["persons"],
            parked=counts["parked"],
            paused=counts["paused"],
            lag=head - counts["progress"],
            events={k: n for k, n in sorted(counts.items()) if k not in _SECTIONS},
        )


def last_error(data_dir: Path) -> str:
    """Return the newest warning or error of any station's log: event name and reason only."""
    newest = ("", "")
    for path in sorted((data_dir / "logs").glob("*.log")):
        for line in reversed(_tail(path)):
            try:
                entry = msgspec.json.decode(line)
            except msgspec.MsgspecError:
                continue
            if isinstance(entry, dict) and entry.get("level") in {"warning", "error", "critical"}:
                moment = str(entry.get("timestamp", ""))
                said = f"{path.stem}: {entry.get('event', '')} {entry.get('reason', '')}".strip()
                newest = max(newest, (moment, f"{said} ({moment[11:19]})"))
                break
    return newest[1]


def _tail(path: Path) -> list[bytes]:
    with path.open("rb") as file:
        file.seek(0, 2)
        file.seek(max(0, file.tell() - _TAIL_BYTES))
        return file.read().splitlines()
