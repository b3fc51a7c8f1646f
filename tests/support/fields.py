"""Every input field of a message: its path, a message that uses it, and another value for it.

A field that is added to the types and not here fails `test_redaction.py`, and so does one whose
other value is the same.
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

import msgspec

from schemas.patient import Address, Identifier, Ins, Traits
from schemas.report import (
    Coded,
    Document,
    LabReport,
    MappedMessage,
    Observation,
    Organisation,
    Practitioner,
    ResultStatus,
    Specimen,
)

PCR = Coded(
    code="94500-6", text="ARN SARS-CoV-2", system="LN", alternate_code="PCRC",
    alternate_text="PCR Covid", alternate_system="L",
)  # fmt: skip
_FOUND = Coded(
    code="260373001", text="Détecté", system="SCT", alternate_code="POS",
    alternate_text="Positif", alternate_system="L",
)  # fmt: skip
_METHOD = Coded(
    code="M-PCR", text="RT-PCR", system="L", alternate_code="M1", alternate_text="Methode 1",
    alternate_system="99L",
)  # fmt: skip
_UNIT = Coded(
    code="mmol/L", text="mmol par L", system="UCUM", alternate_code="MM", alternate_text="milli",
    alternate_system="L",
)  # fmt: skip
_MORE = Coded(
    code="112283007", text="E. coli", system="SCT", alternate_code="EC", alternate_text="Coli",
    alternate_system="L",
)  # fmt: skip
_SWAB = Coded(
    code="258500001", text="Nasopharynx", system="SCT", alternate_code="NP",
    alternate_text="Ecouvillon", alternate_system="L",
)  # fmt: skip
_UREA = Coded(
    code="14937-7", text="Urée", system="LN", alternate_code="UREE", alternate_text="Uree sang",
    alternate_system="L",
)  # fmt: skip
LABORATORY = Organisation(
    name="LABORATOIRE X", identifier="990000017", identifier_type="FINEG", commune="75107",
    postcode="75007",
)  # fmt: skip


def message() -> MappedMessage:
    """Return an invented message in which every field of the types says something."""
    observed = "2026-03-06T07:45:00+01:00"
    decisive = Observation(
        position=1, code=PCR, sub_id="1", value_type="CWE", value="Détecté", coded=_FOUND,
        interpretations=("POS",), observed_at=observed, method=_METHOD,
        notes=("Première intention",), performer=LABORATORY, reference_range="absent",
    )  # fmt: skip
    number = Observation(
        position=2, code=_UREA, sub_id="2", value_type="SN", value="<2.5", number="2.5",
        comparator="<", unit=_UNIT, reference_range="3 - 8", observed_at=observed,
    )  # fmt: skip
    document = Observation(
        position=3, code=Coded(code="11502-2", text="Compte rendu", system="LN"), value_type="ED",
        document=Document(
            type="Application", subtype="PDF", encoding="Base64", size_characters=812,
            digest="0f" * 16,
        ),
    )  # fmt: skip
    text = Observation(
        position=4, code=Coded(text="Commentaire"), value_type="TX", value="Voir la note"
    )
    several = Observation(
        position=5, code=Coded(code="630-4", text="Culture", system="LN"), value_type="CWE",
        coded=Coded(code="X", text="Flore", system="L"), others=(_MORE,),
    )  # fmt: skip
    report = LabReport(
        position=1, code=PCR, status=ResultStatus.FINAL, order_control="NW",
        placer_order_number="ORD-889", filler_order_number="LAB-5567",
        collected_at="2026-03-06T07:40:00+01:00", received_at="2026-03-06T08:30:00+01:00",
        reported_at="2026-03-06T10:10:00+01:00",
        specimen=Specimen(
            identifier="SP-1", type=_SWAB, collected_at="2026-03-06T07:44:00+01:00",
            received_at="2026-03-06T08:31:00+01:00",
        ),
        observations=(decisive, number, document, text, several), notes=("Note du compte rendu",),
        prescriber=Practitioner(
            identifier="10000023084", identifier_type="RPPS", family="PRESCRIPTEUR", given="JEAN"
        ),
        performer=LABORATORY,
    )  # fmt: skip
    return MappedMessage(
        control_id="CTRL-1", sending_facility="990000017", sent_at=observed, processing_id="T",
        traits=Traits(
            ins=(Ins(matricule="279035121518989", oid="1.2.250.1.213.1.4.10"),),
            identifiers=(
                Identifier(value="P000123", namespace="LAB", oid="1.2.250.1.999.1", type="PI"),
            ),
            identity_status="VALI", birth_family="NAISSANCE", birth_given="PRENOM",
            birth_givens=("PRENOM", "ANNE"), used_family="USAGE", used_given="PRENOMUSUEL",
            birth_date="1979-03-28", sex="F", birth_place="63220",
            address=Address(
                lines=("28 AV DU TEST",), city="PARIS", postcode="75007", country="FRA",
                commune="75107", state="IDF",
            ),
            phones=("0639980077",), emails=("patiente@example.org",),
        ),
        reports=(report,),
    )  # fmt: skip


FREE = "ZZCANARI"
"""What a field of free text becomes."""

# Where any text would do, FREE is taken; numbers and codes have to be ones that are understood.
_CODED: Final = (
    "reports[].code",
    "reports[].specimen.type",
    "reports[].observations[].code",
    "reports[].observations[].coded",
    "reports[].observations[].unit",
    "reports[].observations[].method",
    "reports[].observations[].others[]",
)
OTHER: Mapping[str, Any] = {
    **{f"{each}.alternate_system": "LN" for each in _CODED},
    **{f"{each}.system": "99ZZ" for each in _CODED},
    "reports[].observations[].method.system": "LN",
    "sent_at": "2026-03-06T09:09:09+01:00",
    "traits.ins[].matricule": "255081416802538",
    "traits.ins[].oid": "1.2.250.1.213.1.4.11",
    "traits.ins[].effective_on": "2020-02-02",
    "traits.identifiers[].oid": "1.2.250.1.999.77",
    "traits.identifiers[].type": "MR",
    "traits.identity_status": "PROV",
    "traits.birth_date": "1966-05-05",
    "traits.sex": "M",
    "traits.birth_place": "13055",
    "traits.address.postcode": "13008",
    "traits.address.commune": "13208",
    "traits.address.country": "BEL",
    "traits.phones[]": "0199990012",
    "traits.emails[]": "zzcanari@example.org",
    "reports[].position": 9,
    "reports[].code.code": "94309-2",
    "reports[].status": ResultStatus.CORRECTED,
    "reports[].order_control": "SC",
    "reports[].collected_at": "2026-01-03T03:03:00+01:00",
    "reports[].received_at": "2026-01-05T05:05:00+01:00",
    "reports[].reported_at": "2026-04-07T07:07:00+01:00",
    "reports[].specimen.collected_at": "2026-01-04T04:04:00+01:00",
    "reports[].specimen.received_at": "2026-01-05T06:06:00+01:00",
    "reports[].specimen.type.code": "119297000",
    "reports[].observations[].position": 9,
    "reports[].observations[].code.code": "94309-2",
    "reports[].observations[].value_type": "ST",
    "reports[].observations[].number": "77.125",
    "reports[].observations[].comparator": ">",
    "reports[].observations[].coded.code": "260415000",
    "reports[].observations[].unit.code": "g/L",
    "reports[].observations[].interpretations[]": "NEG",
    "reports[].observations[].status": ResultStatus.CORRECTED,
    "reports[].observations[].amended": True,
    "reports[].observations[].observed_at": "2026-01-02T02:02:00+01:00",
    "reports[].observations[].document.type": "TEXT",
    "reports[].observations[].document.subtype": "XML",
    "reports[].observations[].document.size_characters": 99_887,
    "reports[].observations[].document.digest": "ab" * 16,
    "reports[].prescriber.identifier": "10000012343",
    "reports[].prescriber.identifier_type": "EI",
    "reports[].performer.identifier": "130000029",
    "reports[].performer.identifier_type": "ZZ",
    "reports[].observations[].performer.identifier": "130000029",
    "reports[].observations[].performer.identifier_type": "ZZ",
    "reports[].performer.commune": "13208",
    "reports[].performer.postcode": "13008",
    "reports[].observations[].performer.commune": "13208",
    "reports[].observations[].performer.postcode": "13008",
}

# Which of the message's observations uses a field; the decisive one where none is named.
_PLACES: Mapping[str, int] = {
    "reports[].observations[].number": 1,
    "reports[].observations[].comparator": 1,
    "reports[].observations[].unit": 1,
    "reports[].observations[].reference_range": 1,
    "reports[].observations[].document": 2,
    "reports[].observations[].value": 3,
    "reports[].observations[].others[]": 4,
}

# Fields that are asked only where others say nothing, and those others.
_TIMES: Final = (
    "reports[].collected_at",
    "reports[].specimen.collected_at",
    "reports[].observations[].observed_at",
)
_ONLY_WITHOUT: Mapping[str, tuple[str, ...]] = {
    **{path: tuple(other for other in _TIMES if other != path) for path in _TIMES},
    "reports[].received_at": ("reports[].specimen.received_at",),
    "reports[].performer.postcode": ("reports[].performer.commune",),
    "reports[].performer.identifier": (
        "reports[].performer.commune",
        "reports[].performer.postcode",
    ),
    "traits.address.postcode": ("traits.address.commune",),
}


_OBX: Final = "reports[].observations[]."
_NO_CODED: Final = {f"{_OBX}coded": None, f"{_OBX}interpretations": ()}
_TEXT: Final = {**_NO_CODED, f"{_OBX}value_type": "ST"}
_LOCAL: Final = {
    f"{_OBX}interpretations": (),
    f"{_OBX}value": "",
    f"{_OBX}coded": Coded(code="R1", text="voir", system="L"),
}
_TWICE: Final = {
    **_LOCAL,
    f"{_OBX}coded": Coded(
        code="R1", system="L", alternate_code="260373001", alternate_system="SCT"
    ),
}
_OF_ORDER: Final = {f"{_OBX}code": Coded(code="X1", text="Recherche", system="L")}
_OF_OTHER: Final = {
    f"{_OBX}code": Coded(code="X1", system="L", alternate_code="94500-6", alternate_system="LN")
}
_LOAD: Final = {
    **_NO_CODED,
    f"{_OBX}code": Coded(code="25836-8", text="Charge virale VIH", system="LN"),
    f"{_OBX}value_type": "NM",
    f"{_OBX}value": "1500",
    f"{_OBX}number": "1500",
}
_UNIT_BY_OTHER: Final = {
    **_LOAD,
    f"{_OBX}unit": Coded(code="zz", system="L", alternate_code="g/L", alternate_system="UCUM"),
}
_ORDER_BY_OTHER: Final = {
    **_OF_ORDER,
    "reports[].code": Coded(code="X2", system="L", alternate_code="94500-6", alternate_system="LN"),
}


def _beside(**said: str) -> Mapping[str, Any]:
    """Return a scene where the first value is a local one and a further repetition speaks."""
    return {**_LOCAL, f"{_OBX}others": (Coded(**said),)}


# Other ways to say the same, in which a field decides that says nothing elsewhere.
_SCENES: Mapping[str, tuple[tuple[Mapping[str, Any], Any], ...]] = {
    "reports[].code.code": ((_OF_ORDER, "94309-2"),),
    "reports[].code.system": ((_OF_ORDER, "99ZZ"),),
    "reports[].code.alternate_code": ((_ORDER_BY_OTHER, "94309-2"),),
    "reports[].code.alternate_system": ((_ORDER_BY_OTHER, "99ZZ"),),
    f"{_OBX}code.system": (({f"{_OBX}code": Coded(code="94500-6", system="LN")}, "99ZZ"),),
    f"{_OBX}code.alternate_code": ((_OF_OTHER, "94309-2"),),
    f"{_OBX}code.alternate_system": ((_OF_OTHER, "99ZZ"),),
    f"{_OBX}value": (({**_TEXT, f"{_OBX}value": "Détecté"}, "Non détecté"),),
    f"{_OBX}value_type": (({**_TEXT, f"{_OBX}value": "Détecté"}, "NM"), (_LOAD, "ST")),
    f"{_OBX}number": ((_LOAD, "0"),),
    f"{_OBX}comparator": ((_LOAD, "<"),),
    f"{_OBX}unit.code": (({**_LOAD, f"{_OBX}unit": Coded(code="[copies]/mL")}, "mm"),),
    f"{_OBX}unit.alternate_code": ((_UNIT_BY_OTHER, "mmol/L"),),
    f"{_OBX}unit.alternate_system": ((_UNIT_BY_OTHER, "L"),),
    f"{_OBX}coded.text": (({**_LOCAL, f"{_OBX}coded": Coded(text="Détecté")}, "Non détecté"),),
    f"{_OBX}coded.system": (
        ({**_LOCAL, f"{_OBX}coded": Coded(code="260373001", system="SCT")}, "99ZZ"),
    ),
    f"{_OBX}coded.alternate_code": ((_TWICE, "260415000"),),
    f"{_OBX}coded.alternate_text": (
        ({**_LOCAL, f"{_OBX}coded": Coded(code="R1", alternate_text="Détecté")}, "Non détecté"),
    ),
    f"{_OBX}coded.alternate_system": ((_TWICE, "99ZZ"),),
    f"{_OBX}interpretations[]": (
        ({**_TEXT, f"{_OBX}value": "", f"{_OBX}interpretations": ("POS",)}, "NEG"),
    ),
    f"{_OBX}status": (({}, ResultStatus.DELETED),),
    f"{_OBX}amended": (({f"{_OBX}status": ResultStatus.CORRECTED}, True),),
    f"{_OBX}others[].code": (
        ({f"{_OBX}others": (Coded(code="C"),)}, FREE),
        (_beside(code="260373001", system="SCT"), "260415000"),
    ),
    f"{_OBX}others[].text": ((_beside(text="Détecté"), "Non détecté"),),
    f"{_OBX}others[].system": ((_beside(code="260373001", system="SCT"), "99ZZ"),),
    f"{_OBX}others[].alternate_code": (
        ({f"{_OBX}others": (Coded(alternate_code="C"),)}, FREE),
        (_beside(code="R1", alternate_code="260373001", alternate_system="SCT"), "260415000"),
    ),
    f"{_OBX}others[].alternate_text": (
        ({f"{_OBX}others": (Coded(alternate_text="C"),)}, FREE),
        (_beside(code="R1", alternate_text="Détecté"), "Non détecté"),
    ),
    f"{_OBX}others[].alternate_system": (
        (_beside(code="R1", alternate_code="260373001", alternate_system="SCT"), "99ZZ"),
    ),
}


def paths() -> list[str]:
    """Return every field of a message that holds no others, in the order of the types."""
    return list(_paths(MappedMessage, ""))


def _paths(type_: type, prefix: str) -> Iterator[str]:
    hints = get_type_hints(type_)
    for field in msgspec.structs.fields(type_):
        yield from _path_of(hints[field.name], f"{prefix}{field.name}")


def _path_of(hint: Any, path: str) -> Iterator[str]:
    origin = get_origin(hint)
    if origin in {Union, types.UnionType}:
        (inner,) = (each for each in get_args(hint) if each is not type(None))
        yield from _path_of(inner, path)
    elif origin is tuple:
        yield from _path_of(get_args(hint)[0], f"{path}[]")
    elif isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        yield from _paths(hint, f"{path}.")
    else:
        yield path


def pairs(path: str) -> list[tuple[MappedMessage, MappedMessage, str]]:
    """Return messages that differ in one field alone, and what it is in the second, as text."""
    base = message()
    number = next(
        (n for prefix, n in _PLACES.items() if path == prefix or path.startswith(f"{prefix}.")), 0
    )
    for empty in _ONLY_WITHOUT.get(path, ()):
        for each in range(len(base.reports[0].observations)):
            base = changed(base, empty, "", each)
    found = [_pair(base, path, OTHER.get(path, FREE), number)]
    for scene, value in _SCENES.get(path, ()):
        told = message()
        for place, said in scene.items():
            told = changed(told, place, said, 0)
        found.append(_pair(told, path, value, 0))
    return found


def _pair(
    base: MappedMessage, path: str, value: Any, number: int
) -> tuple[MappedMessage, MappedMessage, str]:
    other = changed(base, path, value, number)
    assert other != base, f"{path}: its other value is the same"
    return base, other, str(value.value if isinstance(value, Enum) else value)


def changed(whole: Any, path: str, value: Any, number: int) -> Any:
    """Return a struct with one field changed; `number` says which observation.

    Of an observation that has no such part, nothing is changed.
    """
    if whole is None:
        return None
    head, _, rest = path.partition(".")
    name, is_many = head.removesuffix("[]"), head.endswith("[]")
    held = getattr(whole, name)
    if not is_many:
        new = changed(held, rest, value, number) if rest else value
    elif not held:
        new = held
    else:
        place = number if name == "observations" else 0
        part = changed(held[place], rest, value, number) if rest else value
        new = (*held[:place], part, *held[place + 1 :])
    return msgspec.structs.replace(whole, **{name: new})
