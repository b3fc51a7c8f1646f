"""An order's version as the message that a laboratory's system makes of it, in its dialect."""

from __future__ import annotations

from codecs import BOM_UTF8
from typing import Final

from . import numbers
from .analyses import LINEAGE, MUTATIONS, SARS_GENOME, Analysis, Organism, Verdict
from .documents import document_segments
from .er7 import Pen
from .laboratories import Laboratory
from .orders import Line, Order, Result, Version
from .patients import patient_segment
from .registration import Registration
from .vendors import Dialect, ResultStyle, SpecimenStyle, Structure

_CONTROL: Final = {"C": "RO", "X": "CA"}
"""ORC-1 must agree with OBX-11: NW with P and F, RO with C, CA with X and D."""
_SNOMED: Final = {
    Verdict.POSITIVE: ("260373001", "Détecté", "SCT"),
    Verdict.NEGATIVE: ("260415000", "Non détecté", "SCT"),
    Verdict.INCONCLUSIVE: ("419984006", "Ininterprétable", "SCT"),
}
_LOCAL: Final = {
    Verdict.POSITIVE: ("POS", "Positif", "L"),
    Verdict.NEGATIVE: ("NEG", "Négatif", "L"),
    Verdict.INCONCLUSIVE: ("IND", "Indéterminé", "L"),
}
_NOTES: Final = (
    "Résultat validé par le biologiste médical.",
    "Seuil : Ct < 33 & contrôle interne conforme.",
    "Prélèvement à domicile | délai 2 h.",
    "Contrôle ^ répété ~ 2 fois : identique.",
    "Compte rendu : \\\\labo\\cr ; copie au médecin traitant.",
    "À interpréter selon la clinique : œdème signalé, reste à charge 0 €.",
    "Échantillon hémolysé #2, à contrôler.",
)
_CANCELLED: Final = "Résultat annulé : erreur d'identification du prélèvement."
_CORRECTED: Final = "Résultat corrigé ; annule et remplace le précédent."
_CT: Final = ("94745-7", "SARS-CoV-2 Ct [#] Respiratoire ; PCR", "LN")
_PEOPLE: Final = ("BERNARD", "LAMBERT", "FAURE", "GARNIER", "ROUSSEL", "PERRIN", "MOREAU", "HENRY")


