"""From placed reports to what the streams hold: route, project, diff, outbox."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from dedup.case_store import CaseStore
from ops.holding.releases import released_of
from ops.placing import Placed
from ops.ruling.in_effect import RulesInEffect
from ops.runtime.metrics import METRICS
from ops.runtime.postgres import Connection
from ops.runtime.vault import SealClass, Vault
from ops.withdrawing import Withdrawn
from routing import emitted, outbox
from routing.case import is_of_realm
from routing.doubts import DOUBTS, Doubts
from routing.emitted import PendingEvent, Place, Wanted
from routing.facts import WHOLE
from routing.findings import ConditionFinding
from routing.holds import Hold, write_holds
from routing.pseudonym import body_digest
from routing.router import Case, PersonView, Router, reason_of
from routing.rules import NO_RULE
from schemas.decision import Realm, RoutedPart, Standing
from schemas.envelope import MAPPING_VERSION, StoredRecord
from schemas.errors import pure_step
from schemas.patient import Phi
from schemas.report import LabReport, MappedMessage, Organisation
from schemas.topics import STREAMS, Stream

_NO_ONE: Final = Organisation()
_NOTHING: Final = {WHOLE: RoutedPart(rule=NO_RULE)}
"""Of a report that tells a stream nothing: whatever it holds of it is due no more."""
_MAPPING: Final = str(MAPPING_VERSION)
"""What another version has mapped is mapped again before it comes here."""


class Due(Phi, frozen=True, kw_only=True):
    """A report whose streams must be looked at again, and about whom it is."""

    source: StoredRecord
    message: MappedMessage
    person: PersonView
    placed: Placed
    reason: str = ""
    """Why, where it is not the version itself: identity_changed, case_changed."""
    standings: Mapping[str, Standing] | None = None
    """Condition -> where it stands among the person's reports; None: as it is held."""
    findings: tuple[ConditionFinding, ...] | None = None
    """What the report says, where somebody has found it already."""
    doubts: Doubts | None = None
    """What is doubted of it, where somebody has asked already."""
    model_version: str = ""
    """Of the matcher that said about whom it is; empty where it did not decide."""
    streams: tuple[Stream, ...] = STREAMS
    """Which are to be looked at; the others hold what they held."""
    released: frozenset[tuple[Stream, str]] = frozenset()
    """Doubts about the report that a person has let go, by stream and reason."""


class Asked(Phi, frozen=True, kw_only=True):
    """What the streams should hold of some reports."""

    wanted: list[Wanted]
    holds: dict[Place, Hold | None]
    """Report and stream -> why it waits; None where it waits no longer."""


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """The events of a batch, not yet numbered."""

    events: list[PendingEvent]

    def count(self) -> None:
        """Count the events, once they are committed."""
        for (stream, kind), n in Counter((e.stream, e.kind) for e in self.events).items():
            METRICS.events.labels(stream.value, kind.value).inc(n)


