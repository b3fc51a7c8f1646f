"""Under which INS a record may enter a dossier. Pure: the record's keys, and what its person holds.

One rule for the stream and for whatever is emitted again later: the same person and the same record
always give the same dossier.
"""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from schemas.patient import Ins

from .identity import HeldIns, PersonKeys


def dossier_ins(keys: PersonKeys, held: Mapping[UUID, HeldIns]) -> Ins | None:
    """Return the INS under which a record may enter a dossier, or None.

    The record's own where its person holds it; or the person's one INS, where the laboratory had
    validated the identity and all strict traits were there. An INS that another one has replaced
    does not count.

    Args:
        keys: Of the record.
        held: Qualified INS by digest, of the person and of everybody merged into them.
    """
    if keys.ins is not None:
        return keys.ins.ins if keys.ins.digest in held else None
    lasting = [number.ins for number in held.values() if not number.is_former]
    if keys.is_validated and keys.is_strict and len(lasting) == 1:
        return lasting[0]
    return None
