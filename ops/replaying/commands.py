"""`labdispatch replay --from --to`: what it prints."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from dedup.model import SERVICE_MODEL, Model, load_model
from ops.asking import Asker
from ops.behind_the_door import dispatcher_of, router_of
from ops.bootstrap import Hub
from ops.looking import instance_at
from ops.printing import print_json, table_of
from ops.ruling.in_effect import RulesInEffect
from ops.runtime.postgres import lent
from routing.rules import Rules

from .difference import Differences, difference_as_text
from .looking import Looking
from .ranges import range_of
from .running import Run, abandon, begin, go_on, limits_of, list_runs, rehearse_range


async def rehearse(  # noqa: PLR0917 - each is an option of the command line
    data_dir: Path,
    since: datetime,
    until: datetime,
    laboratory: str,
    stream: str,
    rules: str,
    model: str,
    *,
    most: int,
    as_json: bool,
) -> int:
    """Print what a range would become; nothing is written."""
    tried_model = load_model(model) if model else None
    async with instance_at(data_dir, role="dispatch") as hub:
        async with lent(hub.pool) as connection:
            of = await range_of(hub, connection, since, until, laboratory, stream)
            tried = await _rules(hub, rules)
        named = (tried_model or load_model(SERVICE_MODEL)).version
        differences = Differences(stream, rules, named)
        looking = _looking(hub, differences, tried, tried_model)
        await rehearse_range(hub, looking, of, limits_of(hub), most=most, progress=_say)
    _say(None)
    found = differences.finish()
    if as_json:
        print_json(found)
    else:
        sys.stdout.write(difference_as_text(found) + "nothing was done (--dry-run)\n")
    return 0


async def replay_range(  # noqa: PLR0917 - each is an option of the command line
    data_dir: Path,
    since: datetime,
    until: datetime,
    laboratory: str,
    stream: str,
    asker: Asker,
    *,
    as_json: bool,
) -> int:
    """Do a range again: what differs is put into the log."""
    async with instance_at(data_dir, role="dispatch", appends=True) as hub:
        async with lent(hub.pool) as connection:
            of = await range_of(hub, connection, since, until, laboratory, stream)
        await begin(hub, of, asker)
        run = await go_on(hub, lambda stream: _looking_now(hub, stream), _say)
    _tell([run], as_json=as_json)
    return 0


async def resume_range(data_dir: Path, *, as_json: bool) -> int:
    """Go on with the range that was stopped."""
    async with instance_at(data_dir, role="dispatch", appends=True) as hub:
        run = await go_on(hub, lambda stream: _looking_now(hub, stream), _say)
    _tell([run], as_json=as_json)
    return 0


async def abandon_range(data_dir: Path, asker: Asker) -> int:
    """End the range that was stopped where it stands."""
    async with instance_at(data_dir, role="dispatch") as hub, lent(hub.pool) as connection:
        run_id = await abandon(connection, asker, hub.clock.now())
    sys.stdout.write(f"run {run_id} ends here; what was replayed stays\n")
    return 0


async def print_runs(data_dir: Path, *, as_json: bool) -> int:
    """Print the last ranges."""
    async with instance_at(data_dir) as hub, lent(hub.pool) as connection:
        runs = await list_runs(connection)
    _tell(runs, as_json=as_json)
    return 0


def _looking_now(hub: Hub, stream: str) -> Looking:
    differences = Differences(stream, "", load_model(SERVICE_MODEL).version)
    return _looking(hub, differences, None, None)


def _looking(
    hub: Hub, differences: Differences, rules: Rules | None, model: Model | None
) -> Looking:
    return Looking(hub.pool, dispatcher_of(hub, tried=rules, model=model), differences)


async def _rules(hub: Hub, version: str) -> Rules | None:
    """Return a set that was loaded, by its version; None: those in effect."""
    if not version:
        return None
    async with lent(hub.pool) as connection:
        return await RulesInEffect(lambda rules: router_of(hub, rules)).load(connection, version)


def _tell(runs: Sequence[Run], *, as_json: bool) -> None:
    _say(None)
    if as_json:
        print_json(runs)
        return
    head = ["run", "state", "from", "to", "laboratory", "stream", "looked", "differ", "replayed"]
    sys.stdout.write(
        table_of(
            head,
            [
                [run.run_id, run.state, run.from_at.isoformat(), run.until_at.isoformat(),
                 run.laboratory, run.stream, run.looked, run.differ, run.replayed]
                for run in runs
            ],
        )
    )  # fmt: skip


def _say(looked: int | None) -> None:
    """Say at a terminal how far it is; None ends the line."""
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K" if looked is None else f"\r{looked:,} messages looked at")
        sys.stderr.flush()
