"""The closed sets that label values come from; what is in none of them is told as `other`.

Three kinds. `Closed`: each value stands here. `Codes`: our own stable codes, which other modules
declare, told apart by their form and bounded in number. `Names`: what operators name things.
None lets a value of a message through, whatever a caller hands in. Pure.

Sets whose source lies above this package (routing, dedup, ops) are held against it by
tests/unit/test_metric_table.py.
"""

from __future__ import annotations

import re
from typing import Final, Protocol

from schemas.decision import Verdict
from schemas.events import EventKind
from schemas.finding import Level
from schemas.outcome import ENDINGS
from schemas.topics import STREAMS

from .limits import LIMITS

OTHER: Final = "other"
"""Told instead of a value that is in no set; `labdispatch_label_values_refused_total` counts it."""


_NO_NUMBER: Final = "(?!.*[0-9]{6})"
"""Nothing that could be an INS, a telephone or an order."""


class LabelSet(Protocol):
    """The values that one label may have."""

    def takes(self, value: str) -> bool:
        """Say whether a value is one of the set."""
        ...

    @property
    def most(self) -> int:
        """How many values a process can tell apart."""
        ...

    @property
    def words(self) -> str:
        """What docs/metrics.md says of the set."""
        ...


class Closed:
    """Values that stand here, each of them; what else there may be is `other`."""

    def __init__(self, *values: str) -> None:
        self.values: Final = values
        self._known: Final = frozenset(values)

    def takes(self, value: str) -> bool:
        """Say whether a value is one of the set."""
        return value in self._known

    @property
    def most(self) -> int:
        """As many as stand here."""
        return len(self.values)

    @property
    def words(self) -> str:
        """The values."""
        return ", ".join(f"`{value}`" if value else "(empty)" for value in self.values)


class Bounded:
    """Words of one form, as many as may be in one process; the first that come.

    Args:
        form: Of the whole word.
        most: How many different ones a process tells apart.
        means: What they are, for the page.
    """

    def __init__(self, form: str, most: int, means: str) -> None:
        self._most: Final = most
        self._form: Final = re.compile(form)
        self._means: Final = means
        self._seen: set[str] = set()

    def takes(self, value: str) -> bool:
        """Say whether a value has the form and there is room; it has its place from then on."""
        if value in self._seen:
            return True
        if len(self._seen) >= self._most or not self._form.fullmatch(value):
            return False
        self._seen.add(value)
        return True

    @property
    def most(self) -> int:
        """As many as it was made for."""
        return self._most

    @property
    def words(self) -> str:
        """What they are, and how many."""
        return f"{self._means}; {self._most} at most"


def codes(most: int, means: str) -> Bounded:
    """Return a set of our own stable codes: a_code_like_this, or none; no sentence, no number."""
    return Bounded(rf"{_NO_NUMBER}[a-z][a-z0-9]{{0,23}}(_[a-z0-9]{{1,23}}){{0,8}}|", most, means)


def names(most: int, means: str) -> Bounded:
    """Return a set of names that operators gave to things of theirs: no sentence, no number."""
    return Bounded(rf"{_NO_NUMBER}[A-Za-z0-9][A-Za-z0-9._-]{{0,248}}", most, means)


STREAM_NAMES: Final = Closed(*(stream.value for stream in STREAMS))

# -- doors
DOORS: Final = Closed("mllp", "http")
FRAMES: Final = Closed("whole", "cut", "empty", "garbage", "oversize")
ANSWERS: Final = Closed("AA", "AE", "AR")
LEVELS: Final = Closed(*(level.value for level in Level))
FINDING_CODES: Final = codes(400, "codes of findings, see [findings](findings/)")
CLOSED_BECAUSE: Final = Closed(
    "append_unknown", "certificate_expired", "certificate_not_yet_valid", "certificate_revoked",
    "connections_per_laboratory", "foreign_protocol", "laboratory_suspended", "shutdown",
    "unknown_certificate", "unread_answers",
)  # fmt: skip
HANDSHAKE_REFUSALS: Final = Closed(
    "crl_unusable", "expired", "no_certificate", "not_tls", "not_yet_valid", "other",
    "peer_refused_us", "protocol_version", "reset", "revoked", "timeout", "unknown_ca",
)  # fmt: skip
RELOADS: Final = Closed("loaded", "failed")
CERTIFICATE_ENDS: Final = Closed("expired", "under_7_days", "under_30_days", "later")

