"""National overview: do results flow, as on other days, and what wants a person."""

from __future__ import annotations

from typing import Final

from ops.grafana.drawing import Board, Drawn, Query, p99_by

_TAKEN: Final = "labdispatch:taken:rate5m"
_ALLOWANCES: Final = (
    ("messages find a door", "labdispatch:not_taken:ratio{}", 0.0005),
    ("answers within 250 ms", "labdispatch:slow_acks:ratio{}", 0.01),
    ("readable within 1 s", "max(labdispatch:late_readable:ratio{})", 0.01),
    ("doubts decided in a week", "labdispatch:review_late:ratio{}", 0.05),
)
"""What is promised, what of it went wrong over a window, and how much may: docs/slo.md."""


def _left() -> tuple[Query, ...]:
    return tuple(
        (f"1 - {ratio.format('28d')} / {allowed}", title) for title, ratio, allowed in _ALLOWANCES
    )


def _used() -> tuple[Query, ...]:
    return tuple(
        (f"{ratio.format('1h')} / {allowed}", title) for title, ratio, allowed in _ALLOWANCES
    )


NOW: Final = (
    Drawn(
        title="Messages taken in 24 hours",
        queries=((f"avg_over_time({_TAKEN}[1d]) * 86400", "messages"),),
        unit="short",
        is_figure=True,
        runbook="lag",
        advice="Durable, and answered AA. Held against what is usual in 'Taken: today, a week"
        " ago, usual'. Far below on a working day: doors, network, or laboratories that"
        " are silent.",
    ),
    Drawn(
        title="Of what is usual, last hour",
        queries=(
            (
                f"avg_over_time({_TAKEN}[1h]) / avg_over_time(labdispatch:taken:expected[1h])",
                "share",
            ),
        ),
        unit="percentunit",
        is_figure=True,
        limit=0.5,
        is_bad_below=True,
        runbook="rejecting",
        advice="What came against what this hour of the week usually brings (up to four"
        " weeks). Below a half on no holiday: look at the doors, then at which"
        " laboratories are silent.",
    ),
    Drawn(
        title="Usual in the hour to come",
        queries=(("labdispatch:taken:expected_next_hour * 3600", "messages"),),
        unit="short",
        is_figure=True,
        runbook="lag",
        advice="How many messages the next hour usually brings: whether there is time to"
        " restart, to replay or to purge before the morning's wave. Empty until a week"
        " was recorded.",
    ),
    Drawn(
        title="Doors closed",
        queries=(("sum(labdispatch_door_closed)", "doors"),),
        unit="short",
        is_figure=True,
        limit=1,
        runbook="door-closed",
        advice="Every message at a closed door is answered AR 207 and kept by its laboratory."
        " The log of the door says why (door_closed); it opens by itself.",
    ),
    Drawn(
        title="Processes that answer",
        queries=(('sum(up{job=~"ingest|inbound|dispatch|relay|push|indicators|api"})', "up"),),
        unit="short",
        is_figure=True,
        runbook="process-down",
        advice="Fewer than on other days: one has ended. 'Processes' on the dashboard"
        " *infrastructure* says which; its last line in the log says why.",
    ),
    Drawn(
        title="Oldest message not dispatched",
        queries=(
            (
                (
                    "max(labdispatch_oldest_unread_seconds"
                    " or labdispatch_partition_oldest_unread_seconds)"
                ),
                "age",
            ),
        ),
        unit="s",
        is_figure=True,
        limit=60,
        runbook="lag",
        advice="Seconds while results flow. Minutes: dispatch is behind or stands; see 'Lag'"
        " on *streams and receivers*. Nothing is lost before the log's retention.",
    ),
)

FLOW: Final = (
    Drawn(
        title="Taken: today, a week ago, usual",
        queries=(
            (_TAKEN, "now"),
            (f"{_TAKEN} offset 1w", "same weekday last week"),
            ("labdispatch:taken:expected", "usual at this time of the week"),
        ),
        unit="ops",
        runbook="rejecting",
        advice="Now should lie near the other two. Far below on no holiday: doors, network,"
        " laboratories. Far above: an outage is being caught up, or one laboratory"
        " floods; see *doors and laboratories*.",
    ),
    Drawn(
        title="Endings: what became of messages",
        queries=(("labdispatch:outcomes:rate5m", "{{ending}}"),),
        unit="ops",
        runbook="parked",
        advice="Together as much as was taken. 'parked' wants a person; many 'duplicate': a"
        " laboratory sends everything again; 'refused': its content cannot be taken.",
    ),
    Drawn(
        title="Events by stream: now, and a week ago",
        queries=(
            ("labdispatch:stream_events:rate5m", "{{stream}}"),
            ("labdispatch:stream_events:rate5m offset 1w", "{{stream}}, a week ago"),
        ),
        unit="ops",
        runbook="streams-differ",
        advice="A stream that falls while messages are dispatched: other rules, codes that"
        " nobody maps, or holds; labdispatch route list, then *identity*.",
    ),
    Drawn(
        title="Slowest hundredth: readable, by stream",
        queries=p99_by("readable_seconds", "stream"),
        unit="s",
        limit=1.0,
        runbook="slo-readable",
        advice="From a message received to its event readable. Above the line for long: lag,"
        " or a slow database; *streams and receivers*.",
    ),
    Drawn(
        title="Lag: acknowledged, not dispatched; not in Kafka; not counted",
        queries=(
            ("max(labdispatch_lag_records)", "not dispatched"),
            ("max by (stream) (labdispatch_relay_lag_events)", "not in Kafka: {{stream}}"),
            ("max(labdispatch_indicator_lag_events)", "not counted"),
        ),
        unit="short",
        limit=1_000,
        runbook="lag",
        advice="Falls after a burst by itself. Grows: the station named in the legend stands"
        " or is too slow; its runbook is lag, relay-lag or indicators-stand.",
    ),
    Drawn(
        title="What waits for a person",
        queries=(
            ("max(labdispatch_parked_records)", "parked messages"),
            ("sum(max by (guard, priority) (labdispatch_review_open_items))", "review items"),
            (
                (
                    "sum(max by (stream, reason)"
                    ' (labdispatch_holds{reason!="identity_not_qualified"}))'
                ),
                "reports on hold",
            ),
            ("sum(max by (receiver) (labdispatch_push_dead_letters))", "dead letters"),
        ),
        unit="short",
        runbook="parked",
        advice="Each line has its command: labdispatch account, review list, holds list,"
        " receivers dead list. None may grow over a week.",
    ),
)

PROMISES: Final = (
    Drawn(
        title="Allowance that is left of 28 days",
        queries=_left(),
        unit="percentunit",
        limit=0.0,
        is_bad_below=True,
        runbook="slo-ack",
        advice="1: nothing went wrong; 0: all that may go wrong in four weeks has"
        " (docs/slo.md). Below 0: put off what may put a door or dispatch at risk, and"
        " find what used it up.",
    ),
    Drawn(
        title="Used of the allowance, last hour",
        queries=_used(),
        unit="short",
        limit=1.0,
        runbook="slo-ack",
        advice="1: at this pace the allowance lasts just the four weeks. Above 14.4 somebody"
        " is paged. Which of the four it is says where to look: doors, append, dispatch,"
        " stewards.",
    ),
)

BOARD: Final = Board(
    uid="labdispatch",
    title="labdispatch: national overview",
    about="Do results flow as on other days, and does anything want a person?",
    rows=(
        ("Now", NOW),
        ("Flow: against other days", FLOW),
        ("What is promised", PROMISES),
    ),
    since="now-24h",
    refresh="30s",
)
