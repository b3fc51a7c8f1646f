"""Under which INS a record may enter a dossier. Pure: the record's keys, and what its person holds.

One rule for the stream and for whatever is emitted again later: the same person and the same record
always give the same dossier.
"""

from __future__ import annotations

from uuid import UUID

from schemas.patient import Ins

from .identity import Candidate, PersonKeys


def dossier_ins(keys: PersonKeys, person: Candidate) -> Ins | None:
    """Return the INS under which a record may enter a dossier, or None.

    The record's own, where it is the person's; or the person's one INS that no other has replaced,
    where the laboratory had validated the identity with all five strict traits, and these are those
    that came with that INS, or a steward has said that who bears them is who bears the INS. What
    the machine linked by likeness alone enters nobody's dossier.

    Args:
        keys: Of the record.
        person: As known, with everybody merged into them.
    """
    if keys.ins is not None:
        return keys.ins.ins if keys.ins.digest in person.ins else None
    current = [(digest, held) for digest, held in person.ins.items() if not held.is_former]
    if not (keys.is_validated and keys.is_strict and len(current) == 1):
        return None
    digest, held = current[0]
    if not held.ins.matricule:
        return None
    if held.strict_digest == keys.strict_digest or _were_merged(person, digest, keys.alias_digest):
        return held.ins
    return None


def _were_merged(person: Candidate, ins: UUID, traits: UUID) -> bool:
    """Say whether traits and INS were two persons' until a steward said that these are one."""
    one, other = person.homes.get(ins), person.homes.get(traits)
    if one is None or other is None or one == other:
        return False
    return _was_there(person, ins, one, other) and _was_there(person, traits, other, one)


def _was_there(person: Candidate, digest: UUID, owner: int, merged: int) -> bool:
    """Say whether a digest was its owner's before somebody was merged into the owner.

    What came afterwards came to both as one person: no steward has said anything of it. Whoever
    was merged learns nothing more, so all rows of theirs were there.
    """
    while (merge := person.merges.get(merged)) is not None:
        if merge.kept == owner:
            return digest in merge.known
        merged = merge.kept
    return True
