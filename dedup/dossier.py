"""Under which INS a record may enter a dossier. Pure: the record's keys, and what its person holds.

One rule for the stream and for whatever is emitted again later: the same person and the same record
always give the same dossier.
"""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from schemas.patient import Ins

from .keys import PersonKeys


def dossier_ins(keys: PersonKeys, held: Mapping[UUID, Ins]) -> Ins | None:
    """Return the INS under which a record may enter a dossier, or None.

    The record's own where its person holds it; or the person's one INS where the laboratory had
    validated the identity and all strict traits were there.

    Args:
        keys: Of the record.
        held: Qualified INS by digest, of the person and of everybody merged into them.
    """
    if keys.ins is not None:
        return keys.ins.ins if keys.ins.digest in held else None
    if keys.is_validated and keys.is_strict and len(held) == 1:
        return next(iter(held.values()))
    return None
