"""The one way in: bytes, checks, append, verdict. Every door goes through here.

AA is answered only after the log said durable. AE is answered after the refused message is in the
log too. AR is never logged: it is counted. An unknown result is never answered.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from hashlib import blake2b
from typing import Final
from uuid import UUID

import msgspec

from ops.runtime.clock import Clock
from ops.runtime.failpoints import hit
from ops.runtime.group_append import GroupAppender
from ops.runtime.ids import new_message_id
from ops.runtime.lab_hours import LAB_HOURS
from ops.runtime.logs import get_logger
from ops.runtime.metrics import GATHERED, METRICS
from ops.runtime.traces import TRACES
from ops.runtime.vault import SealClass, Vault
from schemas.decision import Realm
from schemas.envelope import (
    MAPPING_VERSION,
    AcceptedMessage,
    IntakeRecord,
    RecordKind,
    control_key_of,
    partition_of,
)
from schemas.errors import FatalError, HubError, TransientError
from schemas.finding import Finding
from schemas.ids import id_of

from .ack import (
    build_acks,
    facility_not_yours,
    framing_finding,
    not_now,
    suspended_sender,
    told_of,
    unknown_sender,
)
from .fairness import Denial, Fairness, Line
from .header import Header, HeaderError, read_header
from .judge import Judgement, Ruling, judge
from .labs import Lab, LabRegister, Peer, profile_of
from .software import software_of

_log = get_logger(__name__)
_CODES: Final = {Ruling.ACCEPT: "AA", Ruling.REFUSE: "AE", Ruling.REJECT: "AR"}
_MAPPED_LIMIT_BYTES: Final = 9 * 1024 * 1024
_RETRY_SECONDS: Final = 5
LOOP: Final = "same_bytes"
"""Why a message was answered again at the door without an append."""


class Answer(msgspec.Struct, frozen=True):
    """What to write: the ACKs of one message (none where none is wanted), or `close` in doubt."""

    parts: tuple[bytes, ...] = ()
    close: bool = False
    try_again: bool = False
    """AR for want of room or storage: the same message may be sent again."""
    retry_after_seconds: int = _RETRY_SECONDS
    """When that is worth it."""
    is_over_limit: bool = False
    """AR because the laboratory sends more than it may: HTTP says 429 and not 503."""
    hang_up: bool = False
    """The connection ends behind this answer."""
    code: str = ""
    """AA, AE or AR, also where no ACK is wanted; empty in doubt."""
    reason: str = ""
    """Of AR: the code of what it was rejected for."""


class Receipt:
    """One message at the door, from its bytes to its answer."""

    __slots__ = ("_answer", "_future", "_on_failure", "_started")

    def __init__(
        self,
        answer: Answer,
        future: asyncio.Future[int] | asyncio.Future[Answer] | None = None,
        on_failure: Callable[[HubError], Answer] | None = None,
    ) -> None:
        self._answer = answer
        self._future = future
        self._on_failure = on_failure
        self._started = time.perf_counter()

    def done(self) -> bool:
        """Say whether the answer can be given."""
        return self._future is None or self._future.done()

    def add_done_callback(self, callback: Callable[[object], None]) -> None:
        """Call back once `done`."""
        assert self._future is not None
        self._future.add_done_callback(callback)

    async def wait(self) -> Answer:
        """Wait until `done` and return the answer."""
        if self._future is not None:
            await asyncio.wait([self._future])
        return self.answer()

    def answer(self) -> Answer:
        """Return the answer; call once, when `done`."""
        GATHERED.observe(METRICS.ack_seconds, time.perf_counter() - self._started)
        if self._future is None:
            return self._answer
        error = self._future.exception()
        if error is None:
            result = self._future.result()
            return result if isinstance(result, Answer) else self._answer
        if isinstance(error, HubError) and self._on_failure is not None:
            return self._on_failure(error)
        return Answer(close=True)


class DoorCounts:
    """What was answered and not logged, counted until it is flushed."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()

    def add(self, answer: str, reason: str) -> None:
        """Count one; `answer` is AR, unreadable or duplicate, `reason` a stable code of ours."""
        self._counts[(answer, reason)] += 1

    def take(self) -> dict[tuple[str, str], int]:
        """Return what has come together, and begin again at nothing."""
        taken, self._counts = dict(self._counts), Counter()
        return taken

    def give_back(self, counts: dict[tuple[str, str], int]) -> None:
        """Add again what could not be flushed."""
        self._counts.update(counts)


