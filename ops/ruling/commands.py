"""The commands of `labdispatch route` that talk to a running instance: what they print."""

from __future__ import annotations

import re
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import msgspec

from ops.asking import Asker
from ops.behind_the_door import dispatcher_of, past_of, router_of
from ops.bootstrap import Hub
from ops.looking import instance_at
from ops.printing import print_json, table_of
from ops.runtime.postgres import Connection, translated
from ops.stewards.commands import moment
from routing.case import Case
from routing.rule_file import load_rules
from routing.rules import Rules
from schemas.envelope import control_key_of
from schemas.errors import PermanentError, pure_step

from . import loading
from .applying import Applying, applied_as_text
from .differing import Difference, Differing, difference_as_text
from .explained import Held, MessageExplained, ReportExplained, as_text, explain_case
from .files import read_source, rules_of
from .loading import SHIPPED_BY, Order

_MESSAGES: Final = 50
"""The most records that one id may name."""
_AHEAD: Final = re.compile(r"\+(\d{1,5})([mhd])")
_UNITS: Final = {"m": 60, "h": 3_600, "d": 86_400}

RECORDS: Final = """
SELECT o.partition, o."offset", o.message_id, o.ending, o.reason, o.report_ids
FROM outcome o WHERE o.message_id = ANY ($1::uuid[]) OR o.control_key = $2
ORDER BY o.received_at, o.partition, o."offset" LIMIT $3
"""
LAST_EVENTS: Final = """
SELECT DISTINCT ON (m.report_id, e.stream, e.part) m.report_id, e.stream, e.part,
       e.event_version, e.kind, e.rule, e.rule_version
FROM emitted m
JOIN stream_event e ON e.report_id = coalesce(m.told_as, m.report_id) AND e.stream = m.stream
                   AND e.part = m.part
WHERE m.report_id = ANY ($1::uuid[])
ORDER BY m.report_id, e.stream, e.part, e.event_version DESC
"""


@asynccontextmanager
async def _connection_at(data_dir: Path) -> AsyncIterator[tuple[Hub, Connection]]:
    async with instance_at(data_dir) as hub:
        with translated():
            async with hub.pool.acquire() as connection:
                yield hub, connection


async def load_file(
    data_dir: Path, name: str, *, at: str, actor: str, why: str, as_json: bool
) -> int:
    """Load a file of rules and put it into effect at a time; say what that leads to."""
    source = read_source(name)
    rules = rules_of(name, source)
    if actor == SHIPPED_BY:
        raise PermanentError("bad_actor", "that name stands for the release itself: give yours")
    async with _connection_at(data_dir) as (hub, connection):
        now = hub.clock.now()
        order = Order(actor=actor, why=why, now=now)
        async with connection.transaction():
            loaded = await loading.put_into_effect(connection, source, order, _from(at, now))
    when = _time(loaded.effective_at)
    if as_json:
        print_json(loaded)
    elif loaded.is_new:
        follows = f", after {loaded.before}" if loaded.before else ""
        sys.stdout.write(f"{rules.version} is in effect from {when}{follows}\n")
    else:
        sys.stdout.write(f"{rules.version} is in effect at {when} already: nothing was changed\n")
    return 0


async def print_list(data_dir: Path, *, as_json: bool) -> int:
    """Print which set is in effect from when."""
    async with _connection_at(data_dir) as (hub, connection):
        found = await loading.effects(connection, hub.clock.now())
    if as_json:
        print_json(found)
        return 0
    rows = [
        [each.version, each.state, _time(each.effective_at), each.actor, each.why] for each in found
    ]
    sys.stdout.write(table_of(["version", "state", "from", "by", "why"], rows))
    return 0


async def print_set(data_dir: Path, version: str) -> int:
    """Print the file of a set as it was loaded."""
    async with _connection_at(data_dir) as (hub, connection):
        source = await loading.source_of(connection, version, hub.clock.now())
    sys.stdout.write(source.decode())
    return 0


async def explain_messages(
    data_dir: Path, wanted: str, *, rules_name: str | None, as_json: bool
) -> int:
    """Print rule by rule why the reports of a message go where they go; 1 where there is none."""
    tried = None if rules_name is None else rules_of(rules_name, read_source(rules_name))
    async with _connection_at(data_dir) as (hub, connection):
        found = await explain_held(hub, connection, wanted, tried)
    if as_json:
        print_json(found)
    elif found:
        sys.stdout.write(as_text(found))
    else:
        sys.stdout.write(
            "nothing has this message id, control id or report id, or it is not handled yet\n"
        )
    return 0 if any(each.reports for each in found) else 1


