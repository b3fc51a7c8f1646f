"""Identity: who is one person, what waits for a word, and dispatch, which decides it."""

from __future__ import annotations

from typing import Final

from ops.grafana.drawing import Board, Drawn, rate

DECIDING: Final = (
    Drawn(
        title="Decisions about persons",
        queries=rate("match_decisions", "verdict", "rule"),
        unit="ops",
        runbook="review-age",
        advice="The shares change slowly. A jump of new persons: a laboratory has stopped to"
        " send the INS or changed how it writes names; compare with 'Findings at the"
        " door'.",
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
        runbook="hot-keys",
        advice="Keys that turn hot: one laboratory sends a placeholder as a value. Keyed anew:"
        " `labdispatch identity rekey` runs.",
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
        runbook="holds",
        advice="Grows steadily: a laboratory sends screening or sequencing without day of"
        " sampling (OBR-7) or the specimen's number (SPM-2), or first lines go astray."
        " docs/cases.md.",
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
        runbook="review-age",
        advice="Priority 1 first: an INS that contradicts. Not opened: the share of records"
        " that may be asked about is used up; they stay on their link events.",
    ),
    Drawn(
        title="Age of the oldest that waits",
        queries=(("max(labdispatch_review_oldest_seconds)", "oldest"),),
        unit="s",
        limit=604800,
        runbook="review-age",
        advice="Nobody looks, or more comes than is decided: `labdispatch review list` shows"
        " what waits, the most urgent first.",
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
        runbook="review-age",
        advice="Persons still to be emitted again: for minutes after a large merge; if it"
        " stays, dispatch is down or one cannot be routed.",
    ),
)

HOLDS: Final = (
    Drawn(
        title="Reports that wait, by stream and reason",
        queries=(("max by (stream, reason) (labdispatch_holds) > 0", "{{stream}}: {{reason}}"),),
        unit="short",
        runbook="holds",
        advice="Nothing is lost: the message is dispatched, and its other streams have it."
        " identity_not_qualified is the share without an INS, and goes by itself. A jump"
        " of another reason: one laboratory's software has changed; labdispatch holds"
        " list --for names it.",
    ),
    Drawn(
        title="Age of the oldest, of reasons that somebody owns",
        queries=(
            (
                (
                    "max by (stream, reason) (labdispatch_hold_oldest_seconds) and on (reason) "
                    "max by (reason) (labdispatch_hold_limit_seconds)"
                ),
                "{{stream}}: {{reason}}",
            ),
            ("max by (reason) (labdispatch_hold_limit_seconds)", "limit of {{reason}}"),
        ),
        unit="s",
        runbook="holds",
        advice="Above its limit: nobody asked the laboratory. labdispatch holds show REPORT"
        " says what to do.",
    ),
    Drawn(
        title="Asked again because a mapping has changed",
        queries=(("sum(increase(labdispatch_hold_retries_total[1h]))", "in an hour"),),
        unit="short",
        runbook="holds",
        advice="A laboratory's codes have changed, or a release has learnt words: what it answers"
        " goes by itself. What a person releases stands in the audit chain.",
    ),
)


BOARD: Final = Board(
    uid="labdispatch-identity",
    title="labdispatch: identity",
    about="Who is one person, what waits for a steward, and what waits for a word.",
    rows=(
        ("Deciding: to one person", DECIDING),
        ("Stewards: who is one person", STEWARDS),
        ("Holds: what waits, and for whom", HOLDS),
    ),
)
