"""Where a report goes, and what each stream gets of it. Pure: same case, same bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Literal, assert_type

import msgspec

from schemas.decision import ProjectionName, Realm, RouteDecision, Standing
from schemas.events import PublicHealthRow
from schemas.topics import Stream

from .case import HIDDEN, Case, PersonView, Projection
from .dossier import bundle_of
from .explaining import OPPOSED_RULE
from .findings import ConditionFinding
from .keeping_back import stands_back, withheld
from .making import Making
from .places import department_of
from .pseudonym import DerivedKeys, PeriodKeys, Pseudonyms, addressee_of, check_secret
from .public_health import anonymous_row_of, row_of
from .rule_file import load_own_rules
from .rules import Because, Facts, Rules, Ruling, Sight
from .tracing import case_of

__all__ = ["Case", "PersonView", "Projection", "Router", "load_own_rules", "reason_of"]

_ENCODER: Final = msgspec.json.Encoder(order="deterministic")
_KNOWN_FACTS: Final = 4_096
# No rule of the table: a rule can be changed, and the patient's word stands over all of them. It is
# no hold either, for nothing waits. Streams that the law asks for are not opposed.
_OPPOSED: Final = Ruling(because=Because.OPPOSED, rule=OPPOSED_RULE)


def reason_of(case: Case) -> str:
    """Return why an event about this version is sent: taken back, or another version."""
    return "cancelled" if case.report.status.is_retraction else "new_version"


class Router:
    """Routes and projects reports.

    Args:
        rules: Checked rules, see `load_own_rules`.
        pseudonym_secret: Keys addressees and the names of cases; it must never change.
        realm: The instance's; a case of another one is a fault of the caller.
        keys: Of pseudonyms: the vault, for whoever emits. Without it they are made of the secret,
            which suits tools that keep nothing.
    """

    def __init__(
        self,
        rules: Rules,
        pseudonym_secret: bytes,
        realm: Realm,
        keys: PeriodKeys | None = None,
    ) -> None:
        self._rules = rules
        self._secret = check_secret(pseudonym_secret)
        self._realm = realm
        self._pseudonyms = Pseudonyms(self._secret, keys or DerivedKeys(self._secret))
        self._known: dict[Facts, Mapping[Stream, Ruling]] = {}

    @property
    def version(self) -> str:
        """The version of its rules."""
        return self._rules.version

    @property
    def rules(self) -> Rules:
        """Its rules."""
        return self._rules

    @property
    def sight(self) -> Sight:
        """Which facts its rules look at."""
        return self._rules.sight

    def route(self, case: Case) -> RouteDecision:
        """Return the streams the report is due in, and those that wait with a reason."""
        assert case.realm is self._realm, "a case of another realm"
        findings = case.findings
        rulings = self._judge(case)
        if case.person.opposes_dossier:
            rulings = {**rulings, Stream.DOSSIER: _OPPOSED}
        return RouteDecision(
            condition=findings[0].analysis.condition.code if findings else "",
            result=findings[0].result.value if findings else "",
            due=frozenset(stream for stream, ruling in rulings.items() if ruling.due),
            holds={stream: ruling.hold for stream, ruling in rulings.items() if ruling.hold},
            rules={stream: ruling.rule for stream, ruling in rulings.items()},
            projections={
                stream: ruling.projection
                for stream, ruling in rulings.items()
                if ruling.projection is not None
            },
            rule_version=self._rules.version,
        )

    def project(self, stream: Stream, case: Case, decision: RouteDecision) -> Projection:
        """Return the body of a stream the report is due in, and who it is for."""
        assert stream in decision.due, "only what is due has a body"
        name = decision.projections[stream]
        if name is ProjectionName.DOSSIER:
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
        finding = self.decisive(stream, case)
        assert finding is not None, "the rules of this projection ask for a finding"
        if name is ProjectionName.TRACING:
            body = case_of(case, finding, self._pseudonyms)
            addressee = department_of(case.traits.address)
            return Projection(body=_ENCODER.encode(body), addressee=addressee)
        if name is ProjectionName.PUBLIC_HEALTH:
            row = row_of(case, finding, self._pseudonyms)
            return Projection(
                body=_ENCODER.encode(row),
                addressee="",
                lacks_pseudonym=_lacks_pseudonym(row),
                pseudonym_periods=f"{row.pseudonym_period} {row.pseudonym_next_period}".rstrip(),
            )
        assert_type(name, Literal[ProjectionName.PUBLIC_HEALTH_ANONYMOUS])
        hidden = anonymous_row_of(case, finding, self._pseudonyms)
        return Projection(
            body=_ENCODER.encode(hidden),
            addressee="",
            lacks_pseudonym=_lacks_pseudonym(hidden),
            pseudonym_periods=HIDDEN,
        )

    def withheld(self, case: Case) -> frozenset[str]:
        """Return the conditions of which the report is told nothing before a person has looked."""
        return withheld(self._rules, case.facts_in(self._rules.sight))

    def stands_back(self, stream: Stream, standings: Iterable[Standing]) -> bool:
        """Say whether a stream is told nothing of a report that stands so, whatever it says."""
        return stands_back(self._rules, stream, standings)

    def decisive(self, stream: Stream, case: Case) -> ConditionFinding | None:
        """Return the finding that made a report due in a stream; None where its rule asks none."""
        index = self._judge(case)[stream].finding
        return None if index is None else case.findings[index]

    def _judge(self, case: Case) -> Mapping[Stream, Ruling]:
        """Judge facts once: they are of small closed sets and say nothing of a person."""
        held: tuple[Router, Mapping[Stream, Ruling]] | None = case.__dict__.get("_ruled")
        if held is not None and held[0] is self:
            return held[1]
        facts = case.facts_in(self._rules.sight)
        rulings = self._known.get(facts)
        if rulings is None:
            if len(self._known) >= _KNOWN_FACTS:
                self._known.clear()
            rulings = self._known[facts] = self._rules.judge(facts)
        case.__dict__["_ruled"] = (self, rulings)
        return rulings


def _lacks_pseudonym(row: PublicHealthRow) -> bool:
    return not row.pseudonym or bool(row.pseudonym_next_period and not row.pseudonym_next)
