"""Rules of the door: who may send, and what cannot be taken now."""

from __future__ import annotations

from typing import Final

from schemas.finding import Level
from schemas.place import Place

from .rule import Rule

_SENDER: Final = Place("MSH", 1, 4)
_OWN: Final = "our own (docs/guarantees: what is acknowledged is durable)"


def _not_now(code: str, en: str, fr: str, why: str) -> Rule:
    """Return a rule of the world and not of the message."""
    return Rule(
        code=code,
        level=Level.ERROR,
        hl7_code=207,
        en=f"Nothing can be taken now: {en}.",
        fr=f"Rien ne peut être reçu pour l'instant : {fr}.",
        why=why,
        source=_OWN,
        good="MSA|AA|C1",
        bad="MSA|AR|C1",
        may_be_resent=True,
    )


RULES: Final = (
    Rule(
        code="unknown_sender",
        level=Level.ERROR,
        hl7_code=200,
        place=_SENDER,
        en="This sending facility is not registered here: ask the hub's operators.",
        fr="Cet émetteur n'est pas enregistré ici : adressez-vous aux exploitants.",
        why="A result whose laboratory nobody knows cannot be answered for.",
        source="our own; HL7 v2.5.1 2.15.9.4 (MSH-4)",
        good="MSH|^~\\&|SGL|300017985|",
        bad="MSH|^~\\&|SGL|MY LAB|",
    ),
    Rule(
        code="suspended_sender",
        level=Level.ERROR,
        hl7_code=200,
        place=_SENDER,
        en="This sending facility is suspended: ask the hub's operators.",
        fr="Cet émetteur est suspendu : adressez-vous aux exploitants.",
        why="The operators stopped this laboratory, as after messages for wrong persons.",
        source="our own (docs/runbooks)",
        good="labs state LAB live",
        bad="labs state LAB suspended",
    ),
    Rule(
        code="facility_not_yours",
        level=Level.ERROR,
        hl7_code=200,
        place=_SENDER,
        en="Your certificate or token does not cover this sending facility: send as your own,"
        " or ask the operators to add it.",
        fr="Votre certificat ou jeton ne couvre pas cet émetteur : envoyez sous le vôtre,"
        " ou demandez son ajout aux exploitants.",
        why="Who has proved to be one laboratory must not be able to send results as another.",
        source="our own (docs/tls.md)",
        good="MSH-4 300017985 over the certificate of 300017985",
        bad="MSH-4 300099999 over the certificate of 300017985",
    ),
    Rule(
        code="control_id_reused",
        level=Level.WARNING,
        place=Place("MSH", 1, 10),
        en="This control id came before with other bytes: give each message its own.",
        fr="Cet identifiant a déjà servi avec un autre contenu : donnez-en un à chaque message.",
        why="The message was handled as a new one; a search by its control id finds several.",
        source="HL7 v2.5.1 2.15.9.10 (MSH-10)",
        good="MSH-10 C1, then C2",
        bad="MSH-10 C1, then C1 with another result",
    ),
    Rule(
        code="unexpected",
        level=Level.WARNING,
        hl7_code=207,
        en="The message is safe but could not be read as a report; the operators will look at it.",
        fr="Le message est conservé mais n'a pu être lu ; les exploitants vont l'examiner.",
        why="A fault of the hub is never the laboratory's: what is safe is acknowledged.",
        source=_OWN,
        good="MSA|AA|C1",
        bad="MSA|AA|C1 with ERR-5 unexpected",
    ),
    _not_now(
        "not_now",
        "keep the message and wait a few minutes",
        "gardez le message et patientez quelques minutes",
        "What cannot be made durable is not acknowledged.",
    ),
    _not_now(
        "disk_low",
        "the hub's disk is nearly full, its operators are told",
        "le disque est presque plein, les exploitants sont prévenus",
        "A door that fills the disk would stop in the middle of a message.",
    ),
    _not_now(
        "backpressure",
        "too many messages wait, send more slowly",
        "trop de messages attendent, envoyez plus lentement",
        "The log takes what it can; what waits is bounded.",
    ),
    _not_now(
        "rate_limited",
        "you send faster than agreed, wait a second and go on more slowly",
        "vous envoyez plus vite que convenu, patientez une seconde puis ralentissez",
        "A laboratory that floods the hub must not delay another's results.",
    ),
    _not_now(
        "quota_reached",
        "your quota of today (UTC) is used up, go on tomorrow or ask the operators",
        "quota du jour (UTC) atteint, reprenez demain ou voyez les exploitants",
        "The quota was agreed with the laboratory; more than it is a fault in most cases.",
    ),
    _not_now(
        "connection_limit_reached",
        "you have all the connections you may, close those that you do not use",
        "toutes vos connexions permises sont ouvertes, fermez celles qui ne servent pas",
        "Connections that nobody closes would leave none for the other laboratories.",
    ),
    _not_now(
        "first_sight_full",
        "this hub registers no more laboratories by itself, ask its operators to add yours",
        "aucune inscription d'office, voyez les exploitants",
        "Whoever makes names up would fill the register of laboratories without an end.",
    ),
    _not_now(
        "stopping",
        "the hub restarts, connect again in a minute",
        "le service redémarre, reconnectez-vous dans une minute",
        "A door that stops takes nothing that it could not answer.",
    ),
    _not_now(
        "log_away",
        "the log that keeps messages does not answer, its operators are told",
        "le journal ne répond pas, les exploitants sont prévenus",
        "What cannot be made durable is not acknowledged.",
    ),
    _not_now(
        "log_bounded",
        "the log could forget what nobody has read, its operators are told",
        "le journal pourrait oublier du non lu, les exploitants sont prévenus",
        "A log that forgets by size keeps no message for a time that anybody knows.",
    ),
    _not_now(
        "backlog_old",
        "the hub is far behind with what it has, its operators are told",
        "le traitement a pris trop de retard, les exploitants sont prévenus",
        "The log keeps a message for a limited time: none may be dropped before it is handled.",
    ),
    _not_now(
        "database_away",
        "the storage is not there, its operators are told",
        "le stockage est absent, les exploitants sont prévenus",
        "What cannot be made durable is not acknowledged.",
    ),
)
