"""A laboratory report as mapped at the door: one per OBR group of an ORU^R01.

Times are ISO 8601 with offset when the sender gave a time (the laboratory profile's zone,
Europe/Paris by default, where the sender gave none); a plain date when only a date was given;
empty when absent or unreadable (then a finding says so).

The mapping gives every part by its place, for sixteen names cost 1.6 us a call and sixteen places
0.2 us; everybody else names them. None of these can be part of a cycle (`gc=False`).
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from .patient import Phi, Traits


class ResultStatus(StrEnum):
    """Status of a report (OBR-25, table 0123) or an observation (OBX-11, table 0085)."""

    ORDERED = "O"
    IN_PROCESS = "I"
    SCHEDULED = "S"
    RESULTS_ENTERED = "R"
    PARTIAL = "A"
    PRELIMINARY = "P"
    FINAL = "F"
    CORRECTED = "C"
    CANCELLED = "X"
    DELETED = "D"
    WRONG = "W"
    NOT_ASKED = "N"
    UNCHANGED = "U"

    @property
    def rank(self) -> int:
        """Order among versions: a lower rank never replaces a higher one (P < F < C, X, D, W)."""
        return _RANK[self]

    @property
    def is_retraction(self) -> bool:
        """Say whether this status takes the result back (X, D, W)."""
        # Asked several times a report; a set of members would hash four names each time.
        return self._value_ in "XDW"


_RANK = {
    ResultStatus.ORDERED: 0,
    ResultStatus.SCHEDULED: 0,
    ResultStatus.NOT_ASKED: 0,
    ResultStatus.IN_PROCESS: 1,
    ResultStatus.RESULTS_ENTERED: 2,
    ResultStatus.PARTIAL: 3,
    ResultStatus.PRELIMINARY: 3,
    ResultStatus.UNCHANGED: 4,
    ResultStatus.FINAL: 4,
    ResultStatus.CORRECTED: 5,
    ResultStatus.CANCELLED: 5,
    ResultStatus.DELETED: 5,
    ResultStatus.WRONG: 5,
}


class Coded(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A coded element (CE/CWE): identifier, text, coding system, and the alternate triple."""

    code: str = ""
    text: str = ""
    system: str = ""
    alternate_code: str = ""
    alternate_text: str = ""
    alternate_system: str = ""


class Practitioner(Phi, frozen=True, array_like=True, gc=False):
    """A health professional (XCN): RPPS when its Luhn key holds, else the local number."""

    identifier: str = ""
    identifier_type: str = ""
    family: str = ""
    given: str = ""


class Organisation(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An organisation (XON or HD): name and number (FINESS without its leading `1`), and where."""

    name: str = ""
    identifier: str = ""
    identifier_type: str = ""
    commune: str = ""
    """INSEE code, where the sender gave a plausible one (OBX-24)."""
    postcode: str = ""


class Specimen(Phi, frozen=True, array_like=True, gc=False):
    """What was sampled (SPM, or OBR-15 before 2.5)."""

    identifier: str = ""
    type: Coded = Coded()
    collected_at: str = ""
    received_at: str = ""


class Document(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What an observation of type ED or RP holds: its kind, and the digest that tells versions.

    The document itself stays in the raw message, byte for byte.
    """

    type: str = ""
    """ED.2 or RP.3 (table 0191): TEXT, Application, Image, multipart ..."""
    subtype: str = ""
    """ED.3 or RP.4 (table 0291): XML, PDF, JPEG ..."""
    encoding: str = ""
    """ED.4 (table 0299): A, Hex or Base64; empty for a pointer."""
    size_characters: int = 0
    """Of what was sent, encoded as it was."""
    digest: str = ""
    """Of OBX-5 as received (128 bits, hexadecimal): another document has another."""


class Observation(Phi, frozen=True, array_like=True, gc=False):
    """One OBX.

    `value` is the display text of OBX-5 (first repetition for coded types, all joined by a new
    line for text); for NM and SN `number` holds the decimal text and `comparator` its sign;
    `coded` is set for CE/CWE/CNE, `document` for ED and RP: its bytes stay in the raw message.
    """

    position: int
    code: Coded
    sub_id: str = ""
    value_type: str = ""
    value: str = ""
    number: str = ""
    comparator: str = ""
    coded: Coded | None = None
    unit: Coded | None = None
    reference_range: str = ""
    interpretations: tuple[str, ...] = ()
    status: ResultStatus = ResultStatus.FINAL
    observed_at: str = ""
    method: Coded | None = None
    notes: tuple[str, ...] = ()
    performer: Organisation | None = None
    document: Document | None = None
    others: tuple[Coded, ...] = ()
    """Further repetitions of a coded value, in their order: each is as much a value as `coded`."""
    amended: bool = False
    """OBX-11 was A (amended) or B (appended): `status` is corrected then, as for C."""


class LabReport(Phi, frozen=True, array_like=True, gc=False):
    """One OBR group of a message, or the document of a MDM, with all its observations."""

    position: int
    """One-based place of the OBR group in its message (1 for a document)."""
    code: Coded
    status: ResultStatus
    order_control: str = ""
    placer_order_number: str = ""
    filler_order_number: str = ""
    collected_at: str = ""
    received_at: str = ""
    """When the laboratory received the specimen (SPM-18, OBR-14)."""
    reported_at: str = ""
    """When the laboratory released the result (OBR-22)."""
    specimen: Specimen | None = None
    observations: tuple[Observation, ...] = ()
    notes: tuple[str, ...] = ()
    prescriber: Practitioner | None = None
    performer: Organisation | None = None

    @property
    def order_number(self) -> str:
        """The number that versions share: the filler's, else the placer's, else empty."""
        return self.filler_order_number or self.placer_order_number


class MappedMessage(Phi, frozen=True, array_like=True, gc=False):
    """What the mapping made of a message: its patient and its reports."""

    control_id: str
    sending_facility: str
    sent_at: str
    processing_id: str
    traits: Traits
    reports: tuple[LabReport, ...]
