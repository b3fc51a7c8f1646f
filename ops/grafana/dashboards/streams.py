"""Streams and receivers: dispatch, what leaves, who gets it, what is counted of it."""

from __future__ import annotations

from typing import Final

from ops.grafana.dashboards.receiving import INDICATORS, READERS, RECEIVERS
from ops.grafana.drawing import Board, Drawn, p99_by, quantiles, rate

DISPATCH: Final = (
    Drawn(
        title="Lag: acknowledged, not dispatched",
        queries=(("max(labdispatch_lag_records)", "records"),),
        unit="short",
        limit=1000,
        runbook="lag",
        advice="Nothing is lost while this grows; streams are late. Falling after a burst:"
        " wait. Growing: start a worker more (labdispatch-dispatch@3), look at 'Batch'"
        " and 'Errors'.",
    ),
    Drawn(
        title="From received to readable, by stream",
        queries=p99_by("readable_seconds", "stream"),
        unit="s",
        limit=1.0,
        runbook="slo-readable",
        advice="What an epidemiologist feels. High with lag: see lag. High without lag: the"
        " batch transaction is slow; see 'Batch'.",
    ),
    Drawn(
        title="The road: slowest hundredth of each stage",
        queries=(
            (quantiles("ack_seconds")[1][0], "in to answered"),
            (quantiles("in_to_taken_seconds")[1][0], "in to dispatch"),
            (quantiles("in_to_readable_seconds")[1][0], "in to readable"),
            (quantiles("in_to_kafka_seconds")[1][0], "in to Kafka"),
            (quantiles("readable_to_pushed_seconds")[1][0], "readable to pushed"),
        ),
        unit="s",
        limit=1.0,
        runbook="slo-readable",
        advice="The stage where the lines part is the one that is slow: the log (answered), the"
        " line before dispatch (taken), its transaction (readable), brokers, receivers.",
    ),
    Drawn(
        title="Partitions that are furthest behind",
        queries=(
            ("topk(3, labdispatch_partition_lag_records)", "records of {{partition}}"),
            ("topk(3, labdispatch_partition_oldest_unread_seconds)", "oldest of {{partition}}, s"),
        ),
        unit="short",
        runbook="lag",
        advice="One alone: one laboratory sends a flood, for a laboratory is one partition. All:"
        " dispatch is too slow or stands.",
    ),
    Drawn(
        title="Batch: one transaction",
        queries=quantiles("dispatch_batch_seconds"),
        unit="s",
        limit=1.0,
        runbook="lag",
        advice="High: the database is short of disk or processor, waits for its standby, or"
        " workers wait for each other's locks. See pg_stat_activity for what waits.",
    ),
    Drawn(
        title="Outcomes by ending",
        queries=rate("outcomes", "ending", "reason"),
        unit="ops",
        runbook="parked",
        advice="Each message ends here exactly once. A rise of 'duplicate': a laboratory sends"
        " everything again (often after AR or a cut). Any 'parked': labdispatch account"
        " names the reasons.",
    ),
    Drawn(
        title="Parked, unresolved",
        queries=(("max(labdispatch_parked_records)", "records"),),
        unit="short",
        limit=1,
        runbook="parked",
        advice="Each is a result that nobody has received. Read its place with labdispatch"
        " trace, mend mapping or data, then labdispatch replay.",
    ),
    Drawn(
        title="Fences lost, batches split, look-ups capped",
        queries=(
            ("sum(rate(labdispatch_fence_losses_total[$__rate_interval]))", "fences lost"),
            ("sum(rate(labdispatch_bisections_total[$__rate_interval]))", "batches split"),
            ("sum(rate(labdispatch_capped_lookups_total[$__rate_interval]))", "look-ups capped"),
        ),
        unit="ops",
        runbook="fence-losses",
        advice="A few fences are lost when a worker starts or stops; steadily: a worker hangs"
        " or two hubs share a database. Batches split: a message is about to be parked."
        " Look-ups capped: one blocking key is held by very many persons.",
    ),
)

STREAMS: Final = (
    Drawn(
        title="Events per stream",
        queries=rate("stream_events", "stream", "kind"),
        unit="ops",
        runbook="streams-differ",
        advice="published, revised, withdrawn, by stream. A burst of withdrawn: a laboratory"
        " corrects many results; tell who reads contact-tracing. Nothing while messages"
        " are dispatched: the rules match none; check the codes the laboratories send.",
    ),
    Drawn(
        title="Relay lag: in the outbox, not in Kafka",
        queries=(("max by (stream) (labdispatch_relay_lag_events)", "{{stream}}"),),
        unit="short",
        limit=5000,
        runbook="relay-lag",
        advice="Growing: brokers away or the relay ended. If its log says 'histories"
        " diverged', do not restart it by hand.",
    ),
    Drawn(
        title="Events out: to Kafka and over HTTP",
        queries=(
            (
                "sum by (stream) (rate(labdispatch_relay_events_total[$__rate_interval]))",
                "Kafka {{stream}}",
            ),
            (
                ("sum by (stream) (rate(labdispatch_relay_again_events_total[$__rate_interval]))"),
                "again {{stream}}",
            ),
            (
                (
                    "sum by (stream) "
                    "(rate(labdispatch_stream_events_served_total[$__rate_interval]))"
                ),
                "HTTP {{stream}}",
            ),
        ),
        unit="ops",
        runbook="relay-lag",
        advice="A consumer over HTTP that falls silent has stopped asking: its token, its"
        " network, its cursor.",
    ),
    Drawn(
        title="HTTP requests by route and status",
        queries=rate("api_requests", "route", "status"),
        unit="reqps",
        runbook="readers",
        advice="401: a consumer uses an old token. 503 or 5xx: see 'Errors' of station api and"
        " /readyz, which names what is away.",
    ),
    Drawn(
        title="Age of the rules in effect",
        queries=(("time() - max(labdispatch_rules_since_timestamp_seconds > 0)", "age"),),
        unit="s",
        runbook="streams-differ",
        advice="Falls to nothing when another set of rules takes effect: `labdispatch route"
        " list` says who asked for it and why. Nobody asked: take it back,"
        " docs/rules.md.",
    ),
    Drawn(
        title="Processes that went over to other rules",
        queries=rate("rule_changes"),
        unit="ops",
        runbook="streams-differ",
        advice="Once for each worker when a set takes effect. Again and again: clocks of"
        " machines differ, or two sets take turns; `labdispatch route list`.",
    ),
)


BOARD: Final = Board(
    uid="labdispatch-streams",
    title="labdispatch: streams and receivers",
    about="From the log to the streams: dispatch, events, receivers, readers, indicators.",
    rows=(
        ("Dispatch: once", DISPATCH),
        ("Streams: what leaves", STREAMS),
        ("Receivers: what is pushed", RECEIVERS),
        ("Readers: who reads streams over HTTP", READERS),
        ("Indicators: what is counted of public health", INDICATORS),
    ),
)
