"""What laboratories may say in the course of time about a few people, for state machines."""

from __future__ import annotations

from typing import Any

import msgspec

from schemas.patient import Address, Ins, Traits
from schemas.report import Coded, LabReport, MappedMessage, Observation, ResultStatus, Specimen
from tests.support.people import DOMINIQUE_INS, OTHER_INS, TEST_OID, dominique, message, report

LIONS = Address(lines=("2 RUE DES LIONS",), city="MARSEILLE", postcode="13005", commune="13205")
ALPHA = {"birth_family": "ALPHAND", "birth_given": "AGATHE", "birth_givens": ("AGATHE",)}
BRAVO = {"birth_family": "BRAVARD", "birth_given": "BASILE", "birth_givens": ("BASILE",),
         "birth_date": "1962-07-19", "sex": "M", "birth_place": "13055", "phones": ()}  # fmt: skip
CARLO = {**BRAVO, "birth_given": "CYPRIEN", "birth_givens": ("CYPRIEN",)}
BRAVO_INS = Ins(matricule="162071305512341", oid=TEST_OID)
PEOPLE: tuple[dict[str, Any], ...] = (ALPHA, BRAVO, CARLO)
INS = (DOMINIQUE_INS, BRAVO_INS, OTHER_INS)
FORMS = ("none", "none", "ins", "ins", "somebody else's", "provisional", "doubtful")
SLIPS: tuple[dict[str, Any], ...] = ({}, {}, {"address": LIONS}, {"birth_family": "ALPHANT"})

DETECTED = Coded(code="260373001", text="Detected", system="SCT")
NOT_DETECTED = Coded(code="260415000", text="Not detected", system="SCT")
UNUSABLE = Coded(code="125154007", text="Specimen unsatisfactory", system="SCT")
ANSWERS = (DETECTED, DETECTED, NOT_DETECTED, UNUSABLE)
MENINGITIDIS = Coded(code="17872004", text="Neisseria meningitidis", system="SCT")
COLI = Coded(code="112283007", text="Escherichia coli", system="SCT")
GROWN = (MENINGITIDIS, MENINGITIDIS, COLI, NOT_DETECTED)
STATUSES = "FFFFPCCXDW"
_OURS = "99LABDISPATCH"


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """A request, and what its report looks like."""

    codes: tuple[str, ...]
    day: str
    tube: str = ""
    notes: tuple[str, ...] = ()
    unit: str = ""
    """Of a number, where one answers."""
    grows: bool = False
    """A culture: what it names is its answer."""


ORDERS = (
    Order(codes=("94500-6",), day="2026-03-06", tube="TUBE-A"),
    Order(codes=("94558-4",), day="2026-03-06"),
    Order(codes=("94500-6",), day="2026-03-06", tube="TUBE-A", notes=("Deuxième intention",)),
    Order(codes=("94764-8",), day="2026-03-10", tube="TUBE-A"),
    Order(codes=("94500-6",), day="2026-04-20"),
    Order(codes=("94500-6",), day="2026-06-29"),
    Order(codes=("25338-5",), day="2026-03-06"),
    Order(codes=("4548-4",), day="2026-03-06"),
    Order(codes=("94500-6", "92142-9", "92131-2"), day="2026-03-06", tube="TUBE-B"),
    Order(codes=("77685-6",), day="2026-03-06"),
    Order(codes=("62469-2",), day="2026-03-20", unit="{copies}/mL"),
    Order(codes=("600-7",), day="2026-03-06", grows=True),
    Order(codes=("CRIBLAGE-A", "CRIBLAGE-B", "CRIBLAGE-C"), day="2026-03-07", tube="TUBE-A"),
    Order(codes=("22314-9", "77685-6"), day="2026-03-06"),
)
TWISTS = ("", "", "", "", "words", "unit", "status", "unborn")


class Letter(msgspec.Struct, frozen=True):
    """One message: about whom, which order, and what it says now."""

    who: int
    form: str
    slip: int
    order: int
    status: str
    answer: int
    shift: int = 0
    """Days by which the sampling is another than the order's."""
    twist: str = ""
    """What is in doubt about it."""

    def message(self) -> MappedMessage:
        """As the door maps it."""
        return message(self.traits(), self.report())

    def traits(self) -> Traits:
        """Of the patient, as this letter has them."""
        changes: dict[str, Any] = {"ins": (), **PEOPLE[self.who], **SLIPS[self.slip]}
        if self.form == "ins":
            changes["ins"] = (INS[self.who],)
        elif self.form == "somebody else's":
            changes["ins"] = (INS[(self.who + 1) % len(INS)],)
        elif self.form != "none":
            changes["identity_status"] = {"provisional": "PROV", "doubtful": "DOUT"}[self.form]
        if self.twist == "unborn":
            changes["birth_date"] = "2026-12-24"
        return dominique(**changes)

    def report(self) -> LabReport:
        """What it says."""
        order = ORDERS[self.order]
        status = ResultStatus(self.status)
        day = int(order.day[-2:]) + self.shift
        codes = [_coded(code) for code in order.codes]
        return report(
            code=codes[0],
            status=status,
            filler_order_number=f"ORDER-{self.order}",
            collected_at=f"{order.day[:-2]}{day:02d}T0{self.order % 10}:30:00+01:00",
            reported_at=f"{order.day[:-2]}{day:02d}T12:00:00+01:00",
            specimen=Specimen(identifier=order.tube) if order.tube else None,
            notes=order.notes,
            # Each of a panel has an answer of its own, and a correction changes all of them.
            observations=tuple(
                self._observation(order, n + 1, code, (self.answer + 2 * n) % len(ANSWERS))
                for n, code in enumerate(codes)
            ),
        )

    def _observation(self, order: Order, position: int, code: Coded, answer: int) -> Observation:
        said: dict[str, Any] = {"value_type": "CWE", "value": "", "coded": ANSWERS[answer]}
        if order.unit:
            said = _number(f"{40 + answer}", order.unit)
        elif order.grows:
            said["coded"] = GROWN[answer]
        elif code.system == _OURS:
            said = {"value_type": "ST", "value": str(answer % 2)}
        if self.twist == "words":
            said = {"value_type": "ST", "value": "voir commentaire"}
        elif self.twist == "unit":
            said = _number("24.6", "g/L")
        status = ResultStatus("P" if self.twist == "status" else self.status)
        return Observation(position=position, code=code, status=status, **said)


def _number(number: str, unit: str) -> dict[str, Any]:
    coded = Coded(code=unit, text=unit, system="UCUM")
    return {"value_type": "NM", "value": number, "number": number, "unit": coded}


def _coded(code: str) -> Coded:
    return Coded(code=code, text=code, system=_OURS if code.startswith("CRIBLAGE") else "LN")
