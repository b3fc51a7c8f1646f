"""Where a report goes, and what each stream gets of it. Pure: same case, same bytes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from schemas.decision import Realm, RouteDecision
from schemas.topics import Stream

from .case import Case, PersonView, Projection
from .dossier import bundle_of
from .fhir_actors import Making
from .findings import ConditionFinding
from .places import department_of
from .pseudonym import addressee_of, check_secret
from .public_health import row_of
from .rules import Facts, Rules, Ruling, load_rules
from .tracing import case_of

__all__ = ["Case", "PersonView", "Projection", "Router", "load_own_rules", "reason_of"]

_ENCODER: Final = msgspec.json.Encoder(order="deterministic")
_KNOWN_FACTS: Final = 4_096
# No rule of the table: a rule can be changed, and the patient's word stands over all of them. It is
# no hold either, for nothing waits. Streams that the law asks for are not opposed.
_OPPOSED: Final = Ruling(due=False, rule="patient_opposes")


def load_own_rules() -> Rules:
    """Return the rules that this version ships, once their examples hold.

    Raises:
        FatalError: `rules_invalid`.
    """
    return load_rules(Path(__file__).with_name("rules.json").read_bytes())


def reason_of(case: Case) -> str:
    """Return why an event about this version is sent: taken back, or another version."""
    return "cancelled" if case.report.status.is_retraction else "new_version"


class Router:
    """Routes and projects reports.

    Args:
        rules: Checked rules, see `load_own_rules`.
        pseudonym_secret: Keys pseudonyms and addressees; it must never change.
        realm: The instance's; a case of another one is a fault of the caller.
    """

    def __init__(self, rules: Rules, pseudonym_secret: bytes, realm: Realm) -> None:
        self._rules = rules
        self._secret = check_secret(pseudonym_secret)
        self._realm = realm
        self._known: dict[Facts, Mapping[Stream, Ruling]] = {}

    def route(self, case: Case) -> RouteDecision:
        """Return the streams the report is due in, and those that wait with a reason."""
        assert case.realm is self._realm, "a case of another realm"
        findings = case.findings
        rulings = self._judge(case.facts)
        if case.person.opposes_dossier:
            rulings = {**rulings, Stream.DOSSIER: _OPPOSED}
        return RouteDecision(
            condition=findings[0].analysis.condition.code if findings else "",
            result=findings[0].result.value if findings else "",
            due=frozenset(stream for stream, ruling in rulings.items() if ruling.due),
            holds={stream: ruling.hold for stream, ruling in rulings.items() if ruling.hold},
            rules={stream: ruling.rule for stream, ruling in rulings.items()},
            rule_version=self._rules.version,
        )

    def project(self, stream: Stream, case: Case, decision: RouteDecision) -> Projection:
        """Return the body of a stream the report is due in, and who it is for."""
        assert stream in decision.due, "only what is due has a body"
        if stream is Stream.DOSSIER:
            ins = case.dossier_ins
            assert ins is not None, "the dossier's rule asks for a qualified INS"
            making = Making(
                decision.rules.get(stream, ""),
                decision.rule_version,
                case.model_version,
                case.mapping_version,
            )
            told, compared = bundle_of(case, ins, making)
            addressee = addressee_of(self._secret, ins)
            return Projection(body=told, addressee=addressee, compared=compared)
        finding = self._decisive(stream, case)
        if stream is Stream.CONTACT_TRACING:
            body: object = case_of(case, finding, self._secret)
            addressee = department_of(case.traits.address)
        else:
            body = row_of(case, finding, self._secret)
            addressee = ""
        return Projection(body=_ENCODER.encode(body), addressee=addressee)

    def _decisive(self, stream: Stream, case: Case) -> ConditionFinding:
        index = self._judge(case.facts)[stream].finding
        assert index is not None, "the rules of this stream ask for a finding"
        return case.findings[index]

    def _judge(self, facts: Facts) -> Mapping[Stream, Ruling]:
        """Judge facts once: they are of small closed sets and say nothing of a person."""
        rulings = self._known.get(facts)
        if rulings is None:
            if len(self._known) >= _KNOWN_FACTS:
                self._known.clear()
            rulings = self._known[facts] = self._rules.judge(facts)
        return rulings