class Acceptor:
    """Judges messages and makes them durable; one a process, shared by its doors.

    Args:
        register: Who may send.
        appender: Group commit in front of the log.
        vault: Seals payloads.
        clock: Gives `received_at` and the time of the ACK.
        realm: Of the instance.
        partitions: Of the instance.
        inbox_secret: Key of the digests by which a resend is recognised.
        counts: What is answered and not logged.
        note_foreign: Told of each message whose facility is not its peer's to speak for.
        fairness: What each laboratory has of this process; None: the defaults.
    """

    def __init__(
        self,
        *,
        register: LabRegister,
        appender: GroupAppender,
        vault: Vault,
        clock: Clock,
        realm: Realm,
        partitions: int,
        inbox_secret: bytes,
        counts: DoorCounts,
        note_foreign: Callable[[Peer, str], None] | None = None,
        fairness: Fairness | None = None,
    ) -> None:
        self._register = register
        self._appender = appender
        self._vault = vault
        self._clock = clock
        self._realm = realm
        self._partitions = partitions
        self._inbox_secret = inbox_secret
        self._counts = counts
        self._note_foreign = note_foreign
        self.fairness = fairness or Fairness()
        self.closed_reason = ""
        """Set while nothing may be taken (disk low): every message is answered AR 207."""

    def receive(self, raw: bytes, peer: Peer | None = None, line: Line | None = None) -> Receipt:
        """Take one message; its receipt gives the answer once the log has spoken. Never raises.

        `line` is the connection it came on; without one it is on its laboratory's common line.

        Where the peer has proved a laboratory, that laboratory alone may be the sender: another's
        facility is answered AR, as is one that nobody has.
        """
        header = read_header(raw)
        if isinstance(header, HeaderError):
            return self._reject(header.header, header.finding)
        if self.closed_reason:
            return self._not_now(header, self.closed_reason, line)
        lab = self._register.get(header.registry_id)
        if peer is not None and (lab is None or lab.lab_id != peer.lab_id):
            return self._foreign(header, peer)
        if lab is not None:
            return self._receive_from(lab, header, raw, line)
        # Tasks start in the order they are made: what follows from this laboratory stays behind.
        return Receipt(Answer(), asyncio.ensure_future(self._receive_from_new(header, raw, line)))

    def turn_away(self, reason: str, head: bytes) -> Receipt | None:
        """Answer a frame that was not taken whole, if its header can be read; None otherwise."""
        self._counts.add("unreadable", reason)
        header = read_header(head)
        if isinstance(header, HeaderError):
            return None
        return self._reject(header, framing_finding(reason))

    async def _receive_from_new(self, header: Header, raw: bytes, line: Line | None) -> Answer:
        try:
            lab = await self._register.admit(header.registry_id)
        except TransientError as error:
            return self._not_now(header, error.reason, line).answer()
        except HubError:
            return Answer(close=True)
        if lab is None:
            return self._reject(header, unknown_sender()).answer()
        return await self._receive_from(lab, header, raw, line).wait()

    def _receive_from(self, lab: Lab, header: Header, raw: bytes, line: Line | None) -> Receipt:
        if lab.state == "suspended":
            LAB_HOURS.turned_away(lab.lab_id, self._clock.now())
            return self._reject(header, suspended_sender())
        now, is_alone = time.monotonic(), line is None
        if line is None:
            line, denial = self.fairness.admit_alone(lab, now)
        else:
            denial = self.fairness.admit(lab, line, now)
        denial = denial or self.fairness.ask(lab, line, now, self._today)
        if denial is not None:
            if not line.is_patient:  # else it is asked again until there is an answer to count
                LAB_HOURS.turned_away(lab.lab_id, self._clock.now())
            return self._over(header, denial, line)
        profile = profile_of(lab)
        marks = [time.time_ns()] if TRACES.is_on else None
        judgement = judge(raw, header, profile, self._realm)
        for finding in judgement.findings:
            GATHERED.add(METRICS.findings.labels(finding.code, finding.level))
        if judgement.ruling is Ruling.REJECT:
            LAB_HOURS.turned_away(lab.lab_id, self._clock.now())
            return self._reject(header, *judgement.findings)
        at = self._clock.now()
        told = told_of(judgement, lab.state)
        answer = self._answer(header, judgement.ruling, told, lab, at)
        key = inbox_key(self._inbox_secret, lab.lab_id, header.control_id, raw)
        verdict = (judgement.ruling, lab.profile_version)
        if line.loops.is_loop(key, verdict, now):
            # Its bytes are in the log, this process saw it, and the verdict is the same.
            line.hold_seconds = 0.0 if line.is_patient else self.fairness.pause()
            METRICS.limit_hits.labels("loop").inc()
            self._counts.add("duplicate", LOOP)
            return Receipt(answer)
        if marks is not None:
            marks.append(time.time_ns())
        try:
            record = self._record(lab, header, judgement, raw, at, key)
            future = self._appender.submit(record)
        except TransientError as error:
            return self._not_now(header, error.reason, line)
        except FatalError:
            return Receipt(Answer(close=True))
        if marks is not None:
            marks.append(time.time_ns())
            code = _CODES[judgement.ruling]
            future.add_done_callback(lambda _: _trace(record, marks, code))
        if is_alone and line.share is not None:
            line.share.enter()
            future.add_done_callback(line.share.leave)
        if line.loops.watches(key):
            future.add_done_callback(lambda done: _note_durable(line, key, verdict, done))
        return Receipt(answer, future, lambda error: self._failed(header, error, line))

    def _today(self) -> date:
        return self._clock.now().date()

    def _record(  # noqa: PLR0917 - all of it goes into one record
        self,
        lab: Lab,
        header: Header,
        judgement: Judgement,
        raw: bytes,
        at: datetime,
        key: UUID,
    ) -> IntakeRecord:
        hit("ingest.before_append")
        message_id = new_message_id()
        accepted = judgement.ruling is Ruling.ACCEPT
        held = AcceptedMessage(
            raw=raw,
            control_id=header.control_id,
            mapping_version=MAPPING_VERSION,
            profile_version=lab.profile_version,
            answer=_CODES[judgement.ruling],
            mapped=judgement.mapped,
            unmappable=judgement.unmappable,
            findings=judgement.findings,
            software=software_of(header, raw),
        )
        return IntakeRecord(
            partition=partition_of(lab.registry_id, self._partitions),
            message_id=message_id,
            lab_id=lab.lab_id,
            kind=RecordKind.MESSAGE if accepted else RecordKind.REFUSED,
            received_at=at,
            inbox_key=key,
            control_key=control_key_of(header.control_id),
            payload=self._vault.seal(SealClass.INTAKE, _encoded(held), message_id.bytes),
        )

    # ------------------------------------------------------------------ answers

    def _answer(
        self,
        header: Header,
        ruling: Ruling,
        findings: tuple[Finding, ...],
        lab: Lab | None,
        at: datetime,
    ) -> Answer:
        parts = build_acks(
            header,
            ruling,
            findings,
            at=at,
            wants_no_answer=lab is not None and lab.wants_no_answer,
        )
        code = _CODES[ruling]
        GATHERED.add(METRICS.answers.labels(code))
        return Answer(
            parts=parts,
            code=code,
            reason=findings[0].code if ruling is Ruling.REJECT else "",
        )

    def _reject(self, header: Header, *findings: Finding) -> Receipt:
        self._counts.add("AR", findings[0].code)
        return Receipt(self._answer(header, Ruling.REJECT, findings, None, self._clock.now()))

    def _foreign(self, header: Header, peer: Peer) -> Receipt:
        METRICS.foreign_facilities.inc()
        if self._note_foreign is not None:
            self._note_foreign(peer, header.registry_id)
        return self._reject(header, facility_not_yours())

    def _not_now(
        self, header: Header, reason: str, line: Line | None, *, is_ours: bool = True
    ) -> Receipt:
        if line is not None and line.is_patient:
            # It is asked again until there is an answer that is worth telling and counting.
            return Receipt(Answer(try_again=True))
        if is_ours:
            METRICS.not_taken.inc()
        self._counts.add("AR", reason)
        answer = self._answer(header, Ruling.REJECT, (not_now(reason),), None, self._clock.now())
        return Receipt(msgspec.structs.replace(answer, try_again=True))

    def _over(self, header: Header, denial: Denial, line: Line) -> Receipt:
        METRICS.limit_hits.labels(denial.limit).inc()
        answer = self._not_now(header, denial.reason, line, is_ours=False).answer()
        seconds = _RETRY_SECONDS
        if denial.reason == "quota_reached":
            now = self._clock.now()
            midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
            seconds = max(1, int((midnight - now).total_seconds()))
        return Receipt(
            msgspec.structs.replace(
                answer,
                retry_after_seconds=seconds,
                is_over_limit=True,
                hang_up=denial.hang_up,
            )
        )

    def _failed(self, header: Header, error: HubError, line: Line) -> Answer:
        if isinstance(error, TransientError):
            return self._not_now(header, error.reason, line).answer()
        return Answer(close=True)


