"""What a steward does: verdict, merge, unmerge, undo, opposition; and what is emitted again after.

Each is one transaction of the script, and each leaves a link event by whose number `undo` takes it
back. Nothing here decides: `dedup/review.py` says what a verdict leads to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from dedup.review import Action, PairVerdict, action_of, pair_of
from ops.asking import Asker
from ops.runtime.postgres import translated
from ops.sources import Sources
from schemas.errors import PermanentError

from . import queries
from .done import Done, done_of
from .emitting import reemit_due
from .merging import join, merge
from .opposing import allow, oppose, undo_opposition
from .script import Act, Script
from .unmerging import unmerge
from .verdicts import is_second, note, propose, put_back, undo_verdict


class Stewards:
    """The acts of stewards.

    Args:
        script: Runs each as one transaction.
        sources: Reads reports back.
        four_eyes: Whether `same` needs two stewards.
        most: The most reports that an unmerge decides again.
        most_due: The most persons whose reports are emitted again in one transaction of dispatch.
    """

    def __init__(
        self, script: Script, sources: Sources, *, four_eyes: bool, most: int, most_due: int
    ) -> None:
        self._script = script
        self.sources = sources
        self.store = script.store
        self.most_persons = script.most_persons
        self.pool = script.pool
        self.clock = script.clock
        self._four_eyes = four_eyes
        self._most = most
        self.most_due = most_due

    @property
    def script(self) -> Script:
        """The transaction that all acts are made in; others share it and its locks."""
        return self._script

    async def say(self, one: int, other: int, verdict: PairVerdict, asker: Asker) -> Done:
        """Say of two persons that they are the same, different, or to be looked at later.

        `same` merges them, `different` on merged ones undoes the merge that joined them. Otherwise
        the verdict is kept: the machine asks no more about this pair.

        Raises:
            PermanentError: No such persons, or what `merge` and `unmerge` refuse.
        """
        pair = pair_of(one, other)

        async def work(act: Act) -> Done:
            pointers = act.held.pointers
            joined = pointers.end_of(one) == pointers.end_of(other)
            match action_of(verdict, joined=joined):
                case Action.MERGE:
                    if self._four_eyes and not await is_second(act, pair):
                        return await propose(act, pair)
                    return await self._merge(act, one, other, "verdict")
                case Action.UNMERGE:
                    return await self._unmerge(act, one, other)
                case Action.NOTE:
                    return await note(act, pair, verdict)

        return await self._script.run(pair, asker, f"verdict_{verdict.value}", work)

    async def merge(self, one: int, other: int, asker: Asker) -> Done:
        """Merge two persons: as `same`, without a review item before it."""
        return await self.say(one, other, PairVerdict.SAME, asker)

    async def unmerge(self, one: int, other: int, asker: Asker) -> Done:
        """Undo the merge that joins two persons: as `different`.

        Raises:
            PermanentError: They are not one now (`not_merged`).
        """

        async def work(act: Act) -> Done:
            if act.held.pointers.end_of(one) != act.held.pointers.end_of(other):
                raise PermanentError("not_merged", "these two are two persons already")
            return await self._unmerge(act, one, other)

        return await self._script.run(pair_of(one, other), asker, "unmerge", work)

    async def undo(self, event: int, asker: Asker) -> Done:
        """Take back what a link event of a steward did: merge, unmerge, verdict, opposition.

        Raises:
            PermanentError: No such event, one of the machine, or one that stands no more.
        """
        held = await self._event(event)
        one, other = held["person_id"], held["other_person_id"]
        evidence = msgspec.json.decode(held["evidence"], type=dict[str, Any])
        persons = [one] if other is None else [one, other]
        persons += evidence.get("made", [])

        async def work(act: Act) -> Done:
            match held["kind"]:
                case "merge":
                    return await self._undo_merge(act, event, other, evidence)
                case "unmerge":
                    return await self._undo_unmerge(act, event, persons, evidence)
                case "verdict":
                    return await undo_verdict(act, event, (one, other), evidence)
                case "oppose" | "allow":
                    return await undo_opposition(
                        self._script, act, event, kind=held["kind"], person=one, evidence=evidence
                    )
                case _:
                    raise PermanentError(
                        "not_undoable",
                        "the machine decided that: say `different` of two persons, or replay the"
                        " message",
                    )

        return await self._script.run(persons, asker, "undo", work)

    async def oppose(self, person: int, asker: Asker) -> Done:
        """Keep a patient's opposition to the dossier: all is withdrawn there, and nothing new goes.

        The streams that the law asks for go on.
        """
        return await self._script.run(
            [person], asker, "oppose", lambda act: oppose(self._script, act, person)
        )

    async def allow(self, person: int, asker: Asker, *, alone: bool = False) -> Done:
        """End a patient's opposition: what is due in the dossier goes there again.

        Args:
            person: Who allows.
            asker: Who wants it, and why.
            alone: Not for those who were merged into this person.
        """
        return await self._script.run(
            [person], asker, "allow", lambda act: allow(self._script, act, person, alone=alone)
        )

    async def reemit(self, person: int, asker: Asker) -> Done:
        """Hold all reports of a person against the streams again, with today's rules."""

        async def work(act: Act) -> Done:
            end = act.held.pointers.end_of(person)
            done = await self._script.reemit(act, [end], reason="replayed")
            act.said = f"reports of {end} emitted again"
            return done_of("reemit", 0, (end,), done)

        return await self._script.run([person], asker, "reemit", work)

    async def reemit_due(self) -> int:
        """Go on with persons whose reports are still to be emitted again; see `reemit_due`."""
        return await reemit_due(self._script, self.most_due)

    # ------------------------------------------------------------------ parts

    async def _merge(self, act: Act, one: int, other: int, rule: str) -> Done:
        done = await merge(self._script, act, one, other, rule=rule, evidence={})
        return Done(
            act="merge",
            event=done.event,
            persons=(done.kept,),
            reports=done.reports,
            stream_events=done.events,
            unreadable=done.unreadable,
            remaining=done.remaining,
        )

    async def _unmerge(self, act: Act, one: int, other: int) -> Done:
        ways = act.held.pointers.between(one, other)
        if len(ways) != 1:
            raise PermanentError(
                "several_merges",
                f"{len(ways)} merges join these two: undo the one that was wrong by its number"
                " (`labdispatch review history PERSON`, `labdispatch identity undo EVENT`)",
            )
        pair = pair_of(one, other)
        before = await act.connection.fetchval(queries.HELD_VERDICT, *pair)
        await act.connection.execute(
            queries.WRITE_VERDICT, *pair, PairVerdict.DIFFERENT.value, act.actor, act.at
        )
        return await self._part(act, ways[0], {"pair": pair, "verdict_before": before or ""})

    async def _part(self, act: Act, gone: int, evidence: Mapping[str, object]) -> Done:
        done = await unmerge(
            self._script,
            self.sources,
            act,
            gone,
            rule="steward",
            evidence=evidence,
            most=self._most,
        )
        return Done(
            act="unmerge",
            event=done.event,
            persons=tuple(sorted((act.held.pointers.end_of(done.kept), done.gone, *done.made))),
            reports=done.reports,
            stream_events=done.events,
            unreadable=done.unreadable,
            remaining=done.remaining,
        )

    async def _undo_merge(
        self, act: Act, event: int, gone: int, evidence: Mapping[str, Any]
    ) -> Done:
        row = await act.connection.fetchrow(queries.MERGE_OF_EVENT, event)
        if row is None or row["undone_by"] is not None:
            raise PermanentError("not_standing", f"event {event} was undone already")
        pair = tuple(evidence["pair"])
        now = await act.connection.fetchval(queries.HELD_VERDICT, *pair)
        done = await self._part(
            act, gone, {"undoes": event, "pair": pair, "verdict_before": now or ""}
        )
        await put_back(act, pair, evidence)
        return done

    async def _undo_unmerge(
        self, act: Act, event: int, persons: list[int], evidence: Mapping[str, Any]
    ) -> Done:
        """Merge again whom an unmerge parted, and with them whom it had to make."""
        kept = persons[0]
        pair = tuple(evidence["pair"])
        now = await act.connection.fetchval(queries.HELD_VERDICT, *pair)
        await put_back(act, pair, evidence)
        number = 0
        for each in persons[1:]:
            if act.held.pointers.end_of(each) != act.held.pointers.end_of(kept):
                told = {"undoes": event, "pair": pair, "verdict_before": now or ""}
                number, _, _ = await join(act, kept, each, rule="undo", evidence=told)
        if not number:
            raise PermanentError("not_standing", f"event {event} was undone already")
        end = act.held.pointers.end_of(kept)
        done = await self._script.reemit(act, [end], reason="identity_changed")
        act.said = f"event {event} undone by {number}"
        return done_of("merge", number, (end,), done)

    async def _event(self, event: int) -> Any:
        with translated():
            async with self._script.pool.acquire() as connection:
                row = await connection.fetchrow(queries.EVENT, event)
        if row is None:
            raise PermanentError(
                "no_such_event", "`labdispatch review history PERSON` shows events and numbers"
            )
        return row
