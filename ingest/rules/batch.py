"""Rules of the batch door: files of messages, their envelopes, their names."""

from __future__ import annotations

from typing import Final

from schemas.finding import Level
from schemas.place import Place

from .rule import Rule

_PROTOCOL: Final = "HL7 v2.5.1 2.10.3 (batch protocol)"
_OUR: Final = "our own (docs/batches.md)"

RULES: Final = (
    Rule(
        code="batch_count_differs",
        level=Level.WARNING,
        place=Place("BTS", 1, 1),
        en="BTS-1 is not the number of messages in the batch: look for those that are missing.",
        fr="BTS-1 n'est pas le nombre de messages du lot : recherchez ceux qui manquent.",
        why="A message that was lost before it came here is in no account but the sender's.",
        source="HL7 v2.5.1 2.15.3.1 (BTS-1)",
        good="BHS|^~\\&| MSH|... MSH|... BTS|2",
        bad="BHS|^~\\&| MSH|... MSH|... BTS|3",
    ),
    Rule(
        code="batch_file_count_differs",
        level=Level.WARNING,
        place=Place("FTS", 1, 1),
        en="FTS-1 is not the number of batches in the file: look for those that are missing.",
        fr="FTS-1 n'est pas le nombre de lots du fichier : recherchez ceux qui manquent.",
        why="A batch that was lost before it came here is in no account but the sender's.",
        source="HL7 v2.5.1 2.15.7.1 (FTS-1)",
        good="FHS|^~\\&| BHS|... BTS|1 FTS|1",
        bad="FHS|^~\\&| BHS|... BTS|1 FTS|2",
    ),
    Rule(
        code="batch_header_missing",
        level=Level.WARNING,
        place=Place("BHS", 1),
        en="BTS or FTS without its BHS or FHS: begin what you end.",
        fr="BTS ou FTS sans son BHS ou FHS : ouvrez ce que vous fermez.",
        why="The beginning of the file may be missing, and messages with it.",
        source=_PROTOCOL,
        good="BHS|^~\\&| MSH|... BTS|1",
        bad="MSH|... BTS|1",
    ),
    Rule(
        code="batch_trailer_missing",
        level=Level.WARNING,
        place=Place("BTS", 1),
        en="BHS or FHS without its BTS or FTS: look whether the file was written to its end.",
        fr="BHS ou FHS sans son BTS ou FTS : vérifiez que le fichier est écrit jusqu'au bout.",
        why="The end of the file may be missing, and messages with it.",
        source=_PROTOCOL,
        good="BHS|^~\\&| MSH|... BTS|1",
        bad="BHS|^~\\&| MSH|...",
    ),
    Rule(
        code="batch_text_outside",
        level=Level.WARNING,
        en="Text stands outside of every message of the file: write messages and envelopes alone.",
        fr="Du texte se trouve hors de tout message du fichier : n'y écrivez que des messages.",
        why="It may be the rest of a message whose MSH was lost.",
        source=_PROTOCOL,
        good="BHS|^~\\&| MSH|... BTS|1",
        bad="Export of 6 March MSH|...",
    ),
    Rule(
        code="batch_message_skipped",
        level=Level.WARNING,
        en="A message of the file is too large, cut or empty: see its own answer, mend it.",
        fr="Un message du fichier est trop grand, coupé ou vide : corrigez-le et renvoyez-le.",
        why="It was not taken; the others of the file were.",
        source=_OUR,
        good="MSH|... of at most 8 MiB",
        bad="MSH|... OBX|1|ED|...^Base64^(9 MiB)",
    ),
    Rule(
        code="batch_cut_end",
        level=Level.WARNING,
        en="The file ends within its last message: write it whole and send the file again.",
        fr="Le fichier s'arrête dans son dernier message : écrivez-le en entier et renvoyez-le.",
        why="Nobody can say what is missing of that message, so it was not taken.",
        source=_OUR,
        good="BHS|^~\\&| MSH|... OBX|1|NM|... BTS|1",
        bad="BHS|^~\\&| MSH|... OBX|1|N",
    ),
    Rule(
        code="batch_empty",
        level=Level.WARNING,
        en="The file holds no message: look whether the export found what it was to send.",
        fr="Le fichier ne contient aucun message : vérifiez ce que l'export devait envoyer.",
        why="An empty file is often a day that was lost on the sender's side.",
        source=_OUR,
        good="BHS|^~\\&| MSH|... BTS|1",
        bad="BHS|^~\\&| BTS|0",
    ),
    Rule(
        code="batch_name_reused",
        level=Level.WARNING,
        en="Another file came under this name before: give each file a name of its own.",
        fr="Un autre fichier est déjà venu sous ce nom : donnez à chaque fichier un nom propre.",
        why="Two answers under one name: nobody can say which file an answer is about.",
        source=_OUR,
        good="results-20260306-0001.hl7, results-20260306-0002.hl7",
        bad="results.hl7, results.hl7",
    ),
    Rule(
        code="batch_sender_differs",
        level=Level.ERROR,
        hl7_code=200,
        place=Place("MSH", 1, 4),
        en="This message is another laboratory's: send it through that laboratory's own folder.",
        fr="Ce message est d'un autre laboratoire : envoyez-le par le dossier de celui-ci.",
        why="The folder proves who sends; a message cannot speak for somebody else.",
        source=_OUR,
        good="MSH|^~\\&|SGL|LABX| in the folder LABX",
        bad="MSH|^~\\&|SGL|LABY| in the folder LABX",
    ),
    Rule(
        code="batch_file_refused",
        level=Level.ERROR,
        hl7_code=200,
        en="The file was not read: a plain file of a plain name and the permitted size is taken.",
        fr="Le fichier n'a pas été lu : déposez un fichier ordinaire, de nom et taille admis.",
        why="Links and special files lead elsewhere; what has no bound takes everybody's room.",
        source=_OUR,
        good="results-20260306-0001.hl7 of at most 2 GiB",
        bad="a symbolic link; a file of 20 GiB",
    ),
)