async def explain_held(
    hub: Hub, connection: Connection, wanted: str, tried: Rules | None = None
) -> list[MessageExplained]:
    """Return why the reports of a message go where they go, as they stand now.

    Args:
        hub: The instance.
        connection: Any.
        wanted: A message id, control id or report id.
        tried: By these rules; None: by those in effect.
    """
    named = _ids(wanted)
    rows = await connection.fetch(RECORDS, named, control_key_of(wanted), _MESSAGES)
    ids = sorted({each for row in rows for each in row["report_ids"]}) or named
    rules = tried or load_rules(await loading.source_of(connection, "", hub.clock.now()))
    cases = {
        case.report_id: case
        for case in await past_of(hub, dispatcher_of(hub)).named(
            connection, ids, laboratories=bool(rules.sight.laboratories)
        )
    }
    held: dict[UUID, list[Held]] = {}
    for row in await connection.fetch(LAST_EVENTS, ids):
        fields = {name: row[name] for name in Held.__struct_fields__}
        held.setdefault(row["report_id"], []).append(Held(**fields))
    if rows:
        return [_message(row, rules, cases, held) for row in rows]
    return [
        MessageExplained(
            where=f"report {each}", reports=(_report(rules, case, held.get(each, ())),)
        )
        for each, case in cases.items()
    ]


def _message(
    row: Mapping[str, Any],
    rules: Rules,
    cases: Mapping[UUID, Case],
    held: Mapping[UUID, list[Held]],
) -> MessageExplained:
    where = f"message {row['message_id']}"
    reports = tuple(
        _report(rules, cases[each], held.get(each, ()))
        for each in row["report_ids"]
        if each in cases
    )
    gone = row["report_ids"] and not reports
    return MessageExplained(
        where=where,
        reports=reports,
        ending=row["ending"],
        reason="it can be read no more" if gone else row["reason"],
    )


def _report(rules: Rules, case: Case, held: Sequence[Held]) -> ReportExplained:
    told = explain_case(rules, case, f"report {case.report_id}")
    return msgspec.structs.replace(
        told, report_id=case.report_id, version=case.version, held=tuple(held)
    )


async def print_difference(
    data_dir: Path, name: str, *, since: str, until: str | None, as_json: bool
) -> int:
    """Print which past reports other rules would send elsewhere; give 1 where there are some."""
    tried = rules_of(name, read_source(name))
    async with _connection_at(data_dir) as (hub, connection):
        now = hub.clock.now()
        first = moment(since, now)
        last = now if until is None else moment(until, now)
        found = await difference(hub, connection, tried, first, last)
    _progress(None)
    if as_json:
        print_json(found)
    else:
        sys.stdout.write(difference_as_text(found))
    return 1 if found.moved else 0


async def apply_rules(
    data_dir: Path, asker: Asker, *, since: str, until: str | None, dry_run: bool, as_json: bool
) -> int:
    """Let the rules in effect count for reports that came before them; print what that leads to."""
    async with _connection_at(data_dir) as (hub, connection):
        now = hub.clock.now()
        done = await applying_of(hub).apply(
            connection,
            moment(since, now),
            now if until is None else moment(until, now),
            asker,
            now=now,
            dry_run=dry_run,
            progress=_progress,
        )
    _progress(None)
    if as_json:
        print_json(done)
    else:
        sys.stdout.write(applied_as_text(done))
    return 0


def applying_of(hub: Hub) -> Applying:
    """Return what applies the rules in effect, on the parts of dispatch."""
    dispatcher = dispatcher_of(hub)
    return Applying(past_of(hub, dispatcher), dispatcher.publisher)


async def difference(
    hub: Hub, connection: Connection, tried: Rules, since: datetime, until: datetime
) -> Difference:
    """Return which reports that came in [since, until) other rules would send elsewhere."""
    before = load_rules(await loading.source_of(connection, "", hub.clock.now()))
    differing = Differing(router_of(hub, before), router_of(hub, tried))
    past = past_of(hub, dispatcher_of(hub))
    unreadable = 0
    named = bool(before.sight.laboratories | tried.sight.laboratories)
    async for page in past.since(connection, since, until, laboratories=named):
        with pure_step():
            differing.look(page.cases)
        unreadable += page.unreadable
        _progress(differing.found.reports)
    return differing.finish(unreadable)


def _from(text: str, now: datetime) -> datetime:
    """Return the moment that `now`, `+30m`, `+2h`, `+1d` or an ISO time names; UTC without a zone.

    Raises:
        PermanentError: It names none (`bad_from`).
    """
    if text == "now":
        return now
    ahead = _AHEAD.fullmatch(text)
    if ahead is not None:
        return now + timedelta(seconds=int(ahead[1]) * _UNITS[ahead[2]])
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise PermanentError(
            "bad_from", "give now, +30m, +2h or +1d, or a time as 2026-12-01T06:00+01:00"
        ) from None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _ids(text: str) -> list[UUID]:
    try:
        return [UUID(text)]
    except ValueError:
        return []


def _time(moment_: datetime) -> str:
    return moment_.astimezone(UTC).isoformat(timespec="seconds")


def _progress(reports: int | None) -> None:
    """Say at a terminal how far it is; None ends the line."""
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K" if reports is None else f"\r{reports:,} reports looked at")
        sys.stderr.flush()
