"""A patient's opposition to the dossier: kept, ended, and either taken back.

It stands for the person who said it and for whom that person stands: a merge carries it over, an
unmerge gives it back (`standing_id`). Only the dossier is opposed: the law asks for the other
streams.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from schemas.errors import PermanentError

from . import queries
from .done import Done, done_of
from .script import Act, Script


async def oppose(script: Script, act: Act, person: int) -> Done:
    """Keep an opposition, and withdraw from the dossier what it holds of the person.

    Raises:
        PermanentError: It is kept already (`opposes_already`).
    """
    end = act.held.pointers.end_of(person)
    made = await act.connection.fetchval(queries.OPPOSE, person, end, act.at)
    if made is None:
        raise PermanentError("opposes_already", f"the opposition of person {person} is kept")
    return await _finished(script, act, "oppose", person, {"oppositions": [made]})


async def allow(script: Script, act: Act, person: int, *, alone: bool) -> Done:
    """End the oppositions of a person and of those merged into it; the dossier gets what is due.

    With `alone` its own only. Those of whom the person is merged into go on: that may be somebody
    else, whose word it was.

    Raises:
        PermanentError: There is none (`opposes_not`).
    """
    below = [person] if alone else sorted(act.held.pointers.below(person))
    ended = await act.connection.fetch(queries.ALLOW, below, act.at)
    if not ended:
        raise PermanentError("opposes_not", f"there is no opposition of person {person}")
    numbers = [row["opposition_id"] for row in ended]
    return await _finished(script, act, "allow", person, {"oppositions": numbers})


async def undo_opposition(
    script: Script, act: Act, event: int, *, kind: str, person: int, evidence: Mapping[str, Any]
) -> Done:
    """Take back an `oppose` or an `allow`: end what it began, begin again what it ended.

    Raises:
        PermanentError: It stands no more (`not_standing`).
    """
    numbers = list(evidence["oppositions"])
    told = {"oppositions": numbers, "undoes": event}
    if kind == "oppose":
        changed = await act.connection.fetch(queries.END_OPPOSITIONS, numbers, act.at)
    else:
        changed = await act.connection.fetch(queries.OPPOSITIONS, numbers)
    if not changed:
        raise PermanentError("not_standing", f"event {event} was undone already")
    if kind == "oppose":
        return await _finished(script, act, "allow", person, told)
    for row in changed:
        end = act.held.pointers.end_of(row["person_id"])
        await act.connection.execute(queries.REOPEN_OPPOSITION, row["opposition_id"], end)
    return await _finished(script, act, "oppose", person, told)


async def _finished(
    script: Script, act: Act, kind: str, person: int, evidence: Mapping[str, object]
) -> Done:
    end = act.held.pointers.end_of(person)
    event = await act.event(kind, person, None, "opposition", evidence)
    done = await script.reemit(act, [end], reason="opposition", remains_as="opposition")
    act.said = f"event {event}"
    return done_of(kind, event, (end,), done)