def _trace(record: IntakeRecord, marks: Sequence[int], code: str) -> None:
    """Note the spans of a message that the log has answered for, or not."""
    (began, checked, sealed), ended, trace = marks, time.time_ns(), record.message_id
    TRACES.span("door", began, trace=trace, ended=ended, is_first=True,
                partition=record.partition, answer=code)  # fmt: skip
    TRACES.span("check", began, trace=trace, ended=checked)
    TRACES.span("seal", checked, trace=trace, ended=sealed)
    TRACES.span("append", sealed, trace=trace, ended=ended)


def _note_durable(
    line: Line, key: UUID, verdict: tuple[Ruling, int], done: asyncio.Future[int]
) -> None:
    if not done.cancelled() and done.exception() is None:
        line.loops.is_durable(key, verdict)


def inbox_key(secret: bytes, lab_id: int, control_id: str, raw: bytes) -> UUID:
    """Return the digest that is equal for an exact resend from the same laboratory."""
    digest = blake2b(digest_size=16, key=secret, person=b"inbox-key")
    digest.update(b"%d\x1f%s\x1f" % (lab_id, control_id.encode()))
    digest.update(raw)
    return id_of(digest.digest())


def _encoded(held: AcceptedMessage) -> bytes:
    """Return the bytes to seal; what was mapped goes when both would not fit into one record."""
    # Dispatch maps the raw bytes again where the version is not its own.
    if len(held.raw) > _MAPPED_LIMIT_BYTES // 2:
        # Both might fit, but to write megabytes in vain costs everybody behind this message.
        return msgspec.structs.replace(held, mapped=None, mapping_version=0).to_bytes()
    encoded = held.to_bytes()
    if len(encoded) > _MAPPED_LIMIT_BYTES and held.mapped is not None:
        encoded = msgspec.structs.replace(held, mapped=None, mapping_version=0).to_bytes()
    return encoded
