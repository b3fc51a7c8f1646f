"""What the router is given about one report, and what a projection gives back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from uuid import UUID

from schemas.decision import Line, Realm, Standing
from schemas.patient import INS_PRODUCTION_OIDS, INS_TEST_OIDS, Ins, Phi, Traits
from schemas.report import LabReport, Organisation

from .findings import ConditionFinding, findings_of
from .rules import Facts


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
    model_version: str = ""
    """Of the matcher that said about whom it is; empty where a person said it, or nobody knows."""
    mapping_version: str = ""
    """Of the mapping that made the report out of its message."""

    @property
    def ins_realm_ok(self) -> bool:
        """Say that the message is no test in production: there a test INS reaches no stream."""
        return self.realm is not Realm.PRODUCTION or not any(
            ins.oid in INS_TEST_OIDS for ins in self.traits.ins
        )

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
    def facts(self) -> Facts:
        """What rules may look at."""
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
        )

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