class Publisher:
    """Routes a batch's reports and writes the difference against what the streams hold.

    Args:
        rules: The rules in effect, and the projections.
        vault: Seals the bodies of events.
        body_secret: Key of the digests by which bodies are compared.
        realm: Of the instance.
        cases: Where reports stand among those of their persons.
        partitions: Of the instance.
    """

    def __init__(
        self,
        *,
        rules: RulesInEffect,
        vault: Vault,
        body_secret: bytes,
        realm: Realm,
        cases: CaseStore,
        partitions: int,
    ) -> None:
        self._rules = rules
        self._vault = vault
        self._body_secret = body_secret
        self._realm = realm
        self._cases = cases
        self._partitions = partitions

    async def prepare(self, connection: Connection, due: Sequence[Due], at: datetime) -> Published:
        """Write what the streams will hold; return the events that say so."""
        if not due:
            return Published(events=[])
        asked = await self.ask(connection, due, at)
        # Of two versions of one report in a batch the second is held, and asked for.
        told = {d.placed.report_id for d in due if not d.placed.is_unheard}
        held = await emitted.load(connection, told)
        with pure_step():
            changes = self.diff(held, asked.wanted)
        await emitted.store(connection, changes.rows)
        await write_holds(
            connection,
            {place: why for place, why in asked.holds.items() if why is not None},
            [place for place, why in asked.holds.items() if why is None],
            at,
        )
        return Published(events=changes.events)

    async def ask(
        self, connection: Connection, due: Sequence[Due], at: datetime | None = None
    ) -> Asked:
        """Return what the streams should hold of these reports; writes and locks nothing.

        The one place that says it: for what is dispatched, for what is emitted again, and for who
        verifies what the streams hold.

        Args:
            connection: Inside the transaction whose reports these are.
            due: The reports.
            at: By the rules in effect then; None: now.
        """
        router = await self._rules.at(connection, at)
        named = bool(router.sight.laboratories)
        cases = await self.cases_of(connection, due, laboratories=named)
        asked = Asked(wanted=[], holds={})
        with pure_step():
            for one, case in zip(due, cases, strict=True):
                asked.wanted.extend(_wanted(router, one, case, asked.holds, self._partitions))
        return asked

    async def cases_of(
        self, connection: Connection, due: Sequence[Due], *, laboratories: bool
    ) -> list[Case]:
        """Return the reports as a router is given them.

        Args:
            connection: Inside the transaction whose reports these are.
            due: The reports.
            laboratories: Whether the numbers of their laboratories in the register are wanted.
        """
        due = await self._standing(connection, due)
        names: Mapping[int, str] = {}
        if laboratories:
            ids = {each.source.lab_id for each in due}
            names = await self._rules.laboratories(connection, ids)
        cases = [_case(one, self._realm, names.get(one.source.lab_id, "")) for one in due]
        with pure_step():
            doubted = {
                one.placed.report_id: one.placed.content_digest
                for one, case in zip(due, cases, strict=True)
                if case.doubts
            }
        # Asked for what is doubted alone: of most batches nothing is.
        released = await released_of(connection, doubted)
        return [
            case
            if case.report_id not in released
            else msgspec.structs.replace(case, released=case.released | released[case.report_id])
            for case in cases
        ]

    def diff(
        self, held: Mapping[emitted.Key, emitted.EmittedRow], wanted: Sequence[Wanted]
    ) -> emitted.Changes:
        """Return the events that lead from what is held to what is wanted; pure."""
        return emitted.diff(held, wanted, self._realm, self._body_secret)

    def is_odd(self, due: Due) -> bool:
        """Say whether a report is doubted, or a test in production; pure."""
        doubts = due.doubts
        if doubts is None:
            doubts = _case(due, self._realm, "").doubts
        return bool(doubts) or not is_of_realm(due.message.traits, self._realm)

    def digest_of(self, body: bytes) -> UUID:
        """Return the digest by which bodies are compared."""
        return body_digest(self._body_secret, body)

    async def withdraw(
        self, connection: Connection, gone: Sequence[Withdrawn], stream: Stream
    ) -> Published:
        """Take reports back from a stream without looking at what they say.

        For reports that can be read no more: what a stream must not hold is taken back all the
        same. What it does not hold gives nothing.
        """
        if not gone:
            return Published(events=[])
        held = await emitted.load(connection, {each.report_id for each in gone})
        wanted = [
            Wanted(
                report_id=each.report_id,
                stream=stream,
                partition=each.partition,
                person_version=each.person_version,
                message_id=each.message_id,
                decision=emitted.Due(due=False, rule=each.reason, rule_version=""),
                reason=each.reason,
                beside=frozenset({WHOLE}),
            )
            for each in gone
        ]
        changes = self.diff(held, wanted)
        await emitted.store(connection, changes.rows)
        return Published(events=changes.events)

    async def write_events(
        self, connection: Connection, published: Published, at: datetime
    ) -> None:
        """Number the events and write them to the outbox; the last statements before COMMIT."""
        if published.events:
            await outbox.write(
                connection, published.events, self._seal, at, seal_public=self._seal_public
            )

    async def _standing(self, connection: Connection, due: Sequence[Due]) -> Sequence[Due]:
        """Look up where reports stand of whom nobody has said it."""
        asked = [d for d in due if d.standings is None]
        if not asked:
            return due
        found = await self._cases.standings(
            connection,
            {d.person.person_id for d in asked},
            {d.placed.report_id for d in asked},
        )
        return [
            d
            if d.standings is not None
            else msgspec.structs.replace(d, standings=found.get(d.placed.report_id, {}))
            for d in due
        ]

    def _seal(self, body: bytes, associated: bytes) -> bytes:
        return self._vault.seal(SealClass.STREAM, body, associated)

    def _seal_public(self, body: bytes, associated: bytes) -> bytes:
        return self._vault.seal(SealClass.PUBLIC_HEALTH, body, associated)


def _wanted(
    router: Router,
    due: Due,
    case: Case,
    holds: dict[Place, Hold | None],
    partitions: int,
) -> list[Wanted]:
    """Say for each stream what it should hold of this report, by part; note what waits."""
    decision = router.route(case)
    reason = due.reason or reason_of(case)
    found = []
    for stream in due.streams:
        parts = decision.parts[stream] or _NOTHING
        if stream in decision.holds:
            waiting = sorted(part for part, routed in parts.items() if part and routed.hold)
            reason_held = decision.holds[stream]
            holds[due.placed.report_id, stream] = Hold(reason_held, tuple(waiting))
        elif not due.placed.is_new:
            holds[due.placed.report_id, stream] = None
        left = len(parts)
        for part, routed in parts.items():
            left -= 1
            if due.placed.is_unheard and not routed.due:
                continue  # nothing is there to be taken back: half of the wishes of new reports
            found.append(
                Wanted(
                    report_id=due.placed.report_id,
                    stream=stream,
                    part=part,
                    partition=due.source.partition,
                    person_version=due.person.person_version,
                    message_id=due.source.message_id,
                    decision=emitted.Due(
                        due=routed.due, rule=routed.rule, rule_version=decision.rule_version
                    ),
                    projection=router.project(stream, part, case, decision) if routed.due else None,
                    reason=reason,
                    waits=routed.hold in DOUBTS,
                    partitions=partitions,
                    is_version=not due.reason and due.placed.version is not None,
                    moves=stream is Stream.CONTACT_TRACING and _is_another_s(due),
                    beside=None if left else frozenset(parts),
                )
            )
    return found


def _is_another_s(due: Due) -> bool:
    """Say whether this version is about another patient: whoever was called must be told so."""
    return due.placed.held_person not in {None, due.person.person_id}


def _case(due: Due, realm: Realm, registry_id: str) -> Case:
    report: LabReport = due.placed.report
    return Case(
        report=report,
        traits=due.message.traits,
        person=due.person,
        realm=realm,
        laboratory=report.performer or _NO_ONE,
        report_id=due.placed.report_id,
        received_at=due.source.received_at,
        version=due.placed.version_number,
        standings=due.standings or {},
        known_findings=due.findings,
        known_doubts=due.doubts,
        registry_id=registry_id,
        released=due.released,
        model_version=due.model_version,
        mapping_version=_MAPPING,
    )
