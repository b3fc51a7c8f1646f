"""Where a report goes, and what each stream gets of it. Pure: same case, same bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Literal, assert_type

import msgspec

from schemas.decision import ProjectionName, Realm, RouteDecision, RoutedPart, Standing
from schemas.events import PublicHealthRow
from schemas.topics import Stream

from .case import HIDDEN, Case, PersonView, Projection
from .dossier import bundle_of
from .explaining import OPPOSED_RULE
from .facts import WHOLE, Facts, Sight
from .keeping_back import stands_back, withheld
from .making import Making
from .places import department_of
from .pseudonym import (
    DerivedKeys,
    PeriodKeys,
    Pseudonyms,
    addressee_of,
    apart_id,
    check_secret,
)
from .public_health import anonymous_row_of, row_of
from .rule_file import load_own_rules
from .rules import Rules, Ruling, first_hold
from .tracing import case_of

__all__ = ["Case", "PersonView", "Projection", "Router", "load_own_rules", "reason_of"]

_ENCODER: Final = msgspec.json.Encoder(order="deterministic")
_KNOWN_FACTS: Final = 4_096
# No rule of the table: a rule can be changed, and the patient's word stands over all of them. It is
# no hold either, for nothing waits. Streams that the law asks for are not opposed.
_OPPOSED: Final = {WHOLE: RoutedPart(rule=OPPOSED_RULE)}


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
        self._known: dict[tuple[Facts, bool], RouteDecision] = {}

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
        """Return where each part of the report is due, and where it waits with a reason.

        Judged once for facts: they are of small closed sets and say nothing of a person.
        """
        assert case.realm is self._realm, "a case of another realm"
        known = (case.facts_in(self._rules.sight), case.person.opposes_dossier)
        decision = self._known.get(known)
        if decision is None:
            if len(self._known) >= _KNOWN_FACTS:
                self._known.clear()
            decision = self._known[known] = self._decide(*known)
        return decision

    def _decide(self, facts: Facts, opposes_dossier: bool) -> RouteDecision:  # noqa: FBT001 - a key
        parts: dict[Stream, Mapping[str, RoutedPart]] = {
            stream: {part: _routed(ruling) for part, ruling in rulings.items()}
            for stream, rulings in self._rules.judge(facts).items()
        }
        if opposes_dossier:
            parts[Stream.DOSSIER] = _OPPOSED
        waits = {
            stream: first_hold(part.hold for part in of.values()) for stream, of in parts.items()
        }
        condition, _, result = facts.findings[0] if facts.findings else ("", "", None)
        return RouteDecision(
            condition=condition,
            result="" if result is None else result.value,
            parts=parts,
            due=frozenset(
                stream for stream, of in parts.items() if any(part.due for part in of.values())
            ),
            holds={stream: hold for stream, hold in waits.items() if hold},
            rule_version=self._rules.version,
        )

    def project(self, stream: Stream, part: str, case: Case, decision: RouteDecision) -> Projection:
        """Return the body of a part that is due in a stream, and who it is for."""
        routed = decision.parts[stream][part]
        name = routed.projection
        assert routed.due, "only what is due has a body"
        assert name is not None, "what is due is given as something"
        if name is ProjectionName.DOSSIER:
            ins = case.dossier_ins
            assert ins is not None, "the dossier's rule asks for a qualified INS"
            making = Making(
                routed.rule, decision.rule_version, case.model_version, case.mapping_version
            )
            told, compared = bundle_of(case, ins, making)
            addressee = addressee_of(self._secret, ins)
            return Projection(body=told, addressee=addressee, compared=compared)
        assert routed.finding is not None, "the rules of this projection ask for a finding"
        finding = case.findings[routed.finding]
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
        # No periods, and no id of the report: what names it beside the person's other rows, of this
        # report or another, would join them.
        hidden = anonymous_row_of(case, finding, self._pseudonyms)
        return Projection(
            body=_ENCODER.encode(hidden),
            addressee="",
            lacks_pseudonym=_lacks_pseudonym(hidden),
            pseudonym_periods=HIDDEN,
            told_as=apart_id(self._secret, case.report_id, part),
        )

    def withheld(self, case: Case) -> frozenset[str]:
        """Return the conditions of which the report is told nothing before a person has looked."""
        return withheld(self._rules, case.facts_in(self._rules.sight))

    def stands_back(self, stream: Stream, standings: Iterable[Standing]) -> bool:
        """Say whether a stream is told nothing of a report that stands so, whatever it says."""
        return stands_back(self._rules, stream, standings)


def _routed(ruling: Ruling) -> RoutedPart:
    return RoutedPart(
        rule=ruling.rule,
        due=ruling.due,
        hold=ruling.hold,
        projection=ruling.projection,
        finding=ruling.finding,
    )


def _lacks_pseudonym(row: PublicHealthRow) -> bool:
    return not row.pseudonym or bool(row.pseudonym_next_period and not row.pseudonym_next)
