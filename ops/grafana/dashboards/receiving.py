"""Panels of who gets the streams: receivers, readers over HTTP, indicators."""

from __future__ import annotations

from typing import Final

from ops.grafana.drawing import Drawn, quantiles, rate

RECEIVERS: Final = (
    Drawn(
        title="Answers of receivers, by what they mean",
        queries=rate("push_deliveries", "receiver", "outcome"),
        unit="ops",
        runbook="receiver-dead",
        advice="transient: it is tried again. permanent: a dead letter. A receiver without a"
        " line takes nothing: see the panels beside.",
    ),
    Drawn(
        title="What waits for a receiver",
        queries=(("max by (receiver) (labdispatch_push_waiting_events)", "{{receiver}}"),),
        unit="short",
        runbook="receiver-dead",
        advice="Grows with a receiver that is away or too slow; nothing is lost while the"
        " outbox keeps it, and no other receiver waits for it.",
    ),
    Drawn(
        title="For how long: the oldest that waits, and no good answer",
        queries=(
            ("max by (receiver) (labdispatch_push_oldest_seconds)", "{{receiver}} oldest"),
            ("max by (receiver) (labdispatch_push_failing_seconds)", "{{receiver}} failing"),
        ),
        unit="s",
        limit=900,
        runbook="receiver-dead",
        advice="Failing: ask the receiver's operator; labdispatch receivers show NAME has the"
        " last code. Oldest without failing: one event fails by itself, or the receiver"
        " is slow.",
    ),
    Drawn(
        title="Dead letters, and receivers that are not served",
        queries=(
            ("max by (receiver) (labdispatch_push_dead_letters)", "{{receiver}} dead letters"),
            ("max by (receiver, why) (labdispatch_push_receiver_stopped)", "{{receiver}} {{why}}"),
        ),
        unit="short",
        limit=1,
        runbook="receiver-dead",
        advice="labdispatch receivers dead list NAME says why; retry or discard them.",
    ),
    Drawn(
        title="From sending to the answer",
        queries=quantiles("push_seconds"),
        unit="s",
        limit=5.0,
        runbook="receiver-dead",
        advice="The receivers' own time. Near push_timeout_seconds answers are given up and"
        " the event is sent again: raise the setting, or ask for a quicker answer.",
    ),
)

READERS: Final = (
    Drawn(
        title="Reads of streams, by what became of them",
        queries=rate("stream_admissions", "stream", "what"),
        unit="ops",
        runbook="readers",
        advice="quota_used, connections_used: one reader is at its limit; labdispatch tokens"
        " list shows whose. unknown_token, token_revoked: somebody goes on with an old"
        " one. read_not_audited, tokens_unread: nobody reads.",
    ),
    Drawn(
        title="Reads under way, and ends not in the audit chain yet",
        queries=(
            ("sum by (stream) (labdispatch_stream_readers)", "{{stream}}"),
            ("sum(labdispatch_stream_audit_waiting_entries)", "ends waiting"),
        ),
        unit="short",
        runbook="readers",
        advice="Near LABDISPATCH_STREAM_CONNECTIONS new readers are turned away. Ends that"
        " wait for more than seconds: the database does not take them, and at 10,000 no"
        " name is read.",
    ),
    Drawn(
        title="Who follows, and how often one fell behind",
        queries=(
            ("sum by (stream) (labdispatch_stream_followers)", "{{stream}}"),
            (
                ("sum by (stream) (rate(labdispatch_stream_fell_behind_total[$__rate_interval]))"),
                "{{stream}} fell behind, a second",
            ),
        ),
        unit="short",
        runbook="readers",
        advice="Who falls behind again and again reads from the database by itself: a slow"
        " line, or a tail that keeps too little (LABDISPATCH_STREAM_TAIL_BYTES).",
    ),
    Drawn(
        title="Why reads ended",
        queries=rate("stream_reads_ended", "stream", "reason"),
        unit="ops",
        runbook="readers",
        advice="whole and gone are as it should be. unread: a reader left what was sent unread"
        " and was cut. cursor_expired: somebody reads too seldom. Anything else stands"
        " in labdispatch_errors too.",
    ),
    Drawn(
        title="Days until the first token ends",
        queries=(("max(labdispatch_stream_token_soonest_days)", "days"),),
        unit="d",
        runbook="readers",
        advice="Make the reader a new token under another name before: labdispatch tokens list.",
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
        runbook="indicators-stand",
        advice="To be counted grows: the process stands or is slower than the stream.",
    ),
    Drawn(
        title="For how long: something to count, and the last extraction",
        queries=(
            ("max(labdispatch_indicator_lag_seconds)", "counted nothing, with some to count"),
            ("max(labdispatch_indicator_extraction_age_seconds)", "age of the last extraction"),
        ),
        unit="s",
        runbook="indicators-stand",
        advice="An extraction older than twice its setting: counting stands or is far behind.",
    ),
    Drawn(
        title="How long a batch takes",
        queries=quantiles("indicator_batch_seconds"),
        unit="s",
        limit=60.0,
        runbook="indicators-stand",
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
        runbook="indicators-stand",
        advice="Many tables: results come late or were corrected; labdispatch indicators"
        " changes says what of.",
    ),
    Drawn(
        title="Rows let go in an hour, events about closed days",
        queries=(
            ("sum(increase(labdispatch_indicator_rows_gone_total[1h]))", "rows of closed days"),
            ("sum(increase(labdispatch_indicator_closed_events_total[1h]))", "events too late"),
        ),
        unit="short",
        runbook="indicators-stand",
        advice="Events too late change no figure: a laboratory sends or corrects what is older"
        " than LABDISPATCH_INDICATORS_ROWS_DAYS.",
    ),
)
