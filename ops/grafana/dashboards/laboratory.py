"""One laboratory: what it sends, what it is answered, what became of it, whether it is silent.

Its figures come from `/metrics/laboratories`, which needs the operator's token: the job
`laboratories` of ops/prometheus/prometheus.yml.
"""

from __future__ import annotations

from typing import Final

from ops.grafana.drawing import Asked, Board, Drawn

_OF: Final = '{laboratory=~"$laboratory"}'


def _figure(name: str, ago: str = "") -> str:
    return f"max by (laboratory) (labdispatch_laboratory_{name}{_OF}{ago})"


def _of(names: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple((_figure(name), legend) for name, legend in names.items())


NOW: Final = (
    Drawn(
        title="Taken in 24 hours",
        queries=_of({"received": "messages"}),
        unit="short",
        is_figure=True,
        runbook="rejecting",
        advice="Messages that are durable in the log. Hold it against the laboratory's own"
        " count of the day: what it sent and has no AA for, it must send again.",
    ),
    Drawn(
        title="Since its last message",
        queries=_of({"silent_seconds": "silent"}),
        unit="s",
        is_figure=True,
        runbook="process-down",
        advice="Longer than its usual pauses: call it. Its certificate may have ended, its"
        " line be down, or its software stand; the hub cannot know which.",
    ),
    Drawn(
        title="Connections open",
        queries=_of({"connections": "connections"}),
        unit="short",
        is_figure=True,
        runbook="tls",
        advice="0 with messages missing: it cannot connect; look for refused handshakes and"
        " for closed connections. Empty where processes do not count together.",
    ),
    Drawn(
        title="Of its quota of the day",
        queries=_of({"quota_used_ratio": "used"}),
        unit="percentunit",
        is_figure=True,
        limit=0.9,
        runbook="laboratory-floods",
        advice="At 1 it gets AR 207 until midnight UTC. A fault at the laboratory, or a quota"
        " that is too small: labdispatch labs quota LAB. Empty where none is set.",
    ),
)

FLOW: Final = (
    Drawn(
        title="What became of its messages, last 24 hours",
        queries=_of(
            {
                "dispatched": "dispatched",
                "duplicate": "duplicate",
                "refused": "refused (AE)",
                "parked": "parked",
                "turned_away": "turned away (AR)",
            }
        ),
        unit="short",
        runbook="rejecting",
        advice="refused: its content, the ERR segments say what. turned away: its sender or a"
        " limit. Many duplicates: it sends everything again, and does not read our"
        " answers.",
    ),
    Drawn(
        title="Taken: now, and a week ago",
        queries=(
            (_figure("received"), "24 hours until now"),
            (_figure("received", " offset 1w"), "24 hours until a week ago"),
        ),
        unit="short",
        runbook="rejecting",
        advice="Much less than a week ago and no holiday: a ward, a machine or a line of it is"
        " missing. Much more: an archive, or a loop.",
    ),
    Drawn(
        title="With a warning or an error among the findings",
        queries=(
            (_figure("flagged"), "messages"),
            (
                f"{_figure('flagged')} / ({_figure('received')} > 0)",
                "share of what was taken",
            ),
        ),
        unit="short",
        runbook="unmapped-values",
        advice="A jump after a release of its software: call its vendor; labdispatch"
        " conformance LAB lists what, and labdispatch labs codes LAB unmapped which"
        " words nobody knows.",
    ),
)

BOARD: Final = Board(
    uid="labdispatch-laboratory",
    title="labdispatch: one laboratory",
    about="What one laboratory sends and what became of it. Needs the job `laboratories`.",
    rows=(("Now", NOW), ("Messages", FLOW)),
    since="now-7d",
    refresh="1m",
    asked=(
        Asked(
            name="laboratory",
            label="Laboratory",
            query="label_values(labdispatch_laboratory_received, laboratory)",
        ),
    ),
)
