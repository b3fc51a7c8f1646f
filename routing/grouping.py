"""Which observations of a report belong to another one, by their sub-ids (OBX-4). Pure.

Senders number what belongs together: an isolate and its antibiogram share a sub-id, or the parts
of `1` are `1.1`, `1.2`. Source: HL7 v2.5.1 chapter 7, OBX-4.
"""

from __future__ import annotations

from collections.abc import Sequence

from schemas.report import Observation


def members_of(observations: Sequence[Observation]) -> dict[int, list[int]]:
    """Return for each observation that has some the indexes of its members, in their order.

    The head of a sub-id is its first observation, where that has a coded value (an isolate, a
    finding): the others with another code are its members. `1.2` is a member of the head of `1`.
    An observation is never its own member, nor a head a member of what comes after it.
    """
    if not any(each.sub_id for each in observations):
        return {}
    heads: dict[str, int] = {}
    members: dict[int, list[int]] = {}
    for index, each in enumerate(observations):
        if not each.sub_id:
            continue
        head = heads.get(each.sub_id)
        if head is None:
            heads[each.sub_id] = index
            head = heads.get(each.sub_id.rpartition(".")[0])
            is_member = head is not None
        else:
            first = observations[head]
            is_member = first.coded is not None and first.code != each.code
            if not is_member:
                head = heads.get(each.sub_id.rpartition(".")[0])
                is_member = head is not None
        if is_member and head is not None:
            members.setdefault(head, []).append(index)
    return members
