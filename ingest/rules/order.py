"""Rules of ORC, OBR, SPM and TXA: what was examined, when, for whom, with which status."""

from __future__ import annotations

from typing import Final

from schemas.finding import Level
from schemas.place import Place

from .rule import FRANCE, Rule

_STATUS: Final = Place("OBR", 1, 25)

RULES: Final = (
    Rule(
        code="service_code_missing",
        level=Level.WARNING,
        hl7_code=101,
        place=Place("OBR", 1, 4),
        en="Nothing says what was examined: fill OBR-4 (for a document OBX-3 or TXA-2).",
        fr="Rien ne dit ce qui a été examiné : remplissez OBR-4 (document : OBX-3 ou TXA-2).",
        why="No report can be made of an examination that nobody names.",
        source="HL7 v2.5.1 7.4.1.4 (OBR-4)",
        good="OBR|1|ORD-889|LAB-5567|94500-6^ARN SARS-CoV-2^LN",
        bad="OBR|1|ORD-889|LAB-5567|",
    ),
    Rule(
        code="report_status_missing",
        level=Level.WARNING,
        hl7_code=103,
        place=_STATUS,
        en="Neither OBR-25 (TXA-17) nor OBX-11 has a known status: F was assumed; send it.",
        fr="Ni OBR-25 (TXA-17) ni OBX-11 n'ont de statut connu : F a été supposé.",
        why="Whoever reads the report must know whether it may still change.",
        source="HL7 v2.5.1 7.4.1.25 (OBR-25), table 0123; v2.6 table 0271",
        good="OBR-25 = F",
        bad="OBR-25 and OBX-11 empty",
    ),
    Rule(
        code="report_status_derived",
        level=Level.INFO,
        hl7_code=103,
        place=_STATUS,
        en="OBR-25 has no known status: it was derived from OBX-11; send it.",
        fr="OBR-25 n'a pas de statut connu : il a été déduit d'OBX-11 ; envoyez-le.",
        why="The report as a whole has a status of its own.",
        source="HL7 v2.5.1 7.4.1.25 (OBR-25), table 0123",
        good="OBR-25 = F",
        bad="OBR-25 empty",
    ),
    Rule(
        code="status_contradicts",
        level=Level.WARNING,
        hl7_code=103,
        place=_STATUS,
        en="OBR-25, OBX-11 and ORC-1 cannot be true together: the streams wait; mend and resend.",
        fr="OBR-25, OBX-11 et ORC-1 se contredisent : les flux attendent ; renvoyez corrigé.",
        why="Nobody can say whether such a result stands, and it is not guessed.",
        source="HL7 v2.5.1 tables 0123, 0085, 0119; docs/holds.md",
        good="OBR-25 = F, OBX-11 = F",
        bad="OBR-25 = F, every OBX-11 = X",
    ),
    Rule(
        code="time_unreadable",
        level=Level.WARNING,
        hl7_code=102,
        place=Place("OBR", 1, 7),
        en="A time is YYYYMMDDHHMMSS with an offset: it was left out.",
        fr="Une heure s'écrit AAAAMMJJHHMMSS avec décalage : elle a été écartée.",
        why="When a specimen was taken decides to which day and which person it counts.",
        source="HL7 v2.5.1 2.A.77 (TS), 2.A.22 (DTM)",
        good="OBR-7 = 20260306074500+0100",
        bad="OBR-7 = 06/03/2026 07:45",
    ),
    Rule(
        code="rpps_key_wrong",
        level=Level.WARNING,
        hl7_code=102,
        place=Place("OBR", 1, 16),
        en="A RPPS whose key is wrong was kept as a local number: correct it.",
        fr="Un RPPS dont la clé est fausse a été gardé comme numéro local : corrigez-le.",
        why="A result sent to the wrong prescriber is a breach, and the right one waits.",
        source="ANS, RPPS (11 digits, Luhn; IDNPS is 8 and the RPPS)",
        good="10000023084^TEST^MEDECIN^^^^^^ASIP-SANTE-PS&1.2.250.1.71.4.2.1&ISO^D^^^RPPS",
        bad="10000023085^TEST^MEDECIN^^^^^^ASIP-SANTE-PS&1.2.250.1.71.4.2.1&ISO^D^^^RPPS",
        profiles=FRANCE,
    ),
    Rule(
        code="version_outranked",
        level=Level.WARNING,
        hl7_code=207,
        place=Place("OBR", 1, 25),
        en="A later state was held: this version was kept and not shown, send C to say it anew.",
        fr="Un état plus avancé était connu : version gardée, non diffusée ; redites-la par C.",
        why="What was corrected or taken back must not come back by a message that was late.",
        source="HL7 v2.5.1 7.4.1.25 (OBR-25), table 0123",
        good="OBR-25 = C to say it anew",
        bad="OBR-25 = F after X",
    ),
    Rule(
        code="order_number_reused",
        level=Level.WARNING,
        hl7_code=205,
        place=Place("OBR", 1),
        en="The order number was used for another person on another day: give each its own.",
        fr="Ce numéro a servi pour une autre personne un autre jour : un numéro par demande.",
        why="A correction finds its report by its order number.",
        source="HL7 v2.5.1 4.5.1.3 (ORC-3), 7.4.1.3 (OBR-3)",
        good="OBR-3 = LAB-20260306-5567",
        bad="OBR-3 = 1 every morning",
    ),
    Rule(
        code="no_order_number",
        level=Level.WARNING,
        hl7_code=101,
        place=Place("OBR", 1),
        en="Neither filler nor placer order number: a correction cannot find this report.",
        fr="Ni numéro d'exécution ni de demande : une correction ne trouvera pas ce résultat.",
        why="A correction that finds nothing leaves the wrong result standing.",
        source="HL7 v2.5.1 7.4.1.3 (OBR-3)",
        good="OBR|1|ORD-889^LABX|LAB-5567^LABX|",
        bad="OBR|1|||94500-6^ARN SARS-CoV-2^LN",
    ),
)
