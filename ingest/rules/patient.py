"""Rules of PID: numbers, names, dates, places."""

from __future__ import annotations

from typing import Final

from schemas.finding import Level
from schemas.place import Place

from .rule import FRANCE, Rule

_NUMBERS: Final = Place("PID", 1, 3)
_OIDS: Final = "ANS, list of OIDs of the INS; FR Core fr-core-patient-ins"
_CNAM: Final = "CNAM nir-validation (NirValidator, NirKey); ANS, list of OIDs of the INS"
_RIGHT_INS: Final = "279035121518989^^^ASIP-SANTE-INS-NIR&1.2.250.1.213.1.4.10&ISO^INS^^20260301"

RULES: Final = (
    Rule(
        code="identifier_too_long",
        level=Level.WARNING,
        hl7_code=102,
        place=_NUMBERS,
        en="An identifier has at most 200 bytes: it was left out; shorten it.",
        fr="Un identifiant tient en 200 octets : il a été écarté ; raccourcissez-le.",
        why="Numbers of patients are indexed.",
        source="our own; HL7 v2.5.1 3.4.2.3 (PID-3)",
        good="P000123^^^LABX&1.2.250.1.999.1&ISO^PI",
        bad="(300 digits)^^^LABX^PI",
    ),
    Rule(
        code="name_too_long",
        level=Level.WARNING,
        hl7_code=102,
        place=Place("PID", 1, 5),
        en="A name has at most 1,000 characters: shorten it.",
        fr="Un nom tient en 1 000 caractères : raccourcissez-le.",
        why="Names are compared with those of everybody: what one may cost is bounded.",
        source="our own; HL7 v2.5.1 3.4.2.5 (PID-5)",
        good="DURAND^ANNE^ANNE MARIE^^^^L",
        bad="(1,001 letters)^ANNE^ANNE^^^^L",
    ),
    Rule(
        code="ins_type_missing",
        level=Level.WARNING,
        place=_NUMBERS,
        en="An INS has the type INS in CX.5: it was kept as any identifier.",
        fr="Un INS porte le type INS en CX.5 : il a été gardé comme simple identifiant.",
        why="NH (billing) is a parent's number for a child: only the type INS is an identity.",
        source=_OIDS,
        good=_RIGHT_INS,
        bad="279035121518989^^^ASIP-SANTE-INS-NIR&1.2.250.1.213.1.4.10&ISO^NH",
    ),
    Rule(
        code="ins_oid_unknown",
        level=Level.WARNING,
        hl7_code=103,
        place=_NUMBERS,
        en="An INS has the OID of its authority in CX.4.2: it was not used; send .8 or .9.",
        fr="Un INS porte l'OID de son autorité en CX.4.2 : il n'a pas été utilisé.",
        why="The OID, not the digits, says NIR, NIA, test or demonstration.",
        source=_OIDS,
        good=_RIGHT_INS,
        bad="279035121518989^^^ASIP-SANTE-INS-NIR^INS",
    ),
    Rule(
        code="ins_length_wrong",
        level=Level.WARNING,
        hl7_code=102,
        place=_NUMBERS,
        en="An INS has 15 characters with its key: it was not used; send both.",
        fr="Un INS a 15 caractères avec sa clé : il n'a pas été utilisé ; envoyez les deux.",
        why="Without its key a slip of one digit is another person.",
        source=_CNAM,
        good=_RIGHT_INS,
        bad="2790351215189^^^ASIP-SANTE-INS-NIR&1.2.250.1.213.1.4.10&ISO^INS",
    ),
    Rule(
        code="ins_key_wrong",
        level=Level.WARNING,
        hl7_code=102,
        place=_NUMBERS,
        en="The key or the form of the INS is wrong: it was not used; recover it from INSi.",
        fr="La clé ou la forme de l'INS est fausse : il n'a pas été utilisé ; rappelez INSi.",
        why="A number whose key is wrong was typed by hand, and may be somebody else's.",
        source=_CNAM,
        good=_RIGHT_INS,
        bad="279035121518988^^^ASIP-SANTE-INS-NIR&1.2.250.1.213.1.4.10&ISO^INS",
    ),
    Rule(
        code="ins_of_other_realm",
        level=Level.WARNING,
        hl7_code=103,
        place=_NUMBERS,
        en="An INS is not of this instance's realm (test or production): it was not used.",
        fr="Un INS n'est pas du domaine de cette instance (test ou production) : non utilisé.",
        why="Test numbers must never meet real persons, nor real numbers a test.",
        source=_OIDS,
        good="1.2.250.1.213.1.4.8 in production, 1.2.250.1.213.1.4.10 in test",
        bad="1.2.250.1.213.1.4.10 in production",
    ),
    Rule(
        code="birth_date_unreadable",
        level=Level.WARNING,
        hl7_code=102,
        place=Place("PID", 1, 7),
        en="A birth date is YYYYMMDD, or shorter: it was left out.",
        fr="Une date de naissance s'écrit AAAAMMJJ, ou plus court : elle a été écartée.",
        why="Without it the person can hardly be told from others of that name.",
        source="HL7 v2.5.1 3.4.2.7 (PID-7), 2.A.77 (TS)",
        good="PID-7 = 19790328",
        bad="PID-7 = 28/03/1979",
    ),
    Rule(
        code="birth_place_unreadable",
        level=Level.WARNING,
        hl7_code=102,
        place=Place("PID", 1, 11, 0, 9),
        en="A birth place (BDL) is an INSEE code of five characters in XAD.9: send it there.",
        fr="Un lieu de naissance (BDL) est un code INSEE de cinq caractères en XAD.9.",
        why="The INSEE code of the birth place is one of the five strict traits.",
        source="Guide INS; PAM national extension France (PID-11)",
        good="^^^^^^BDL^^63220",
        bad="^^CUNLHAT^^^^BDL",
        profiles=FRANCE,
    ),
)
