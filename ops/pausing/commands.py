"""`labdispatch pause`, `resume` and `pauses`: what they print."""

from __future__ import annotations

import sys
from pathlib import Path

from ops.asking import Asker
from ops.looking import instance_at
from ops.printing import print_json
from ops.runtime.postgres import lent

from . import changes

_MEANS = {
    changes.STREAM: "nothing is published to its topic or pushed to its receivers; who reads it"
    " over HTTP reads on (`tokens revoke` ends that)",
    changes.LABORATORY: "its messages are answered as always, and parked (laboratory_paused)",
    changes.RECEIVER: "what is due waits in the outbox",
}


async def pause(data_dir: Path, what: str, name: str, asker: Asker) -> int:
    """Let something wait."""
    async with instance_at(data_dir, role="dispatch") as hub, lent(hub.pool) as connection:
        await changes.pause(connection, what, name, asker, hub.clock.now())
    sys.stdout.write(f"{what} {name} is paused: {_MEANS[what]}\n")
    return 0


async def resume(data_dir: Path, what: str, name: str, asker: Asker) -> int:
    """Let something go on; of a laboratory, do again what was parked meanwhile."""
    appends = what == changes.LABORATORY
    async with instance_at(data_dir, role="dispatch", appends=appends) as hub:
        async with lent(hub.pool) as connection:
            lab_id = await changes.resume(connection, what, name, asker)
        sys.stdout.write(f"{what} {name} goes on\n")
        if lab_id is not None:
            done = await changes.replay_paused(hub, lab_id, asker, _say)
            sys.stdout.write(f"{done:,} messages that were parked meanwhile are in the log again\n")
    return 0


async def print_pauses(data_dir: Path, *, as_json: bool) -> int:
    """Print what waits."""
    async with instance_at(data_dir) as hub, lent(hub.pool) as connection:
        found = await changes.list_paused(connection)
        now = hub.clock.now()
    if as_json:
        print_json(found)
    else:
        sys.stdout.write(changes.paused_as_text(found, now))
    return 0


def _say(total: int) -> None:
    sys.stderr.write(f"\r{total:,} put into the log again ")
