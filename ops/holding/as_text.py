"""Holds for a terminal. Pure; reports and persons by our own numbers alone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from ops.stewards.as_text import age

from .looking import HeldReport, HeldStream, Why
from .reasons import REASONS
from .releasing import Bulk, Released


def list_as_text(held: Sequence[HeldStream], now: datetime) -> str:
    """Return what waits, the longest first."""
    if not held:
        return "nothing waits\n"
    lines = [f"{'report':<36} {'age':>6} {'stream':<15} {'reason':<25} status laboratory"]
    lines += [
        f"{each.report_id!s:<36} {age(each.since, now):>6} {each.stream:<15} {each.reason:<25}"
        f" {each.status:<6} {each.laboratory}"
        for each in held
    ]
    return "\n".join(lines) + "\n"


def report_as_text(report: HeldReport, now: datetime) -> str:
    """Return a report with what waits of it, and what was let go."""
    whose = f"version {report.version}, status {report.status}, person {report.person}"
    lines = [
        f"report {report.report_id} of {report.laboratory}, {whose}",
        f"message {report.message_id or 'not known any more'}: see `labdispatch trace`",
    ]
    for each in report.holds:
        lines += [
            f"{each.stream} waits since {age(each.since, now)}: {each.reason}{_of(each)}",
            f"  {each.means}",
            f"  to do: {each.to_do}",
            "  a person may release it" if each.may_be_released else "  nobody may release it",
        ]
    if not report.holds:
        lines.append("no stream waits")
    lines += [
        f"{word.stream} {word.reason} was released {age(word.at, now)} ago by {word.actor}:"
        f" {word.why}" + ("" if word.counts else " (the report says something else since)")
        for word in report.releases
    ]
    return "\n".join(lines) + "\n"


def _of(why: Why) -> str:
    return f" ({', '.join(why.conditions)})" if why.conditions else ""


def released_as_text(done: Released) -> str:
    """Return what became of a stream that was let go."""
    if done.unreadable:
        return f"{done.stream}: released, but nothing of the report can be read any more\n"
    if done.still:
        return f"{done.stream}: {done.reason} released; it still waits: {done.still}\n"
    if not done.stream_events:
        return f"{done.stream}: released; {REASONS[done.reason].released}\n"
    return f"{done.stream}: released; {done.stream_events} event(s)\n"


def bulk_as_text(done: Bulk) -> str:
    """Return what became of many."""
    if done.dry_run:
        lines = [str(each) for each in done.reports]
        return "\n".join([*lines, f"{done.found:,} would be released; nothing was done"]) + "\n"
    failed = "".join(f"; {reason}: {n:,}" for reason, n in sorted(done.failed.items()))
    return (
        f"{done.released:,} of {done.found:,} released, {done.stream_events:,} events,"
        f" {done.still_waiting:,} wait on{failed}\n"
    )
