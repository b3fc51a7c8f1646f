"""What the router is given about one report, and what a projection gives back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import Final
from uuid import UUID

from schemas.days import counted_day
from schemas.decision import Line, Realm, Standing
from schemas.patient import INS_PRODUCTION_OIDS, INS_TEST_OIDS, Ins, Phi, Traits
from schemas.report import LabReport, Organisation
from schemas.topics import Stream

from .ages import age_at
from .doubts import NO_DOUBTS, Doubts, doubts_of
from .facts import Facts, Sight
from .findings import ConditionFinding, findings_of
from .places import day_of, department_of, sampled_at

HIDDEN: Final = "-"
"""In place of the periods of a row that is declared anonymously: nothing names its pseudonyms
beside the person's others, and its header says neither moment nor person."""


def is_of_realm(traits: Traits, realm: Realm) -> bool:
    """Say that a message is no test in production."""
    return realm is not Realm.PRODUCTION or not any(ins.oid in INS_TEST_OIDS for ins in traits.ins)


class PersonView(Phi, frozen=True, kw_only=True):
    """The resolved person as routing needs it."""

    person_id: int
    person_version: int
    qualified_ins: Ins | None = None
    opposes_dossier: bool = False
    """The patient opposes: nothing is due in the dossier, whatever the rules say."""


class Case(Phi, frozen=True, kw_only=True, dict=True):
    """One report about one resolved person, in one realm."""

    report: LabReport
    traits: Traits
    person: PersonView
    realm: Realm
    laboratory: Organisation
    report_id: UUID
    received_at: datetime
    """When the message of this version was accepted; a replay keeps the first time."""
    version: int
    """The report's version; in no body, so that a replay changes none."""
    standings: Mapping[str, Standing] = {}
    """Condition -> where the report stands among those of the person."""
    known_findings: tuple[ConditionFinding, ...] | None = None
    """What it says, where somebody has found it already."""
    known_doubts: Doubts | None = None
    """What is doubted of it, where somebody has asked already."""
    registry_id: str = ""
    """The laboratory's number in the register; set where rules look at laboratories."""
    released: frozenset[tuple[Stream, str]] = frozenset()
    """Doubts about it that a person has let go, by stream and reason."""
    model_version: str = ""
    """Of the matcher that said about whom it is; empty where a person said it, or nobody knows."""
    mapping_version: str = ""
    """Of the mapping that made the report out of its message."""

    @property
    def ins_realm_ok(self) -> bool:
        """Say that the message is no test in production: there a test INS reaches no stream."""
        return is_of_realm(self.traits, self.realm)

    @property
    def dossier_ins(self) -> Ins | None:
        """The qualified INS if it belongs to this realm: whose dossier it goes to."""
        ins = self.person.qualified_ins
        known = INS_PRODUCTION_OIDS if self.realm is Realm.PRODUCTION else INS_TEST_OIDS
        return ins if ins is not None and ins.oid in known else None

    # Asked for by the router and by every projection: found once, and gone with the case.
    @cached_property
    def findings(self) -> tuple[ConditionFinding, ...]:
        """What the report says of tracked conditions, the decisive finding first."""
        known = self.known_findings
        return findings_of(self.report) if known is None else known

    @cached_property
    def doubts(self) -> Doubts:
        """What is doubted of the report, by reason and condition."""
        known = self.known_doubts
        return doubts_of(self.report, self.traits, self.findings) if known is None else known

    def facts_in(self, sight: Sight) -> Facts:
        """Return what rules may look at, as far as `sight` goes; made once for each sight."""
        held: tuple[Sight, Facts] | None = self.__dict__.get("_seen")
        if held is not None and held[0] is sight:
            return held[1]
        facts = self._facts(sight)
        self.__dict__["_seen"] = (sight, facts)
        return facts

    def _facts(self, sight: Sight) -> Facts:
        department = department_of(self.traits.address) if sight.departments else ""
        doubts = self.doubts if sight.doubts else NO_DOUBTS
        return Facts(
            status=self.report.status,
            findings=tuple(
                (each.analysis.condition.code, each.analysis.kind, each.result)
                for each in self.findings
            ),
            qualified=self.dossier_ins is not None,
            ins_realm_ok=self.ins_realm_ok,
            beside=self._where(waits=False),
            waiting=self._where(waits=True),
            again=self._again() if sight.again else frozenset(),
            doubts=frozenset(each for each in doubts if each[0] in sight.doubts),
            released=frozenset(each for each in self.released if each[1] in sight.doubts),
            laboratory=self.registry_id if self.registry_id in sight.laboratories else "",
            department=department if department in sight.departments else "",
            age=sight.age(self._age()) if sight.cuts else None,
            realm=self.realm if sight.realms else Realm.PRODUCTION,
        )

    def _again(self) -> frozenset[str]:
        return frozenset(code for code, standing in self.standings.items() if standing.again)

    def _age(self) -> int | None:
        """Years on the day that counts, as public health counts them."""
        observed = self.findings[0].observation.observed_at if self.findings else ""
        sampled = day_of(sampled_at(self.report, observed))
        received = self.received_at.astimezone(UTC).date()
        return age_at(self.traits.birth_date, counted_day(sampled, received))

    def _where(self, *, waits: bool) -> frozenset[str]:
        return frozenset(
            condition
            for condition, standing in self.standings.items()
            if standing.line is Line.SECOND and standing.waits is waits
        )


class Projection(Phi, frozen=True, kw_only=True):
    """What one stream gets of a report: canonical JSON, and to whom it goes."""

    body: bytes
    addressee: str
    """Stands for the receiver: a keyed digest, a department, or empty; never an identity."""
    compared: bytes | None = None
    """What is compared with what the stream holds, where that is not the whole body: without what
    is said of the making alone, so that another version of a rule is no revision."""
    lacks_pseudonym: bool = False
    """The key of its period was destroyed: nobody can make its pseudonym any more."""
    pseudonym_periods: str = ""
    """Of public health: periods whose pseudonyms it holds, with a space between; or `HIDDEN`."""
    told_as: UUID | None = None
    """The id that its events bear in place of the report's, where it must not be joined to what
    else is told of the report."""
