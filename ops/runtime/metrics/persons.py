"""Persons: the matcher, stewards, review, holds."""

from __future__ import annotations

from .declaring import counter, counters, gauge, gauges
from .labels import (
    DECISION_RULES,
    GUARDS,
    HOLD_REASONS,
    OPPOSITION_RESULTS,
    PRIORITIES,
    STEWARD_ACTS,
    STREAM_NAMES,
    VERDICTS,
)


class PersonMetrics:
    """Persons: the matcher, stewards, review, holds."""

    def __init__(self) -> None:
        super().__init__()
        self.decisions = counters(
            "match_decisions",
            "Decisions about persons by verdict and rule",
            verdict=VERDICTS,
            rule=DECISION_RULES,
        )
        self.steward_acts = counters(
            "steward_acts", "Changes of identities committed, by act", act=STEWARD_ACTS
        )
        self.reemitted_reports = counter(
            "reemitted_reports", "Reports held against the streams again after a change"
        )
        self.unreadable_reports = counter(
            "unreadable_reports", "Reports whose person changed and that can be read no more"
        )
        self.reemission_due = gauge(
            "reemission_due_persons",
            "Persons whose reports are still to be held against the streams again",
            mode="livemostrecent",
        )
        self.holds = gauges(
            "holds",
            "Reports for which a stream waits, by stream and reason; up to"
            " LABDISPATCH_HOLD_COUNTED",
            mode="livemostrecent",
            stream=STREAM_NAMES,
            reason=HOLD_REASONS,
        )
        self.hold_age = gauges(
            "hold_oldest_seconds",
            "Age of the oldest hold, by stream and reason; 0 where nothing waits",
            mode="livemostrecent",
            stream=STREAM_NAMES,
            reason=HOLD_REASONS,
        )
        self.hold_limit = gauges(
            "hold_limit_seconds",
            "How old a hold may grow before it alerts, by reason",
            mode="livemostrecent",
            reason=HOLD_REASONS,
        )
        self.hold_releases = counters(
            "hold_releases",
            "Holds that a person released, by stream and reason",
            stream=STREAM_NAMES,
            reason=HOLD_REASONS,
        )
        self.opposition_lines = counters(
            "opposition_lines",
            "Lines of batches of oppositions, by what became of them",
            result=OPPOSITION_RESULTS,
        )
        self.hold_retries = counter("hold_retries", "Replays asked for because a report waits")
        self.review_open = gauges(
            "review_open_items",
            "Review items that wait for a steward, by guard and priority",
            mode="livemostrecent",
            guard=GUARDS,
            priority=PRIORITIES,
        )
        self.review_age = gauge(
            "review_oldest_seconds",
            "Age of the oldest review item that waits and was not put off",
            mode="livemostrecent",
        )
        self.review_withheld = counters(
            "review_items_withheld",
            "Review items not opened because their share of records was used up, by priority",
            priority=PRIORITIES,
        )
        self.capped_lookups = counter("capped_lookups", "Candidate look-ups cut at their bound")
        self.capped_aliases = counter(
            "capped_aliases", "Persons compared by a part of their sets of traits"
        )
        self.hot_keys = counter(
            "hot_keys", "Keys that were narrowed because too many persons share them"
        )
        self.narrowings_cut = counter(
            "narrowings_cut", "Keys narrowed for a part of the persons that share them"
        )
        self.second_lookups = counter(
            "second_lookups", "Batches that asked for all wide keys after all"
        )
        self.rekeyed_persons = counter(
            "rekeyed_persons", "Persons that were given keys of a new version"
        )
        self.gained_ins = counter(
            "gained_ins", "Persons that were known and gained their first qualified INS"
        )
