"""Under which INS a record may enter a dossier. Pure: the record's keys, and what its person holds.

One rule for the stream and for whatever is emitted again later: the same person and the same record
always give the same dossier.
"""

from __future__ import annotations

from schemas.patient import Ins

from .identity import Candidate, Identity, PersonKeys


def dossier_ins(keys: PersonKeys, person: Candidate) -> Ins | None:
    """Return the INS under which a record may enter a dossier, or None.

    The record's own, where it is the person's; or the person's one INS that no other has replaced,
    where the laboratory had validated the identity and all strict traits agree with what is known
    of the person.

    Args:
        keys: Of the record.
        person: As known, with everybody merged into them.
    """
    if keys.ins is not None:
        return keys.ins.ins if keys.ins.digest in person.ins else None
    if not (keys.is_validated and keys.is_strict):
        return None
    current = [held.ins for held in person.ins.values() if not held.is_former]
    if len(current) != 1 or not _agrees_strictly(keys, person):
        return None
    return current[0]


def _agrees_strictly(keys: PersonKeys, person: Candidate) -> bool:
    if keys.alias_digest in person.aliases:
        return True
    mine = _strict(keys.identity)
    return any(alias is not None and _strict(alias) == mine for alias in person.aliases.values())


def _strict(identity: Identity) -> tuple[str, ...]:
    return (
        identity.family,
        identity.given,
        identity.birth_date,
        identity.sex,
        identity.birth_place,
    )