# -- files and inbound topics
FILES: Final = Closed("done", "refused", "waits")
FILE_ANSWERS: Final = Closed("AA", "AE", "AR", "none")
INBOUND: Final = Closed("AA", "AE", "AR", "parked")
INBOUND_PARKS: Final = codes(64, "why an inbound record is parked, see [inbound](inbound.md)")
INBOUND_TOPICS: Final = names(64, "topics of LABDISPATCH_INBOUND_TOPICS")

# -- retention
RETENTION_CLASSES: Final = Closed("intake", "names", "public-health", "identity", "codes", "inbox")
PURGED_TABLES: Final = Closed(
    "intake",
    "message",
    "inbox",
    "stream_event_dossier",
    "stream_event_contact_tracing",
    "stream_event_public_health",
    "person_alias",
    "person_ins",
    "lab_unmapped",
)

# -- dispatch
OUTCOME_ENDINGS: Final = Closed(*ENDINGS, "replay")
OUTCOME_REASONS: Final = codes(
    400, "empty, a reason to park or to call it a duplicate, or the finding that refused"
)
EVENT_KINDS: Final = Closed(*(kind.value for kind in EventKind))
SECOND_LINES: Final = Closed("attached", "waits", "found", "left")
PARTITIONS: Final = Closed(*(str(number) for number in range(64)))

# -- persons
VERDICTS: Final = Closed(*(verdict.value for verdict in Verdict))
DECISION_RULES: Final = Closed(
    "declared_history", "isolated", "new", "same_ins", "score", "strict_traits"
)
STEWARD_ACTS: Final = codes(32, "what a steward did, as the audit chain calls it")
HOLD_REASONS: Final = Closed(
    "birth_date_after_sampling", "first_line_awaited", "identity_not_qualified",
    "ins_of_other_realm", "result_not_understood", "status_contradicts", "unit_unexpected",
)  # fmt: skip
OPPOSITION_RESULTS: Final = Closed(
    "allowed", "bad_act", "bad_ins", "bad_line", "failed", "no_such_laboratory", "nobody",
    "not_opposed", "opposed", "opposed_ahead", "opposed_already", "several",
)  # fmt: skip
GUARDS: Final = codes(64, "guards of the matcher, see [identity](identity.md)")
PRIORITIES: Final = Closed("1", "2", "3")

# -- streams
ROUTES: Final = codes(64, "groups of routes of the api process")
STATUSES: Final = Bounded(r"[1-5][0-9]{2}", 64, "HTTP status codes")
READ_ENDS: Final = codes(64, "whole, gone, unread, stopping, or the reason of an error")
ADMISSIONS: Final = Closed(
    "admitted", "away", "connections_used", "no_token", "quota_used", "read_not_audited",
    "readers_full", "reads_too_fast", "token_expired", "token_filter_unreadable",
    "token_not_for_stream", "token_revoked", "tokens_unread", "unknown_token",
)  # fmt: skip

SPAN_OUTCOMES: Final = Closed("sent", "failed", "dropped")

# -- push
RECEIVERS: Final = names(500, "names of receivers")
PUSH_OUTCOMES: Final = Closed("accepted", "transient", "permanent")
PUSH_ENDINGS: Final = codes(8, "accepted, dead, superseded, waiting")
PUSH_STOPS: Final = codes(16, "paused, gap, trouble")

# -- what people mend
PARKED_ACTS: Final = Closed("assigned", "replayed", "mended", "discarded")
STANDINGS: Final = Closed("silent", "short", "doubtful", "closed", "new", "usual")
PAUSED_THINGS: Final = Closed("stream", "laboratory", "receiver")

# -- the database
TABLES: Final = codes(120, "tables of the schema, see [architecture](architecture.md#tables)")
SESSION_STATES: Final = Closed("active", "idle", "idle_in_transaction", "waiting")
STANDBYS: Final = Closed("sync", "async")

# -- every process
STATIONS: Final = Closed("ingest", "inbound", "dispatch", "relay", "push", "indicators", "api")
ENDING_REASONS: Final = Closed(
    "histories_diverged", "intake_lost", "kafka_fenced", "offset_beyond_end"
)  # fmt: skip
ERROR_STATIONS: Final = codes(64, "the station, or its part, that met the error")
ERROR_REASONS: Final = codes(200, "stable codes of our errors, never their text")
LIMIT_NAMES: Final = Closed(*LIMITS)
METRIC_NAMES: Final = codes(300, "metrics of this page, without `labdispatch_`")
POOL_STATES: Final = Closed("idle", "used")
VERSIONS: Final = Bounded(rf"{_NO_NUMBER}[0-9]+(\.[0-9a-z]+){{0,4}}", 8, "versions of labdispatch")
