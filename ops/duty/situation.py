"""What `status` tells, from rows and figures that were read before: pure, but for the clock given.

A line says how a thing is; where it wants a person, what to do first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from ops.doctor.checks import Check, advice, good, not_used, wrong
from ops.figures import Figures

# The same bounds as the alerts have (ops/prometheus/alerts.yml).
_LAG_OLD: Final = timedelta(seconds=60)
_REVIEW_OLD: Final = timedelta(days=7)
_HOLD_OLD: Final = timedelta(days=3)
_PURGE_OLD: Final = timedelta(days=2)
_FAILING: Final = timedelta(minutes=15)
_RELAY_BEHIND: Final = 5_000
_ROLES: Final = ("ingest", "dispatch", "relay", "push", "indicators", "api")

Row = Mapping[str, Any]


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """One process of a run on this machine."""

    role: str
    pid: int
    up_seconds: float
    is_ready: bool


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """All that was read."""

    now: datetime
    engine: str
    realm: str
    release: str
    schema: int
    is_cluster: bool
    running: Sequence[Running]
    sessions: Sequence[Row]
    """On the cluster: role, schema and number of those that are connected to the database."""
    figures: Figures | None
    ready: str
    """What /readyz says; empty where it does not answer."""
    head: Sequence[Row]
    streams: Sequence[Row]
    parked: Row
    holds: Sequence[Row]
    review: Row
    pauses: Sequence[Row]
    receivers: Sequence[Row]
    certificates: Row
    purged_at: datetime | None
    free_bytes: int
    least_bytes: int
    pause_forgotten: timedelta


def situation(seen: Seen) -> list[Check]:
    """Return how all of it is."""
    return [
        good("hub", "engine", f"{seen.engine}, realm {seen.realm}, release {seen.release},"
             f" schema {seen.schema:04d}"),
        *_processes(seen),
        _door(seen),
        _log(seen),
        *_streams(seen),
        *_waiting(seen),
        *_pauses(seen),
        *_receivers(seen),
        *_upkeep(seen),
    ]  # fmt: skip


def age(since: datetime | None, now: datetime) -> str:
    """Return how long ago something was, as a person says it."""
    if since is None:
        return "never"
    seconds = max(0.0, (now - since).total_seconds())
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _processes(seen: Seen) -> list[Check]:
    if seen.is_cluster and not seen.running:
        return _connected(seen)
    if not seen.running:
        if seen.figures is None:
            return [
                wrong("processes", "run", "none is seen from here", "docs/runbooks/process-down.md")
            ]
        count = seen.figures.total("labdispatch_processes")
        return [good("processes", "seen by figures", f"{count:.0f}")]
    found = []
    for each in sorted(seen.running, key=lambda one: (_place(one.role), one.pid)):
        said = f"pid {each.pid}, up {each.up_seconds:,.0f} s"
        if each.role == "simulate" or each.is_ready:
            found.append(good("processes", each.role, said))
        else:
            found.append(
                advice("processes", each.role, f"{said}, not ready", "see its log in logs/")
            )
    there = {each.role for each in seen.running}
    found += [
        wrong("processes", role, "is away", "docs/runbooks/process-down.md")
        for role in _ROLES
        if role not in there
    ]
    return found


def _connected(seen: Seen) -> list[Check]:
    """Say which roles are connected to the database, on whichever machine."""
    found = []
    for role in (*_ROLES, *({row["role"] for row in seen.sessions} & {"inbound"})):
        schemas = [row["schema"] for row in seen.sessions if row["role"] == role]
        if not schemas:
            found.append(
                wrong("processes", role, "none is connected to the database, on no machine",
                      "docs/runbooks/process-down.md")
            )  # fmt: skip
        elif min(schemas) < seen.schema:
            found.append(
                advice("processes", role, f"one of schema {min(schemas):04d} is connected",
                       "an upgrade is under way, or was left half done: restart what is old")
            )  # fmt: skip
        else:
            found.append(good("processes", role, "connected to the database"))
    return found


def _place(role: str) -> int:
    return _ROLES.index(role) if role in _ROLES else len(_ROLES)


def _door(seen: Seen) -> Check:
    said = seen.ready.strip()
    if not said:
        return wrong("doors", "HTTP", "/readyz does not answer", "docs/runbooks/process-down.md")
    closed = seen.figures is not None and seen.figures.largest("labdispatch_door_closed") > 0
    if closed or said.startswith("not ready"):
        return wrong("doors", "closed", said, "docs/runbooks/door-closed.md")
    if "without" in said:
        return advice("doors", "open", said, "docs/runbooks/door-closed.md")
    return good("doors", "open", said)


def in_flight(seen: Seen) -> tuple[int, timedelta]:
    """Return how many records wait for dispatch, and how long the oldest has."""
    lag = sum(max(0, row["head"] - row["handled"]) for row in seen.head)
    if seen.is_cluster:
        # Doors look how old the oldest is (ops/log_watch.py); it lies in Kafka.
        figure = "labdispatch_oldest_unread_seconds"
        seconds = seen.figures.largest(figure) if lag and seen.figures is not None else 0.0
        return lag, timedelta(seconds=seconds)
    since = min((row["oldest"] for row in seen.head if row["oldest"]), default=seen.now)
    return lag, seen.now - since


def _log(seen: Seen) -> Check:
    lag, waits = in_flight(seen)
    said = f"{lag:,} in flight, the oldest {max(waits.total_seconds(), 0):.0f} s"
    if waits > _LAG_OLD:
        return wrong("road", "intake log", said, "docs/runbooks/lag.md")
    return good("road", "intake log", said)


def _streams(seen: Seen) -> list[Check]:
    found = []
    for row in seen.streams:
        said = f"{row['events']:,} events"
        if not seen.is_cluster:
            found.append(good("road", row["stream"], said))
            continue
        said += f", {row['behind']:,} not noted in Kafka, {age(row['noted'], seen.now)} ago"
        if row["behind"] > _RELAY_BEHIND:
            found.append(wrong("road", row["stream"], said, "docs/runbooks/relay-lag.md"))
        else:
            found.append(good("road", row["stream"], said))
    return found


def _waiting(seen: Seen) -> list[Check]:
    parked, review = seen.parked, seen.review
    found = []
    if parked["n"]:
        said = f"{parked['n']:,}, the oldest {age(parked['oldest'], seen.now)}"
        said += f", {parked['nobodys']:,} without an owner"
        found.append(advice("waits", "parked", said, "`labdispatch parked list --kinds`"))
    else:
        found.append(good("waits", "parked", "none"))
    held = sum(row["n"] for row in seen.holds)
    for row in seen.holds:
        if seen.now - row["oldest"] > _HOLD_OLD:
            said = f"{row['n']:,} for {row['reason']}, the oldest {age(row['oldest'], seen.now)}"
            found.append(
                advice("waits", f"held: {row['stream']}", said, "`labdispatch holds list`")
            )
    found.append(good("waits", "held", f"{held:,}" if held else "none"))
    said = f"{review['n']:,} open, {review['first']:,} of them first"
    said += f", the oldest {age(review['oldest'], seen.now)}" if review["n"] else ""
    if review["first"] or (review["oldest"] and seen.now - review["oldest"] > _REVIEW_OLD):
        found.append(advice("waits", "review", said, "`labdispatch review list`"))
    else:
        found.append(good("waits", "review", said))
    return found


def _pauses(seen: Seen) -> list[Check]:
    found = []
    for row in seen.pauses:
        said = f"since {age(row['paused_at'], seen.now)} by {row['actor'] or '?'}"
        is_old = row["paused_at"] is None or seen.now - row["paused_at"] > seen.pause_forgotten
        name = f"{row['what']} {row['name']}"
        found.append(
            advice("paused", name, said, "`labdispatch resume`: docs/runbooks/pauses.md")
            if is_old
            else good("paused", name, said)
        )
    return found or [good("paused", "nothing", "all goes on")]


def _receivers(seen: Seen) -> list[Check]:
    found = []
    for row in seen.receivers:
        said = row["state"]
        said += f", {row['state_reason']}" if row["state_reason"] else ""
        said += f", {row['dead']:,} dead letters" if row["dead"] else ""
        since = row["failing_since"]
        said += f", failing for {age(since, seen.now)} ({row['last_code']})" if since else ""
        is_failing = since is not None and seen.now - since > _FAILING
        is_stopped = row["state"] not in {"active", "paused"}
        if is_failing or is_stopped or row["dead"]:
            found.append(advice("receivers", row["name"], said, "docs/runbooks/receiver-dead.md"))
        else:
            found.append(good("receivers", row["name"], said))
    return found or [not_used("receivers", "none", "no receiver is pushed to")]


def _upkeep(seen: Seen) -> list[Check]:
    over, soon = seen.certificates["over"], seen.certificates["soon"]
    said = f"{over} over, {soon} end within 7 days"
    gib = 1 << 30
    room = f"{seen.free_bytes / gib:.1f} GiB free"
    purged = f"all of age was gone {age(seen.purged_at, seen.now)} ago"
    is_old = seen.purged_at is None or seen.now - seen.purged_at > _PURGE_OLD
    return [
        advice("upkeep", "certificates", said, "docs/runbooks/certificates.md")
        if over or soon
        else good("upkeep", "certificates", said),
        wrong("upkeep", "disk", room, "docs/runbooks/disk.md")
        if seen.free_bytes < seen.least_bytes
        else good("upkeep", "disk", room),
        wrong("upkeep", "purge", purged, "docs/runbooks/purge-old.md")
        if is_old
        else good("upkeep", "purge", purged),
        _backup(seen),
    ]


def _backup(seen: Seen) -> Check:
    if seen.is_cluster:
        return not_used("upkeep", "backup", "the database's own: docs/backup.md#cluster")
    # Whoever takes none has an age of 0.
    if seen.figures is None or not seen.figures.largest("labdispatch_backup_every_seconds"):
        return not_used("upkeep", "backup", "none is taken: backup_dir is not set")
    made = timedelta(seconds=seen.figures.largest("labdispatch_backup_age_seconds"))
    said = f"the last {age(seen.now - made, seen.now)} ago"
    if made > timedelta(days=2):
        return wrong("upkeep", "backup", said, "make one: `labdispatch backup`")
    return good("upkeep", "backup", said)
