"""The dashboard as code: `python -m ops.grafana.dashboard` writes labdispatch.json beside it.

Each panel's description tells the on-call what to do. Only metrics that ops/runtime/metrics/
declares may stand here; tests/unit/test_operations_files.py compares. The Grafana SDK is imported
here and nowhere else.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec
from grafana_foundation_sdk.builders.common import (
    GraphThresholdsStyleConfig,
    VizLegendOptions,
    VizTooltipOptions,
)
from grafana_foundation_sdk.builders.dashboard import Dashboard, Row, ThresholdsConfig
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.builders.timeseries import Panel
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    GraphTresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    TooltipDisplayMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DataSourceRef,
    GridPos,
    Threshold,
    ThresholdsMode,
)

OUTPUT: Final = Path(__file__).with_name("labdispatch.json")
UID: Final = "labdispatch"
SOURCE: Final = DataSourceRef(type_val="prometheus", uid="labdispatch-prometheus")
_WIDTH: Final = 8
_HEIGHT: Final = 8
_A_ROW: Final = 24 // _WIDTH


class Drawn(msgspec.Struct, frozen=True, kw_only=True):
    """One panel: what it shows, in which unit, and what to do about it."""

    title: str
    queries: tuple[tuple[str, str], ...]
    """Expression and legend."""
    unit: str
    advice: str
    limit: float | None = None
    """From here on it is bad; a red line."""


def _quantiles(metric: str) -> tuple[tuple[str, str], ...]:
    rate = f"sum by (le) (rate(labdispatch_{metric}_bucket[$__rate_interval]))"
    return (
        (f"histogram_quantile(0.5, {rate})", "p50"),
        (f"histogram_quantile(0.99, {rate})", "p99"),
    )


def _rate(metric: str, *labels: str) -> tuple[tuple[str, str], ...]:
    by = f" by ({', '.join(labels)})" if labels else ""
    legend = " ".join(f"{{{{{label}}}}}" for label in labels) or "all"
    return ((f"sum{by} (rate(labdispatch_{metric}_total[$__rate_interval]))", legend),)


DOORS: Final = (
    Drawn(
        title="Messages in, by answer",
        queries=_rate("answers", "code"),
        unit="ops",
        advice="AA is durable. AE: one laboratory sends content that cannot be taken; tell it what"
        " the finding says. AR: nobody's message is taken or one laboratory is not known; see"
        " 'Limits reached' and 'Append' first. No line at all: see 'Connections', then whether"
        " ingest runs.",
    ),
    Drawn(
        title="Answer (ACK), from whole frame to bytes",
        queries=_quantiles("ack_seconds"),
        unit="s",
        limit=1.0,
        advice="Laboratories wait this long for each message. High with 'Append' high: the log is"
        " slow. High with 'Append' low: ingest itself is short of processor; start a second ingest"
        " or take load away.",
    ),
    Drawn(
        title="Append, until durable",
        queries=_quantiles("append_seconds"),
        unit="s",
        limit=0.5,
        advice="One write to the intake log. High: look at the disk of the database or brokers, at"
        " the standby (every commit waits for it) and at under-replicated partitions."
        " Runbook: docs/runbooks/append-slow.md.",
    ),
    Drawn(
        title="Connections",
        queries=(("sum by (instance) (labdispatch_connections)", "{{instance}}"),),
        unit="short",
        advice="Falls to nothing: network, firewall or ingest. Saw teeth: a peer that reconnects"
        " for each message, or that we close; see 'Connections closed by the hub'.",
    ),
    Drawn(
        title="Connections closed by the hub",
        queries=_rate("connections_closed", "reason"),
        unit="ops",
        advice="The reason names what the peer does: frames cut or too slow, answers left unread."
        " One laboratory's link at fault shows in the log with its registry id.",
    ),
    Drawn(
        title="Limits reached",
        queries=_rate("limit_hits", "limit"),
        unit="ops",
        advice="A bound did its work. append_queue: the log is slower than what comes in (AR 207);"
        " see 'Append'. window: one peer sends faster than it is answered. connections: raise the"
        " setting of that name in docs/settings.md only if the machine has room.",
    ),
)

DISPATCH: Final = (
    Drawn(
        title="Lag: acknowledged, not dispatched",
        queries=(("max(labdispatch_lag_records)", "records"),),
        unit="short",
        limit=1_000,
        advice="Nothing is lost while this grows; streams are late. Falling after a burst: wait."
        " Growing: start a worker more (labdispatch-dispatch@3), look at 'Batch' and 'Errors'."
        " Runbook: docs/runbooks/lag.md.",
    ),
    Drawn(
        title="From received to readable in the streams",
        queries=_quantiles("in_to_readable_seconds"),
        unit="s",
        limit=1.0,
        advice="What an epidemiologist feels. High with lag: see lag. High without lag: the batch"
        " transaction is slow; see 'Batch'.",
    ),
    Drawn(
        title="Outcomes by ending",
        queries=_rate("outcomes", "ending", "reason"),
        unit="ops",
        advice="Each message ends here exactly once. A rise of 'duplicate': a laboratory sends"
        " everything again (often after AR or a cut). Any 'parked': labdispatch account names the"
        " reasons, docs/runbooks/parked.md who acts.",
    ),
    Drawn(
        title="Parked, unresolved",
        queries=(("max(labdispatch_parked_records)", "records"),),
        unit="short",
        limit=1,
        advice="Each is a result that nobody has received. Read its place with labdispatch trace,"
        " mend mapping or data, then labdispatch replay. Runbook: docs/runbooks/parked.md.",
    ),
    Drawn(
        title="Second lines without a first",
        queries=(
            ("max(labdispatch_second_lines_waiting)", "waiting"),
            ("sum by (what) (increase(labdispatch_second_lines_total[1h]))", "{{what}}, 1 h"),
            ("sum(increase(labdispatch_unread_companions_total[1h]))", "could not be read, 1 h"),
            ("sum(increase(labdispatch_capped_cases_total[1h]))", "persons over the cap, 1 h"),
        ),
        unit="short",
        advice="Grows steadily: a laboratory sends screening or sequencing without day of sampling"
        " (OBR-7) or the specimen's number (SPM-2), or first lines go astray. docs/cases.md.",
    ),
    Drawn(
        title="Batch: one transaction",
        queries=_quantiles("dispatch_batch_seconds"),
        unit="s",
        limit=1.0,
        advice="High: the database is short of disk or processor, waits for its standby, or workers"
        " wait for each other's locks. See pg_stat_activity for what waits.",
    ),
    Drawn(
        title="Fences lost, batches split, look-ups capped",
        queries=(
            ("sum(rate(labdispatch_fence_losses_total[$__rate_interval]))", "fences lost"),
            ("sum(rate(labdispatch_bisections_total[$__rate_interval]))", "batches split"),
            ("sum(rate(labdispatch_capped_lookups_total[$__rate_interval]))", "look-ups capped"),
        ),
        unit="ops",
        advice="A few fences are lost when a worker starts or stops; steadily: a worker hangs or"
        " two hubs share a database (docs/runbooks/fence-losses.md). Batches split: a message is"
        " about to be parked. Look-ups capped: one blocking key is held by very many persons.",
    ),
    Drawn(
        title="Keys of persons",
        queries=(
            ("sum(rate(labdispatch_hot_keys_total[$__rate_interval]))", "turned hot"),
            ("sum(rate(labdispatch_narrowings_cut_total[$__rate_interval]))", "narrowed in part"),
            ("sum(rate(labdispatch_capped_aliases_total[$__rate_interval]))", "persons cut"),
            (
                "sum(rate(labdispatch_second_lookups_total[$__rate_interval]))",
                "batches asked twice",
            ),
            (
                "sum(rate(labdispatch_rekeyed_persons_total[$__rate_interval]))",
                "persons keyed anew",
            ),
            ("sum(rate(labdispatch_gained_ins_total[$__rate_interval]))", "persons gained an INS"),
        ),
        unit="ops",
        advice="Keys that turn hot: one laboratory sends a placeholder as a value"
        " (docs/runbooks/hot-keys.md). Keyed anew: docs/runbooks/rekey.md.",
    ),
    Drawn(
        title="Decisions about persons",
        queries=_rate("match_decisions", "verdict", "rule"),
        unit="ops",
        advice="The shares change slowly. A jump of new persons: a laboratory has stopped to send"
        " the INS or changed how it writes names; compare with 'Findings at the door'.",
    ),
    Drawn(
        title="Findings at the door",
        queries=_rate("findings", "code", "level"),
        unit="ops",
        advice="Taken, but not as it should be. A jump in one code after a laboratory's release:"
        " call that laboratory; labdispatch trace shows one message with the place.",
    ),
    Drawn(
        title="Errors by station and reason",
        queries=_rate("errors", "station", "reason"),
        unit="ops",
        advice="Classified, none lost. Short spikes mend themselves (database or broker restarted)."
        " A steady line: its reason is the event to look for in the log of that station.",
    ),
)

STREAMS: Final = (
    Drawn(
        title="Events per stream",
        queries=_rate("stream_events", "stream", "kind"),
        unit="ops",
        advice="published, revised, withdrawn, by stream. A burst of withdrawn: a laboratory"
        " corrects many results; tell who reads contact-tracing. Nothing while messages are"
        " dispatched: the rules match none; check the codes the laboratories send.",
    ),
    Drawn(
        title="Relay lag: in the outbox, not in Kafka",
        queries=(("max by (stream) (labdispatch_relay_lag_events)", "{{stream}}"),),
        unit="short",
        limit=5_000,
        advice="Growing: brokers away or the relay ended. If its log says 'histories diverged',"
        " do not restart it by hand: docs/runbooks/relay-lag.md.",
    ),
    Drawn(
        title="Events out: to Kafka and over HTTP",
        queries=(
            (
                "sum by (stream) (rate(labdispatch_relay_events_total[$__rate_interval]))",
                "Kafka {{stream}}",
            ),
            (
                "sum by (stream) (rate(labdispatch_relay_again_events_total[$__rate_interval]))",
                "again {{stream}}",
            ),
            (
                "sum by (stream) (rate(labdispatch_stream_events_served_total[$__rate_interval]))",
                "HTTP {{stream}}",
            ),
        ),
        unit="ops",
        advice="A consumer over HTTP that falls silent has stopped asking: its token, its network,"
        " its cursor.",
    ),
    Drawn(
        title="HTTP requests by route and status",
        queries=_rate("api_requests", "route", "status"),
        unit="reqps",
        advice="401: a consumer uses an old token. 503 or 5xx: see 'Errors' of station api and"
        " /readyz, which names what is away.",
    ),
    Drawn(
        title="Door closed",
        queries=(("max by (job, instance) (labdispatch_door_closed)", "{{job}} {{instance}}"),),
        unit="bool",
        limit=1,
        advice="Closed: the disk is low and every message is answered AR 207. Free space; the door"
        " opens by itself. Runbook: docs/runbooks/door-closed.md.",
    ),
    Drawn(
        title="Processes",
        queries=(('up{job=~"ingest|inbound|dispatch|relay|api"}', "{{job}} {{instance}}"),),
        unit="bool",
        advice="Down: read the last line of its log, event station_ended, with reason and remedy."
        " Runbook: docs/runbooks/process-down.md.",
    ),
    Drawn(
        title="Age of the rules in effect",
        queries=(("time() - max(labdispatch_rules_since_timestamp_seconds > 0)", "age"),),
        unit="s",
        advice="Falls to nothing when another set of rules takes effect: `labdispatch route list`"
        " says who asked for it and why. Nobody asked: take it back, docs/rules.md.",
    ),
    Drawn(
        title="Processes that went over to other rules",
        queries=_rate("rule_changes"),
        unit="ops",
        advice="Once for each worker when a set takes effect. Again and again: clocks of machines"
        " differ, or two sets take turns; `labdispatch route list`.",
    ),
)

REGISTER: Final = (
    Drawn(
        title="Laboratories by when their last certificate ends",
        queries=(("max by (ends) (labdispatch_certificate_laboratories)", "{{ends}}"),),
        unit="short",
        advice="expired: these laboratories cannot get in where a certificate is asked for."
        " under_7_days: ask them for the next one now; both hold until the old one is revoked."
        " Runbook: docs/runbooks/certificates.md.",
    ),
    Drawn(
        title="Age of the register, and of its copy on disk",
        queries=(
            ("max by (job, instance) (labdispatch_register_age_seconds)", "{{job}} {{instance}}"),
            (
                "max by (job, instance) (labdispatch_register_snapshot_age_seconds)",
                "on disk {{job}} {{instance}}",
            ),
        ),
        unit="s",
        limit=120,
        advice="A door reads the register every few seconds. Growing: it cannot reach the database"
        " and goes by what it knows. The copy on disk is confirmed every hour."
        " Runbook: docs/runbooks/register-old.md.",
    ),
)

FILES_AND_TOPICS: Final = (
    Drawn(
        title="Files by what became of them",
        queries=(
            *_rate("files", "what"),
            ("sum(labdispatch_files_reading)", "being read now"),
        ),
        unit="short",
        advice="refused: a link, a special file, a wrong name or size; it lies in failed/ of the"
        " laboratory's folder. waits: the door is closed or dispatch is behind; the file keeps its"
        " place. Runbook: docs/runbooks/files.md.",
    ),
    Drawn(
        title="Oldest file without its whole answer",
        queries=(("max(labdispatch_files_oldest_seconds)", "seconds"),),
        unit="s",
        limit=3_600,
        advice="A large file takes its time: it should fall again. Growing: labdispatch batches"
        " list shows which one, the log of api why (batch_waits). Runbook: docs/runbooks/files.md.",
    ),
    Drawn(
        title="Messages of files by answer",
        queries=_rate("file_messages", "code"),
        unit="ops",
        advice="AR: another laboratory's facility, or a message that cannot be read. The answer"
        " file says which; labdispatch batches show ID too.",
    ),
    Drawn(
        title="Inbound: records that wait in their topic",
        queries=(("max by (topic) (labdispatch_inbound_lag_records)", "{{topic}}"),),
        unit="short",
        limit=1_000,
        advice="Nothing is lost while the topic keeps them. Growing: the log of inbound says why"
        " (inbound_waits), or nobody reads. Runbook: docs/runbooks/inbound.md.",
    ),
    Drawn(
        title="Inbound: records by what became of them",
        queries=_rate("inbound_records", "what"),
        unit="ops",
        advice="parked: it did not come into the log, and a person has to look at it:"
        " labdispatch inbound list. No line with a lag: see the panel before this one.",
    ),
    Drawn(
        title="Inbound: parked, and by which reason",
        queries=(
            ("max(labdispatch_inbound_parked_records)", "wait for a person"),
            *_rate("inbound_parks", "reason"),
        ),
        unit="short",
        limit=1,
        advice="no_proof, bad_signature: somebody writes who must not, or a key is wrong."
        " gone: the topic forgot before we read. Runbook: docs/runbooks/inbound.md.",
    ),
)

STEWARDS: Final = (
    Drawn(
        title="What waits for a steward, by guard and priority",
        queries=(
            (
                "max by (guard, priority) (labdispatch_review_open_items)",
                "{{guard}} ({{priority}})",
            ),
            (
                "sum by (priority) (increase(labdispatch_review_items_withheld_total[1h]))",
                "not opened in an hour ({{priority}})",
            ),
        ),
        unit="short",
        advice="Priority 1 first: an INS that contradicts. Not opened: the share of records that"
        " may be asked about is used up; they stay on their link events."
        " Runbook: docs/runbooks/review-age.md.",
    ),
    Drawn(
        title="Age of the oldest that waits",
        queries=(("max(labdispatch_review_oldest_seconds)", "oldest"),),
        unit="s",
        limit=7 * 86_400,
        advice="Nobody looks, or more comes than is decided. Runbook: docs/runbooks/review-age.md.",
    ),
    Drawn(
        title="Changes of identities, and what follows in the streams",
        queries=(
            ("sum by (act) (increase(labdispatch_steward_acts_total[1h]))", "{{act}}"),
            ("max(labdispatch_reemission_due_persons)", "persons still to be emitted again"),
            (
                "sum(increase(labdispatch_unreadable_reports_total[1h]))",
                "reports that can be read no more",
            ),
        ),
        unit="short",
        advice="Persons still to be emitted again: for minutes after a large merge; if it stays,"
        " dispatch is down or one cannot be routed (docs/runbooks/review-age.md).",
    ),
)

HOLDS: Final = (
    Drawn(
        title="Reports that wait, by stream and reason",
        queries=(("max by (stream, reason) (labdispatch_holds) > 0", "{{stream}}: {{reason}}"),),
        unit="short",
        advice="Nothing is lost: the message is dispatched, and its other streams have it."
        " identity_not_qualified is the share without an INS, and goes by itself. A jump of another"
        " reason: one laboratory's software has changed; labdispatch holds list --reason names it."
        " Runbook: docs/runbooks/holds.md.",
    ),
    Drawn(
        title="Age of the oldest, of reasons that somebody owns",
        queries=(
            (
                (
                    "max by (stream, reason) (labdispatch_hold_oldest_seconds)"
                    " and on (reason) max by (reason) (labdispatch_hold_limit_seconds)"
                ),
                "{{stream}}: {{reason}}",
            ),
            ("max by (reason) (labdispatch_hold_limit_seconds)", "limit of {{reason}}"),
        ),
        unit="s",
        advice="Above its limit: nobody asked the laboratory. labdispatch holds show REPORT says"
        " what to do. Runbook: docs/runbooks/holds.md.",
    ),
    Drawn(
        title="Released by a person, and asked again",
        queries=(
            (
                "sum by (stream, reason) (increase(labdispatch_hold_releases_total[1h]))",
                "released in an hour: {{stream}} {{reason}}",
            ),
            ("sum(increase(labdispatch_hold_retries_total[1h]))", "asked again in an hour"),
        ),
        unit="short",
        advice="Many releases of one reason: mend the cause at the laboratory instead. Asked again:"
        " a mapping has changed; what it answers goes by itself.",
    ),
)

RECEIVERS: Final = (
    Drawn(
        title="Answers of receivers, by what they mean",
        queries=_rate("push_deliveries", "receiver", "outcome"),
        unit="ops",
        advice="transient: it is tried again. permanent: a dead letter. A receiver without a line"
        " takes nothing: see the panels beside. Runbook: docs/runbooks/receiver-dead.md.",
    ),
    Drawn(
        title="What waits for a receiver",
        queries=(("max by (receiver) (labdispatch_push_waiting_events)", "{{receiver}}"),),
        unit="short",
        advice="Grows with a receiver that is away or too slow; nothing is lost while the outbox"
        " keeps it, and no other receiver waits for it.",
    ),
    Drawn(
        title="For how long: the oldest that waits, and no good answer",
        queries=(
            ("max by (receiver) (labdispatch_push_oldest_seconds)", "{{receiver}} oldest"),
            ("max by (receiver) (labdispatch_push_failing_seconds)", "{{receiver}} failing"),
        ),
        unit="s",
        limit=900,
        advice="Failing: ask the receiver's operator; labdispatch receivers show NAME has the last"
        " code. Oldest without failing: one event fails by itself, or the receiver is slow.",
    ),
    Drawn(
        title="Dead letters, and receivers that are not served",
        queries=(
            ("max by (receiver) (labdispatch_push_dead_letters)", "{{receiver}} dead letters"),
            ("max by (receiver, why) (labdispatch_push_receiver_stopped)", "{{receiver}} {{why}}"),
        ),
        unit="short",
        limit=1,
        advice="labdispatch receivers dead list NAME says why; retry or discard them."
        " Runbook: docs/runbooks/receiver-dead.md.",
    ),
    Drawn(
        title="From sending to the answer",
        queries=_quantiles("push_seconds"),
        unit="s",
        limit=5.0,
        advice="The receivers' own time. Near push_timeout_seconds answers are given up and the"
        " event is sent again: raise the setting, or ask for a quicker answer.",
    ),
)

INDICATORS: Final = (
    Drawn(
        title="Counted, and still to be counted",
        queries=(
            ("sum(rate(labdispatch_indicator_events_total[1m]))", "counted a second"),
            ("max(labdispatch_indicator_lag_events)", "to be counted"),
        ),
        unit="short",
        advice="To be counted grows: the process stands or is slower than the stream."
        " Runbook: docs/runbooks/indicators-stand.md.",
    ),
    Drawn(
        title="For how long: something to count, and the last extraction",
        queries=(
            ("max(labdispatch_indicator_lag_seconds)", "counted nothing, with some to count"),
            ("max(labdispatch_indicator_extraction_age_seconds)", "age of the last extraction"),
        ),
        unit="s",
        advice="An extraction older than twice its setting: counting stands or is far behind."
        " Runbook: docs/runbooks/indicators-stand.md.",
    ),
    Drawn(
        title="How long a batch takes",
        queries=_quantiles("indicator_batch_seconds"),
        unit="s",
        limit=60.0,
        advice="The database is short of processors or disk; with smaller batches"
        " (LABDISPATCH_INDICATORS_BATCH_EVENTS) less is done again after a failure.",
    ),
    Drawn(
        title="Tables published in an hour, extractions that went",
        queries=(
            ("sum(increase(labdispatch_indicator_tables_total[1h]))", "tables"),
            (
                "sum(increase(labdispatch_indicator_extractions_forgotten_total[1h]))",
                "extractions that can be asked for no more",
            ),
        ),
        unit="short",
        advice="Many tables: results come late or were corrected; labdispatch indicators changes"
        " says what of.",
    ),
    Drawn(
        title="Rows let go in an hour, events about closed days",
        queries=(
            ("sum(increase(labdispatch_indicator_rows_gone_total[1h]))", "rows of closed days"),
            ("sum(increase(labdispatch_indicator_closed_events_total[1h]))", "events too late"),
        ),
        unit="short",
        advice="Events too late change no figure: a laboratory sends or corrects what is older than"
        " LABDISPATCH_INDICATORS_ROWS_DAYS.",
    ),
)

READERS: Final = (
    Drawn(
        title="Reads of streams, by what became of them",
        queries=_rate("stream_admissions", "stream", "what"),
        unit="ops",
        advice="quota_used, connections_used: one reader is at its limit; labdispatch tokens list"
        " shows whose. unknown_token, token_revoked: somebody goes on with an old one."
        " read_not_audited, tokens_unread: nobody reads. Runbook: docs/runbooks/readers.md.",
    ),
    Drawn(
        title="Reads under way, and ends not in the audit chain yet",
        queries=(
            ("sum by (stream) (labdispatch_stream_readers)", "{{stream}}"),
            ("sum(labdispatch_stream_audit_waiting_entries)", "ends waiting"),
        ),
        unit="short",
        advice="Near LABDISPATCH_STREAM_CONNECTIONS new readers are turned away. Ends that wait for"
        " more than seconds: the database does not take them, and at 10,000 no name is read.",
    ),
    Drawn(
        title="Who follows, and how often one fell behind",
        queries=(
            ("sum by (stream) (labdispatch_stream_followers)", "{{stream}}"),
            (
                "sum by (stream) (rate(labdispatch_stream_fell_behind_total[$__rate_interval]))",
                "{{stream}} fell behind, a second",
            ),
        ),
        unit="short",
        advice="Who falls behind again and again reads from the database by itself: a slow line, or"
        " a tail that keeps too little (LABDISPATCH_STREAM_TAIL_BYTES).",
    ),
    Drawn(
        title="Why reads ended",
        queries=_rate("stream_reads_ended", "stream", "reason"),
        unit="ops",
        advice="whole and gone are as it should be. unread: a reader left what was sent unread and"
        " was cut. cursor_expired: somebody reads too seldom. Anything else stands in"
        " labdispatch_errors too.",
    ),
    Drawn(
        title="Days until the first token ends",
        queries=(("max(labdispatch_stream_token_soonest_days)", "days"),),
        unit="d",
        advice="Make the reader a new token under another name before: labdispatch tokens list.",
    ),
)

ROWS: Final = (
    ("Doors: what laboratories see", DOORS),
    ("Files and inbound topics", FILES_AND_TOPICS),
    ("The register: who may send", REGISTER),
    ("Dispatch: once, and to one person", DISPATCH),
    ("Stewards: who is one person", STEWARDS),
    ("Holds: what waits, and for whom", HOLDS),
    ("Streams: what leaves", STREAMS),
    ("Receivers: what is pushed", RECEIVERS),
    ("Indicators: what is counted of public health", INDICATORS),
    ("Readers: who reads streams over HTTP", READERS),
)


def dashboard() -> str:
    """Return the dashboard as JSON, always the same bytes."""
    builder = (
        Dashboard("labdispatch")
        .uid(UID)
        .description("From a laboratory's bytes to three streams. Read each panel's description.")
        .tags(["labdispatch"])
        .time("now-1h", "now")
        .refresh("10s")
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .readonly()
    )
    top = 0
    number = 1
    for title, panels in ROWS:
        builder = builder.with_row(Row(title).id(number).grid_pos(_place(0, top, 24, 1)))
        number += 1
        top += 1
        for index, drawn in enumerate(panels):
            left = index % _A_ROW * _WIDTH
            down = top + index // _A_ROW * _HEIGHT
            place = _place(left, down, _WIDTH, _HEIGHT)
            builder = builder.with_panel(_panel(drawn).id(number).grid_pos(place))
            number += 1
        top += -(-len(panels) // _A_ROW) * _HEIGHT
    return JSONEncoder(sort_keys=True, indent=2).encode(builder.build()) + "\n"


def _place(left: int, top: int, width: int, height: int) -> GridPos:
    return GridPos(x=left, y=top, w=width, h=height)


def _panel(drawn: Drawn) -> Panel:
    legend = (
        VizLegendOptions()
        .show_legend(show_legend=True)
        .display_mode(LegendDisplayMode.LIST)
        .placement(LegendPlacement.BOTTOM)
    )
    tooltip = VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING)
    panel = (
        Panel()
        .title(drawn.title)
        .description(drawn.advice)
        .datasource(SOURCE)
        .unit(drawn.unit)
        .min(0)
        .legend(legend)
        .tooltip(tooltip)
    )
    if drawn.limit is not None:
        steps = [Threshold(value=None, color="green"), Threshold(value=drawn.limit, color="red")]
        panel = panel.thresholds(
            ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)
        ).thresholds_style(GraphThresholdsStyleConfig().mode(GraphTresholdsStyleMode.LINE))
    for letter, (expression, label) in zip("ABCDEF", drawn.queries, strict=False):
        panel = panel.with_target(
            Dataquery().ref_id(letter).datasource(SOURCE).expr(expression).legend_format(label)
        )
    return panel


if __name__ == "__main__":
    OUTPUT.write_text(dashboard(), encoding="utf-8")