class MessageWriter:
    """A laboratory's system: makes messages in its dialect, and nothing of its own accord.

    Args:
        laboratory: Who sends.
        digest: A short mark of the simulation, in every order number and patient number, so that
            two simulations into one hub never share one.
    """

    def __init__(self, laboratory: Laboratory, digest: str) -> None:
        self._lab = laboratory
        self._dialect: Dialect = laboratory.dialect
        self._digest = digest
        self._pen = pen = Pen(self._dialect)
        self._codes: dict[str, str] = {}
        self._facility = (
            pen.composed(laboratory.code, laboratory.finess, "L")
            if self._dialect.facility_named
            else laboratory.finess
        )
        authority = pen.sub.join(("ASIP-SANTE-ST", "1.2.250.1.71.4.2.2", "ISO"))
        name = pen.text(laboratory.name)
        number = f"1{laboratory.finess}"
        self._performer = pen.component.join(
            (name, "D", "", "", "", authority, "FINEG", "", "", number)
        )
        self._producer = pen.composed(number, laboratory.name, "FINESS")

    @property
    def sends_documents(self) -> bool:
        """Say whether each message is one document."""
        return self._dialect.structure is Structure.MDM_T02

    def patient(self, registration: Registration) -> str:
        """Return the PID segment of somebody on file; the same as long as the file is."""
        return patient_segment(self._pen, self._dialect, self._lab.code, self._digest, registration)

    def order_number(self, order: Order, position: int) -> str:
        """Return the filler order number of an OBR group."""
        number = f"{self._lab.code}{self._digest}{order.number:06d}"
        return f"{number}-{position + 1}" if self._dialect.numbered_groups else number

    def text(
        self, order: Order, version: Version, *, patient: str, control_id: str, sent_at: float
    ) -> str:
        """Return a message, its segments ended by the dialect's line end."""
        segments = [self._header(control_id, sent_at), patient]
        if self._dialect.structure is Structure.MDM_T02:
            segments.insert(1, self._pen.segment("EVN", {2: self._pen.time(sent_at)}))
        if self._dialect.z_segment:
            segments.append(self._pen.segment(self._dialect.z_segment, {1: "1", 2: self._lab.code}))
        if self._dialect.visit:
            segments.append(self._pen.segment("PV1", {1: "1", 2: "O"}))
        if self._dialect.structure is Structure.MDM_T02:
            number = self.order_number(order, 0)
            segments += document_segments(self._pen, order, version, number, self._performer)
        else:
            for place, line in enumerate(version.lines, start=1):
                segments += self._group(order, version, line, place)
        end = self._dialect.segment_end
        return end.join(segments) + end

    def encoded(self, text: str) -> bytes:
        """Return a message's bytes in the charset that its MSH-18 names."""
        mark = BOM_UTF8 if self._dialect.byte_order_mark else b""
        return mark + text.encode(self._dialect.codec)

    def _header(self, control_id: str, sent_at: float) -> str:
        pen, dialect = self._pen, self._dialect
        kind = dialect.structure.parts if dialect.three_part_type else dialect.structure.parts[:2]
        fields = {
            1: pen.encoding, 2: dialect.name, 3: self._facility, 4: "HUB", 5: "HUB",
            6: pen.time(sent_at), 8: pen.composed(*kind), 9: control_id, 10: "T",
            11: dialect.version, 14: dialect.accept_ack, 15: dialect.application_ack,
            16: "FRA", 17: dialect.charset,
        }  # fmt: skip
        # MSH-1 is the separator itself, so that every later field stands one place further left.
        return pen.segment("MSH", fields)

    def _group(self, order: Order, version: Version, line: Line, place: int) -> list[str]:
        """Return ORC, OBR and what hangs on them, in the dialect's order."""
        pen, dialect = self._pen, self._dialect
        analysis = order.battery[line.position]
        released = pen.time(version.at)
        filler = pen.composed(self.order_number(order, line.position), self._lab.code)
        placer = ""
        if order.referral is not None:
            placer = pen.composed(order.referral.filler, self._lab.code)
        elif order.has_placer:
            placer = pen.composed(f"PR{self._digest}{order.number:06d}", f"{self._lab.code}P")
        prescriber = self._prescriber(order.prescriber)
        control = _CONTROL.get(line.status, "NW")
        orc = pen.segment("ORC", {1: control, 2: placer, 3: filler, 9: released, 12: prescriber})
        specimen = self._specimen(order, analysis, place)
        fields = {
            1: str(place), 2: placer, 3: filler, 4: self._code(analysis),
            7: pen.time(order.collected_at), 16: prescriber, 22: released, 25: line.status,
        }  # fmt: skip
        if dialect.specimens is SpecimenStyle.OBR_15:
            fields[14] = pen.time(order.received_at)
            fields[15] = pen.sub.join((analysis.sample.code, analysis.sample.text, "SCT"))
        results = self._observations(order, analysis, line)
        note = _note(order, line) if place == 1 else ""
        notes = [pen.segment("NTE", {1: "1", 2: "L", 3: pen.text(note)})] if note else []
        segments = [orc, pen.segment("OBR", fields)]
        if dialect.structure is Structure.OUL_R22:
            tube = pen.segment("SAC", {3: f"{self.order_number(order, line.position)}-T{place}"})
            return [specimen, tube, segments[1], orc, *notes, *results]
        if dialect.notes_under_order:
            segments += notes
        if dialect.specimens is SpecimenStyle.SPM_FIRST:
            segments.append(specimen)
        segments.append(results[0])
        if not dialect.notes_under_order:
            segments += notes
        segments += results[1:]
        if dialect.specimens is SpecimenStyle.SPM_LAST:
            segments.append(specimen)
        return segments

    def specimen_number(self, order: Order, place: int) -> str:
        """Return the number of the n-th specimen of an order; a referral has its own."""
        if order.referral is not None:
            return order.referral.specimen
        return f"{self._lab.code}{self._digest}{order.number:06d}-S{place}"

    def _specimen(self, order: Order, analysis: Analysis, place: int) -> str:
        pen = self._pen
        return pen.segment("SPM", {
            1: str(place),
            2: f"{self.specimen_number(order, place)}{pen.sub}{self._lab.code}",
            4: pen.composed(analysis.sample.code, analysis.sample.text, "SCT"),
            17: pen.time(order.collected_at),
            18: pen.time(order.received_at),
        })  # fmt: skip

    def _observations(self, order: Order, analysis: Analysis, line: Line) -> list[str]:
        dialect = self._dialect
        status = dialect.deleted_status if line.status == "X" else line.status
        kind, value = self._value(analysis, line.result)
        fields = {
            1: "1", 2: kind, 3: self._code(analysis), 5: value,
            8: _flag(analysis, line.result) if dialect.flags else "",
            11: status, 14: self._pen.time(order.collected_at),
        }  # fmt: skip
        # Before OBX-23 came, OBX-15 names the producer.
        if dialect.names_performer:
            fields[23] = self._performer
        else:
            fields[15] = self._producer
        if analysis.measure is not None:
            fields[6] = self._unit(analysis.measure.unit)
            fields[7] = analysis.measure.reference
        observations = [self._pen.segment("OBX", fields)]
        if line.result.cycles:
            observations.append(self._pen.segment("OBX", {
                1: "2", 2: "NM", 3: self._pen.composed(*_CT), 5: line.result.cycles, 11: status,
            }))  # fmt: skip
        typed = LINEAGE if analysis is SARS_GENOME else MUTATIONS
        for place, text in enumerate(line.result.typed, start=len(observations) + 1):
            observations.append(self._pen.segment("OBX", {
                1: str(place), 2: "ST", 3: self._pen.composed(*typed), 5: self._pen.text(text),
                11: status,
            }))  # fmt: skip
        return observations

    def _value(self, analysis: Analysis, result: Result) -> tuple[str, str]:
        """Return OBX-2 and OBX-5."""
        pen, style = self._pen, self._dialect.results
        if analysis.measure is not None:
            if result.below:
                return "SN", pen.composed("<", result.number)
            return "NM", result.number
        coded = style in {ResultStyle.SNOMED, ResultStyle.LOCAL}
        kind = self._dialect.coded_type if coded else "ST"
        if result.verdict is None:
            return kind, ""
        if analysis.organism is not None and result.verdict is Verdict.POSITIVE:
            return kind, self._organism(analysis.organism, coded=coded)
        table = _SNOMED if style in {ResultStyle.SNOMED, ResultStyle.FOUND} else _LOCAL
        row = table[result.verdict]
        return kind, pen.composed(*row) if coded else row[1]

    def _organism(self, organism: Organism, *, coded: bool) -> str:
        """Return OBX-5 of a culture that grew something."""
        if not coded:
            return self._pen.text(organism.name)
        if self._dialect.results is ResultStyle.LOCAL:
            return self._pen.composed(organism.local, organism.name, "L")
        return self._pen.composed(organism.code, organism.name, "SCT")

    def _unit(self, unit: str) -> str:
        """Return OBX-6: UCUM, or what French systems print."""
        if self._dialect.results is ResultStyle.LOCAL:
            return unit.replace("umol", "µmol")
        return self._pen.composed(unit, "", "UCUM")

    def _code(self, analysis: Analysis) -> str:
        """Return OBR-4 and OBX-3: LOINC, beside it the vendor's own code where it has one."""
        known = self._codes.get(analysis.code)
        if known is None:
            row = [analysis.code, analysis.text, "LN"]
            if self._dialect.results is ResultStyle.LOCAL:
                row += [analysis.local, analysis.text, "L"]
            known = self._codes[analysis.code] = self._pen.composed(*row)
        return known

    def _prescriber(self, number: int) -> str:
        pen = self._pen
        authority = pen.sub.join(("ASIP-SANTE-PS", "1.2.250.1.71.4.2.1", "ISO"))
        family = _PEOPLE[number % len(_PEOPLE)]
        row = (numbers.rpps(number), family, "MEDECIN", "", "", "", "", "", authority, "D")
        return pen.component.join((*row, "", "", "RPPS"))


def _note(order: Order, line: Line) -> str:
    if order.referral is not None:
        return order.referral.note
    if line.status == "X":
        return _CANCELLED
    if line.status == "C":
        return _CORRECTED
    return _NOTES[order.note % len(_NOTES)] if order.note >= 0 else ""


def _flag(analysis: Analysis, result: Result) -> str:
    """Return OBX-8 (table 0078)."""
    if result.verdict is not None:
        return result.verdict.value
    if analysis.measure is None or not result.number:
        return ""
    value = float(result.number)
    if value > analysis.measure.high:
        return "H"
    return "L" if value < analysis.measure.low else "N"
