"""A letter about a report, out of its dossier Bundle: what a person reads in secure mail; pure.

Whom it may go to is decided here too. A patient gets a letter only where the laboratory asked for
it (DESTMSSANTEPAT) and never where it says that the patient must not see the result yet
(INVISIBLE_PATIENT), nor its representatives; a professional never where it is masked to them
(MASQUE_PS). Source: volet Transmission d'un document CDA-R2 en HL7 v2, MetaDMPMSS.
The subject names nobody: it stands outside of what is encrypted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, Final

from schemas.events import JsonObject
from schemas.patient import Phi

TAGS: Final = "urn:labdispatch:dmp-mss"
_RPPS: Final = "urn:oid:1.2.250.1.71.4.2.1"
_FOR_GOOD: Final = frozenset({"final", "corrected", "amended", "appended"})
_TAKEN_BACK: Final = frozenset({"cancelled", "entered-in-error"})
_MAX_LINES: Final = 500
_MAX_TEXT: Final = 2_000


class To(StrEnum):
    """Whom a receiver's letters go to."""

    PATIENT = "patient"
    PROFESSIONAL = "professional"


_NEVER: Final[Mapping[To, Mapping[str, str]]] = {
    To.PATIENT: {
        "INVISIBLE_PATIENT": "invisible_patient",
        # A child's box is read by its representatives, and nobody tells us whose box it is.
        "INVISIBLE_REP_LEGAUX": "invisible_representatives",
    },
    To.PROFESSIONAL: {"MASQUE_PS": "masked"},
}
"""What forbids a letter, whatever else was asked for."""


class Letter(Phi, frozen=True, kw_only=True):
    """A letter, and who it is about and for."""

    subject: str
    text: str
    is_withdrawal: bool
    matricule: str
    """Of the patient's INS; empty where the Bundle has none."""
    rpps: str
    """Of who ordered it; empty where nobody is known."""


def letter_of(bundle: JsonObject, to: To) -> Letter | str:
    """Return the letter about a report, or why there is none: a stable code."""
    resources = [entry["resource"] for entry in bundle.get("entry", ())]
    report = next(_of_type(resources, "DiagnosticReport"), None)
    patient = next(_of_type(resources, "Patient"), None)
    if report is None or patient is None:
        return "no_report"
    tags = {tag.get("code") for tag in report.get("meta", {}).get("tag", ()) if _is_ours(tag)}
    for tag, reason in _NEVER[to].items():
        if tag in tags:
            return reason
    asked = "DESTMSSANTEPAT" if to is To.PATIENT else "DESTMSSANTEPS"
    if asked not in tags:
        return "not_asked"
    status = report.get("status")
    if status not in _FOR_GOOD | _TAKEN_BACK:
        return "not_final"
    taken_back = status in _TAKEN_BACK
    return Letter(
        subject=_SUBJECTS[taken_back, status != "final"],
        text=_withdrawn() if taken_back else _text(report, resources),
        is_withdrawal=taken_back,
        matricule=_official(patient),
        rpps=_prescriber(resources),
    )


def withdrawal_after(letter: Letter) -> Letter:
    """Return the letter that takes an earlier one back."""
    return Letter(
        subject=_SUBJECTS[True, True],
        text=_withdrawn(),
        is_withdrawal=True,
        matricule=letter.matricule,
        rpps=letter.rpps,
    )


_SUBJECTS: Final = {
    (False, False): "Résultat de laboratoire",
    (False, True): "Résultat de laboratoire corrigé",
    (True, False): "Résultat de laboratoire retiré",
    (True, True): "Résultat de laboratoire retiré",
}


def _withdrawn() -> str:
    return (
        "Un résultat de laboratoire qui vous a été transmis a été retiré par le laboratoire :\n"
        "n'en tenez plus compte. Pour toute question, adressez-vous au laboratoire.\n"
    )


def _text(report: JsonObject, resources: list[JsonObject]) -> str:
    laboratory = next((each.get("name", "") for each in _of_type(resources, "Organization")), "")
    lines = [f"Laboratoire : {_one_line(laboratory) or 'non précisé'}"]
    if sampled := report.get("effectiveDateTime"):
        lines.append(f"Prélèvement : {_one_line(sampled)[:10]}")
    lines += [f"Analyse : {_name(report.get('code'))}", ""]
    for each in _of_type(resources, "Observation"):
        lines.append(_observation(each))
        lines += [f"    {_one_line(note.get('text'))}" for note in each.get("note", ())]
        if len(lines) > _MAX_LINES:
            lines.append("La suite figure dans le document joint.")
            break
    if conclusion := report.get("conclusion"):
        lines += ["", f"Conclusion : {_one_line(conclusion)}"]
    lines += ["", "Pour toute question, adressez-vous au laboratoire ou à votre médecin."]
    return "\n".join(lines) + "\n"


def _observation(each: JsonObject) -> str:
    told = f"- {_name(each.get('code'))} : {_value(each)}"
    ranges = [text for part in each.get("referenceRange", ()) if (text := _range(part))]
    return f"{told} (référence : {'; '.join(ranges)})" if ranges else told


def _value(each: JsonObject) -> str:
    if each.get("status") in _TAKEN_BACK:
        return "annulé"
    quantity = each.get("valueQuantity")
    if quantity is not None:
        parts = (quantity.get("comparator"), quantity.get("value"), quantity.get("unit"))
        return " ".join(_one_line(part) for part in parts if part is not None)
    for key in ("valueCodeableConcept", "dataAbsentReason"):
        if key in each:
            return _name(each[key])
    plain = next((value for key, value in sorted(each.items()) if key.startswith("value")), None)
    if isinstance(plain, str | int | float):
        return _one_line(plain)
    return "voir le document joint"


def _range(part: JsonObject) -> str:
    if text := part.get("text"):
        return _one_line(text)
    ends = [part.get(end, {}).get("value") for end in ("low", "high")]
    return " - ".join("" if end is None else _one_line(end) for end in ends).strip(" -")


def _name(concept: Any) -> str:
    concept = concept or {}
    codings = concept.get("coding", ())
    names = [concept.get("text"), *(coding.get("display") for coding in codings)]
    names += [coding.get("code") for coding in codings]
    return next((_one_line(name) for name in names if name), "non précisé")


def _one_line(text: Any) -> str:
    return " ".join(str(text or "" if text != 0 else "0").split())[:_MAX_TEXT]


def _official(patient: JsonObject) -> str:
    for each in patient.get("identifier", ()):
        if each.get("use") == "official" and (value := each.get("value")):
            return str(value)
    return ""


def _prescriber(resources: list[JsonObject]) -> str:
    for each in _of_type(resources, "Practitioner"):
        for identifier in each.get("identifier", ()):
            value = str(identifier.get("value", ""))
            if identifier.get("system") == _RPPS and value.startswith("8") and len(value) == 12:
                return value[1:]
    return ""


def _of_type(resources: list[JsonObject], kind: str) -> Iterator[JsonObject]:
    return (each for each in resources if each.get("resourceType") == kind)


def _is_ours(tag: JsonObject) -> bool:
    return tag.get("system") == TAGS
