"""`account`, `trace` and `replay`: commands that talk to a running instance."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

from ops.account import as_text, take_account
from ops.bootstrap import Hub, open_hub
from ops.printing import print_json
from ops.replay import append_replay
from ops.runtime import logs
from ops.runtime.settings import Engine, load_settings
from ops.trace import Trace, trace
from schemas.errors import HubError, PermanentError, TransientError


@asynccontextmanager
async def instance_at(
    data_dir: Path, *, appends: bool = False, role: str = "looking"
) -> AsyncIterator[Hub]:
    """Open the instance of a data folder for looking, for one append to its log, or for a change.

    Raises:
        TransientError: No instance runs there (`not_running`).
    """
    settings = load_settings(data_dir=data_dir)
    # To standard error: what a command prints is read by programs.
    logs.configure(settings, "command")
    try:
        async with open_hub(settings, role, connections=2, appends=appends) as hub:
            yield hub
    except HubError as error:
        stopped = error.reason == "database_away" and settings.engine is Engine.EMBEDDED
        if not stopped and error.reason != "no_embedded_postgres":
            raise
        raise TransientError(
            "not_running", f"start it: labdispatch run --data-dir {data_dir}"
        ) from None


async def print_account(data_dir: Path, *, from_scratch: bool, as_json: bool) -> int:
    """Print the account; give 1 when it does not close."""
    async with instance_at(data_dir) as hub:
        account = await take_account(
            hub.pool, hub.log, hub.instance.engine, from_scratch=from_scratch
        )
    if as_json:
        print_json(account)
    else:
        sys.stdout.write(as_text(account) + "\n")
    return 0 if account.closes else 1


async def print_trace(data_dir: Path, wanted: Sequence[str], *, as_json: bool) -> int:
    """Print the ways of some messages; give 1 when there is none with such an id."""
    async with instance_at(data_dir) as hub:
        traces = await trace(hub.pool, hub.log, hub.vault, wanted)
    if as_json:
        print_json(traces)
    else:
        sys.stdout.write(_as_text(traces))
    return 0 if traces else 1


async def request_replay(data_dir: Path, wanted: str, *, reason: str, actor: str) -> int:
    """Append a replay of a message to the log; give 1 when there is none with this id."""
    async with instance_at(data_dir, appends=True) as hub:
        traces = [
            t for t in await trace(hub.pool, hub.log, hub.vault, [wanted]) if t.kind != "replay"
        ]
        if not traces:
            raise PermanentError("not_found", "no message has this message id or control id")
        if len(traces) > 1:
            ids = ", ".join(str(t.message_id) for t in traces[:5])
            raise PermanentError("ambiguous", f"several messages have this id; name one of {ids}")
        found = traces[0]
        replayed: UUID = await append_replay(
            hub, partition=found.partition, offset=found.offset, reason=reason, actor=actor
        )
    sys.stdout.write(f"replay {replayed} of message {found.message_id} is in the log\n")
    return 0


def _as_text(traces: list[Trace]) -> str:
    if not traces:
        return "no message has this message id or control id\n"
    lines = []
    for held in traces:
        lines.append(
            f"{held.kind} {held.message_id} from {held.laboratory or '?'}"
            f" at partition {held.partition}, offset {held.offset}"
        )
        for station in held.stations:
            name = station["station"]
            at = station.get("at") or station.get("decided_at") or station.get("emitted_at") or ""
            rest = ", ".join(
                f"{key} {_for_eyes(value)}"
                for key, value in station.items()
                if key not in {"station", "at", "decided_at", "emitted_at"}
                and value not in (None, "", [], {})
            )
            lines.append(f"  {name:<9} {at!s:<32} {rest}")
    return "\n".join(lines) + "\n"


def _for_eyes(value: object) -> str:
    """Return what a station says of one thing as a person reads it; a program has `--json`."""
    if isinstance(value, dict):
        return " ".join(f"{key} {_for_eyes(each)}" for key, each in value.items())
    if isinstance(value, (list, tuple)):
        return "; ".join(_for_eyes(each) for each in value)
    return str(value)
