"""One fixed message: for benchmarks, which need the same bytes for ever, and for documents."""

from __future__ import annotations

from typing import Final

_HEAD: Final = (
    (
        "MSH|^~\\&|KALIUM|990010001|HUB|HUB|20260306101502+0100||ORU^R01^ORU_R01"
        "|L0001-20260306-0001|T|2.5.1|||||FRA|UNICODE UTF-8"
    ),
    (
        "PID|1||P00000123^^^L0001&1.2.250.1.999.1&ISO^PI"
        "~279035121518989^^^ASIP-SANTE-INS-NIR&1.2.250.1.213.1.4.10&ISO^INS"
        "||PAT-TROIS^DOMINIQUE^DOMINIQUE^^^^L~PAT-TROIS^DOMINIQUE^^^^^D||19790328|F"
        "|||28 AVENUE DE BRETEUIL^^PARIS^^75007^FRA^H^^75107~^^^^^^BDL^^63220"
        "||0639980001^PRN^CP~^NET^Internet^dominique.pat-trois@example.org"
        "||||||||||||||||||N|VALI"
    ),
)
_PRESCRIBER: Final = "99000000010^MOREAU^MEDECIN^^^^^^ASIP-SANTE-PS&1.2.250.1.71.4.2.1&ISO^D^^^RPPS"
_PERFORMER: Final = (
    "LABORATOIRE DE PARIS^D^^^^ASIP-SANTE-ST&1.2.250.1.71.4.2.2&ISO^FINEG^^^1990010001"
)
_NUMBERS: Final = "PR-889^L0001P|LAB-5567^L0001"
_CODE: Final = "94500-6^SARS-CoV-2 ARN [Présence] Respiratoire ; PCR^LN"
_BODY: Final = (
    f"ORC|NW|{_NUMBERS}||||||20260306101000+0100|||{_PRESCRIBER}",
    (
        f"OBR|1|{_NUMBERS}|{_CODE}|||20260306074500+0100|||||||||{_PRESCRIBER}"
        "||||||20260306101000+0100|||F"
    ),
    f"OBX|1|CWE|{_CODE}||260373001^Détecté^SCT|||POS|||F|||20260306074500+0100|||||||||{_PERFORMER}",
    "OBX|2|NM|94745-7^SARS-CoV-2 Ct [#] Respiratoire ; PCR^LN||24.6||||||F",
    (
        "SPM|1|LAB-5567-S1&L0001||258500001^Écouvillon nasopharyngé^SCT"
        "|||||||||||||20260306074500+0100|20260306083000+0100"
    ),
)
_NOTE: Final = "Résultat validé par le biologiste médical, transmis au prescripteur et au patient. "


def sample_message(size_hint: int = 1500) -> bytes:
    """Return a valid French ORU^R01 of about `size_hint` bytes: the same for the same hint, always.

    The patient is the test identity of the ANS (PAT-TROIS DOMINIQUE). A long message has more
    text in notes; none is shorter than the result itself.
    """
    bare = _bytes([*_HEAD, *_BODY])
    missing = size_hint - len(bare)
    notes: list[str] = []
    while missing > 20:
        number = len(notes) + 1
        start = f"NTE|{number}|L|"
        text = (_NOTE * 3)[: missing - len(start) - 1].strip()
        notes.append(start + text)
        missing -= len(notes[-1].encode()) + 1
    # NTE belongs to the OBX before it: the specimen comes last.
    return _bytes([*_HEAD, *_BODY[:-1], *notes, _BODY[-1]])


def _bytes(segments: list[str]) -> bytes:
    return ("\r".join(segments) + "\r").encode()
