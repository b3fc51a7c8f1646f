"""`account` and `replay`: commands that talk to a running instance."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

from ops.account import as_text, take_account
from ops.bootstrap import Hub, open_hub
from ops.printing import print_json
from ops.replay import append_replay
from ops.runtime import logs
from ops.runtime.settings import Engine, load_settings
from ops.tracing.asking import trace
from ops.tracing.finding import Wanted
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


async def request_replay(data_dir: Path, wanted: str, *, reason: str, actor: str) -> int:
    """Append a replay of a message to the log; give 1 when there is none with this id."""
    async with instance_at(data_dir, appends=True) as hub:
        traces = [t for t in await trace(hub, Wanted(ids=(wanted,))) if t.kind != "replay"]
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
