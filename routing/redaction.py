"""What becomes of each input field in each projection, and on what ground. Pure.

Nothing is projected by it: the projections say it by what they do, this says it to people, and a
test holds the two against each other, field by field (tests/unit/test_redaction.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Final

import msgspec

from schemas.decision import ProjectionName


class Treatment(StrEnum):
    """What a projection does with a field, the most first."""

    KEPT = "kept"
    """Its value stands in the body."""
    TRANSFORMED = "transformed"
    """It changes the body, and its value does not stand there."""
    DROPPED = "dropped"
    """Whatever it holds, the body is the same."""


GROUNDS: Final[Mapping[str, str]] = {
    "fhir": "Belongs to the result that the patient is given (FHIR R4, FR Core 2.2.0).",
    "vocabulary": "Said in FHIR's own words and vocabularies.",
    "ins": "The INS of the resolved person stands there, once it is qualified, not that of the"
    " message.",
    "internal": "Only a patient number of the laboratory (PI) is passed on; a billing number (NH)"
    " or any other never is.",
    "unused": "Tells the dossier nothing.",
    "transport": "Says how the message came, and nothing of the result.",
    "place": "Order is the order of the resources.",
    "decree": "Decree 2020-551, article 2: what an index case may hold.",
    "beyond": "Not among what decree 2020-551, article 2 lets an index case hold.",
    "decides": "Decides what was found, of a closed list of conditions and results"
    " (docs/conditions.md).",
    "count": "Public health counts by it (french-profile, section 4).",
    "coarse": "Public health counts by it, and by nothing finer.",
    "identity": "Identifies or reaches a person: public health counts persons by a pseudonym of the"
    " resolved person.",
    "minimal": "Not needed to count (GDPR, article 5.1.c).",
    "anonymous": "HIV is declared anonymously: nothing that could join the row to the person's"
    " others.",
}


class Cell(msgspec.Struct, frozen=True):
    """What one projection does with one field."""

    treatment: Treatment
    ground: str
    how: str = ""
    """Of what is transformed: into what."""


class InputField(msgspec.Struct, frozen=True):
    """One field of a message as the mapping reads it."""

    path: str
    place: str
    """Segment, field and component of HL7 v2.5."""
    cells: Mapping[ProjectionName, Cell]


_MARKS: Final = {"+": Treatment.KEPT, "~": Treatment.TRANSFORMED, "-": Treatment.DROPPED}


def _cell(said: str) -> Cell:
    """Read `+ground`, `~ground into what` or `-ground`."""
    ground, _, how = said[1:].partition(" ")
    assert ground in GROUNDS, ground
    return Cell(_MARKS[said[0]], ground, how)


def _field(path: str, place: str, *said: str) -> InputField:
    """Return a field by what dossier, tracing, public health and its anonymous form do with it."""
    names = (
        ProjectionName.DOSSIER,
        ProjectionName.TRACING,
        ProjectionName.PUBLIC_HEALTH,
        ProjectionName.PUBLIC_HEALTH_ANONYMOUS,
    )
    return InputField(path, place, dict(zip(names, map(_cell, said), strict=True)))


_NOWHERE: Final = ("-beyond", "-minimal", "-minimal")
_NO_ONE: Final = ("-beyond", "-identity", "-identity")
_REACHED: Final = ("+decree", "-identity", "-identity")
_TRANSPORT: Final = ("-transport",) * 4
_PARTS: Final = ("code", "text", "system", "alternate_code", "alternate_text", "alternate_system")


def _coded(path: str, place: str, elsewhere: tuple[str, ...] = ()) -> Iterator[InputField]:
    """Yield the six components of a coded element.

    Args:
        path: Of the element.
        place: Of the element; components are numbered behind it.
        elsewhere: For each component, what the other three projections do with it, by a mark:
            `-` nothing, `+` its value is kept as the code of the test, `~` it decides.
    """
    for number, (part, other) in enumerate(zip(_PARTS, elsewhere or "------", strict=True), 1):
        is_system = part.endswith("system")
        dossier = "~vocabulary the system's URI" if is_system else "+fhir"
        beside = {
            "-": _NOWHERE,
            "+": ("+decree", "+count", "+count"),
            "~": ("~decides condition or result",) * 3,
        }[other]
        yield _field(f"{path}.{part}", f"{place}.{number}", dossier, *beside)


_IDENTITY: Final = (
    _field("control_id", "MSH-10", *_TRANSPORT),
    _field("sending_facility", "MSH-4", *_TRANSPORT),
    _field("sent_at", "MSH-7", *_TRANSPORT),
    _field("processing_id", "MSH-11", *_TRANSPORT),
    _field("traits.ins[].matricule", "PID-3.1 (INS)", "-ins", *_NO_ONE),
    _field("traits.ins[].oid", "PID-3.4.2 (INS)", "-ins", *_NO_ONE),
    _field("traits.ins[].effective_on", "PID-3.7 (INS)", "-ins", *_NO_ONE),
    _field("traits.identifiers[].value", "PID-3.1", "+internal", *_NO_ONE),
    _field("traits.identifiers[].namespace", "PID-3.4.1", "-internal", *_NO_ONE),
    _field("traits.identifiers[].oid", "PID-3.4.2", "+internal", *_NO_ONE),
    _field(
        "traits.identifiers[].type", "PID-3.5", "~internal whether it is passed on", *_NO_ONE
    ),
    _field("traits.identity_status", "PID-32", "-ins", *_NO_ONE),
    _field("traits.birth_family", "PID-5.1 (L)", "+fhir", *_REACHED),
    _field("traits.birth_given", "PID-5.2 (L)", "+fhir", *_REACHED),
    _field("traits.birth_givens[]", "PID-5.3 (L)", "+fhir", *_NO_ONE),
    _field("traits.used_family", "PID-5.1 (D)", "+fhir", *_REACHED),
    _field("traits.used_given", "PID-5.2 (D)", "+fhir", *_NO_ONE),
    _field(
        "traits.birth_date", "PID-7", "+fhir", "+decree", "~coarse age in years and its class",
        "~anonymous the class of age alone",
    ),
    _field("traits.sex", "PID-8", "~vocabulary gender", "+decree", "+count", "+count"),
    _field("traits.birth_place", "PID-11.9 (BDL)", "+fhir", *_NO_ONE),
    _field("traits.address.lines[]", "PID-11.1, .2", "+fhir", *_REACHED),
    _field("traits.address.city", "PID-11.3", "+fhir", *_REACHED),
    _field(
        "traits.address.postcode", "PID-11.5", "+fhir", "+decree",
        "~coarse commune and department, where no commune is given", "~coarse department",
    ),
    _field("traits.address.country", "PID-11.6", "+fhir", *_NOWHERE),
    _field(
        "traits.address.commune", "PID-11.9, ZFD", "-unused", "-beyond", "+count",
        "~anonymous department",
    ),
    _field("traits.address.state", "PID-11.4", "+fhir", *_NOWHERE),
    _field("traits.phones[]", "PID-13", "+fhir", *_REACHED),
    _field("traits.emails[]", "PID-13", "+fhir", *_REACHED),
)  # fmt: skip

_DAY: Final = ("~coarse the day", "~anonymous the month")
_REPORT: Final = (
    _field("reports[].position", "OBR (order)", *_TRANSPORT),
    *_coded("reports[].code", "OBR-4", tuple("+-~+-~")),
    _field("reports[].status", "OBR-25", "~vocabulary status", "+decree", "+count", "+count"),
    _field("reports[].order_control", "ORC-1", *_TRANSPORT),
    _field("reports[].placer_order_number", "ORC-2, OBR-2", "+fhir", *_NO_ONE),
    _field("reports[].filler_order_number", "ORC-3, OBR-3", "+fhir", *_NO_ONE),
    _field("reports[].collected_at", "OBR-7, SPM-17", "+fhir", "+decree", *_DAY),
    _field("reports[].received_at", "OBR-14, SPM-18", "+fhir", *_NOWHERE),
    _field("reports[].reported_at", "OBR-22", "+fhir", "+decree", *_DAY),
    _field("reports[].specimen.identifier", "SPM-2", "+fhir", *_NO_ONE),
    *_coded("reports[].specimen.type", "SPM-4, OBR-15"),
    _field("reports[].specimen.collected_at", "SPM-17", "+fhir", "+decree", *_DAY),
    _field("reports[].specimen.received_at", "SPM-18", "+fhir", *_NOWHERE),
    _field("reports[].notes[]", "NTE-3 (OBR)", "+fhir", *_NO_ONE),
    _field("reports[].prescriber.identifier", "ORC-12.1, OBR-16.1", "+fhir", *_REACHED),
    _field(
        "reports[].prescriber.identifier_type", "ORC-12.13, OBR-16.13", "~vocabulary system",
        "~decree whether it is a RPPS", "-identity", "-identity",
    ),
    _field("reports[].prescriber.family", "ORC-12.2, OBR-16.2", "+fhir", *_REACHED),
    _field("reports[].prescriber.given", "ORC-12.3, OBR-16.3", "+fhir", *_REACHED),
    _field("reports[].performer.name", "OBX-23.1", "+fhir", "+decree", "-minimal", "-anonymous"),
    _field(
        "reports[].performer.identifier", "OBX-23.10", "+fhir", "+decree", "+count",
        "~anonymous department",
    ),
    _field(
        "reports[].performer.identifier_type", "OBX-23.7", "-unused", *_NOWHERE
    ),
)  # fmt: skip
_WHERE: Final = (
    _field("reports[].performer.commune", "OBX-24.9", "-unused", "-beyond", "+count",
           "~anonymous department"),
    _field("reports[].performer.postcode", "OBX-24.5", "-unused", "-beyond",
           "~coarse department, where no commune is given", "~anonymous department"),
)  # fmt: skip

_OBX: Final = "reports[].observations[]"
_DECIDES: Final = ("~decides the result",) * 3
_OBSERVATION: Final = (
    _field(f"{_OBX}.position", "OBX (order)", "-place", *_NOWHERE),
    *_coded(f"{_OBX}.code", "OBX-3", tuple("+--+--")),
    _field(f"{_OBX}.others[].code", "OBX-5.1 (repeated)", "+fhir", *_DECIDES),
    _field(f"{_OBX}.others[].text", "OBX-5.2 (repeated)", "+fhir", *_DECIDES),
    _field(f"{_OBX}.others[].system", "OBX-5.3 (repeated)", "-unused", *_DECIDES),
    _field(f"{_OBX}.others[].alternate_code", "OBX-5.4 (repeated)", "+fhir", *_DECIDES),
    _field(f"{_OBX}.others[].alternate_text", "OBX-5.5 (repeated)", "+fhir", *_DECIDES),
    _field(f"{_OBX}.others[].alternate_system", "OBX-5.6 (repeated)", "-unused", *_DECIDES),
    _field(f"{_OBX}.sub_id", "OBX-4", "-unused", *_NOWHERE),
    _field(f"{_OBX}.value_type", "OBX-2", "-unused", *_NOWHERE),
    _field(f"{_OBX}.value", "OBX-5", "+fhir", *_DECIDES),
    _field(f"{_OBX}.number", "OBX-5", "+fhir", *_NOWHERE),
    _field(f"{_OBX}.comparator", "OBX-5.1 (SN)", "+fhir", *_NOWHERE),
    *_coded(f"{_OBX}.coded", "OBX-5", tuple("~~~~~~")),
    *(
        each
        for each in _coded(f"{_OBX}.unit", "OBX-6")
        if not each.path.endswith("alternate_text")
    ),
    _field(f"{_OBX}.unit.alternate_text", "OBX-6.5", "-unused", *_NOWHERE),
    _field(f"{_OBX}.reference_range", "OBX-7", "+fhir", *_NOWHERE),
    _field(f"{_OBX}.interpretations[]", "OBX-8", "+fhir", *_DECIDES),
    _field(f"{_OBX}.status", "OBX-11", "~vocabulary status", *_DECIDES),
    _field(f"{_OBX}.amended", "OBX-11 (A, B)", "~vocabulary status", *_NOWHERE),
    _field(f"{_OBX}.observed_at", "OBX-14", "+fhir", "+decree", *_DAY),
    *_coded(f"{_OBX}.method", "OBX-17"),
    _field(f"{_OBX}.notes[]", "NTE-3 (OBX)", "+fhir", *_NO_ONE),
    _field(f"{_OBX}.performer.name", "OBX-23.1", "+fhir", *_NOWHERE),
    _field(f"{_OBX}.performer.identifier", "OBX-23.10", "+fhir", *_NOWHERE),
    _field(
        f"{_OBX}.performer.identifier_type", "OBX-23.7", "-unused", *_NOWHERE
    ),
    _field(f"{_OBX}.performer.commune", "OBX-24.9", "-unused", *_NOWHERE),
    _field(f"{_OBX}.performer.postcode", "OBX-24.5", "-unused", *_NOWHERE),
    _field(f"{_OBX}.document.type", "OBX-5.2 (ED)", "-unused", *_NOWHERE),
    _field(
        f"{_OBX}.document.subtype", "OBX-5.3 (ED)", "~vocabulary media type", *_NOWHERE
    ),
    _field(f"{_OBX}.document.encoding", "OBX-5.4 (ED)", "-unused", *_NOWHERE),
    _field(f"{_OBX}.document.size_characters", "OBX-5.5 (ED)", "-unused", *_NOWHERE),
    _field(f"{_OBX}.document.digest", "OBX-5.5 (ED)", "+fhir", *_NO_ONE),
)  # fmt: skip

FIELDS: Final = (*_IDENTITY, *_REPORT, *_WHERE, *_OBSERVATION)
"""Every field of a message as it is mapped."""

_KEYED: Final = "a keyed digest (docs/pseudonyms.md)"
ADDED: Final = (
    _field(
        "person.person_id", "the resolved person", "-ins", "-beyond",
        f"~count {_KEYED}, another each half-year", f"~anonymous {_KEYED} of the condition alone",
    ),
    _field("person.qualified_ins", "the resolved person", "+ins", *_NO_ONE),
    _field("report_id", "the hub", "+fhir", f"~decree {_KEYED}", "-minimal", "-anonymous"),
    _field(
        "received_at", "the hub", "~fhir when the Bundle's maker got it", "-beyond",
        "~coarse the day", "~anonymous the month",
    ),
    _field(
        "standing.case_id", "the case", "-unused", f"~decree {_KEYED}", f"~count {_KEYED}",
        f"~anonymous {_KEYED} of the condition alone",
    ),
    _field(
        "standing.line", "the case", "-unused", "-beyond", "+count", "+count",
    ),
    _field(
        "standing.again", "the case", "-unused", "-beyond", "+count", "+count",
    ),
    _field("standing.variant", "the case", "-unused", "+decree", "+count", "+count"),
    _field("making.rule_version", "the rules", "+fhir", *_NOWHERE),
    _field("making.model_version", "the matcher", "+fhir", *_NOWHERE),
    _field("making.mapping_version", "the mapping", "+fhir", *_NOWHERE),
)  # fmt: skip
"""What no message holds, and the hub adds."""
