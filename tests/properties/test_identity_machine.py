"""Results, merges, unmerges, verdicts, oppositions and INS that come late, in any order.

Runs the real dispatcher and the real acts of stewards on a real PostgreSQL, with crashes between.
Whatever happens: no person is lost, no report is anybody's without a link event that says so, the
streams hold what the database says, and a merge that is undone leaves the state before.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from dedup.review import PairVerdict
from ops.runtime import failpoints
from ops.runtime.embedded import EmbeddedPostgres
from ops.stewards.acts import Stewards
from schemas.errors import PermanentError, TransientError
from schemas.patient import Traits
from schemas.report import ResultStatus
from tests.support.fold import verified
from tests.support.hub import Road, scratch_hub
from tests.support.identity import STEWARD, identity_state
from tests.support.people import DOMINIQUE_INS, OTHER_INS, dominique, message, report
from tests.support.postgres import clone, drop

T = TypeVar("T")
CRASHES = (
    "stewards.after_locks",
    "stewards.after_pointer",
    "stewards.before_outbox",
    "stewards.before_commit",
)
ALPHA = {"birth_family": "ALPHAND", "birth_given": "AGATHE", "birth_givens": ("AGATHE",)}
BRAVO = {"birth_family": "BRAVARD", "birth_given": "BASILE", "birth_givens": ("BASILE",),
         "birth_date": "1962-07-19", "sex": "M", "birth_place": "13055", "phones": ()}  # fmt: skip
CARLO = {**BRAVO, "birth_given": "CYPRIEN", "birth_givens": ("CYPRIEN",)}
DELTA = {**ALPHA, "birth_date": "1979-03-29", "birth_place": "69381"}
PEOPLE: tuple[dict[str, Any], ...] = (ALPHA, BRAVO, CARLO, DELTA)
FORMS: tuple[dict[str, Any], ...] = (
    {"ins": ()},
    {"ins": (DOMINIQUE_INS,)},
    {"ins": (OTHER_INS,)},
    {"ins": (), "identity_status": "PROV"},
    {"ins": (), "identity_status": "DOUT"},
)
SLIPS: tuple[dict[str, Any], ...] = ({}, {"birth_place": ""}, {"birth_family": "ALPHANT"})


def traits_of(who: int, form: int, slip: int) -> Traits:
    return dominique(**{**PEOPLE[who], **SLIPS[slip], **FORMS[form]})


class IdentityMachine(RuleBasedStateMachine):
    server: EmbeddedPostgres

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.folder = Path(tempfile.mkdtemp(prefix="ld-identity-"))
        self.events: list[int] = []
        self.persons: set[int] = set()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    @initialize()
    def open(self) -> None:
        self.database = self.do(clone(self.server))
        hub = self.do(self.stack.enter_async_context(scratch_hub(self.database, self.folder)))
        self.road = Road(hub)
        self.stewards: Stewards = self.road.dispatcher.stewards

    # ---------------------------------------------------------------- laboratories

    @rule(
        who=st.tuples(
            st.integers(0, len(PEOPLE) - 1),
            st.integers(0, len(FORMS) - 1),
            st.integers(0, len(SLIPS) - 1),
        ),
        order=st.integers(0, 3),
        status=st.sampled_from([ResultStatus.FINAL, ResultStatus.CORRECTED]),
        partition=st.integers(0, 1),
        waits=st.booleans(),
    )
    def a_result_comes(
        self,
        *,
        who: tuple[int, int, int],
        order: int,
        status: ResultStatus,
        partition: int,
        waits: bool,
    ) -> None:
        content = message(traits_of(*who), report(filler_order_number=f"F-{order}", status=status))
        self.do(self.road.put(content, partition=partition))
        if not waits:
            self.do(self.road.dispatch(limit=3))
            self.look()

    # ---------------------------------------------------------------- stewards

    @precondition(lambda self: len(self.persons) > 1)
    @rule(data=st.data(), verdict=st.sampled_from(list(PairVerdict)))
    def a_steward_says(self, data: st.DataObject, verdict: PairVerdict) -> None:
        self.act(lambda pair: self.stewards.say(pair[0], pair[1], verdict, STEWARD), data)

    @precondition(lambda self: len(self.persons) > 1)
    @rule(data=st.data())
    def a_steward_merges(self, data: st.DataObject) -> None:
        self.act(lambda pair: self.stewards.merge(pair[0], pair[1], STEWARD), data)

    @precondition(lambda self: len(self.persons) > 1)
    @rule(data=st.data())
    def a_steward_merges_and_takes_it_back(self, data: st.DataObject) -> None:
        pair = self.pair(data)
        self.do(self.road.dispatch())
        self.look()
        self.do(drained(self.stewards))
        before = self.do(identity_state(self.road))
        try:
            done = self.do(self.stewards.merge(*pair, STEWARD))
            self.do(self.stewards.undo(done.event, STEWARD))
        except PermanentError:
            pass
        assert self.do(identity_state(self.road)) == before

    @precondition(lambda self: self.events)
    @rule(data=st.data())
    def a_steward_undoes(self, data: st.DataObject) -> None:
        event = data.draw(st.sampled_from(self.events))
        self.keep(self.attempt(self.stewards.undo(event, STEWARD)))

    @precondition(lambda self: self.persons)
    @rule(data=st.data(), opposes=st.booleans())
    def a_patient_opposes_or_not(self, data: st.DataObject, opposes: bool) -> None:
        person = data.draw(st.sampled_from(sorted(self.persons)))
        act = self.stewards.oppose if opposes else self.stewards.allow
        self.keep(self.attempt(act(person, STEWARD)))

    @precondition(lambda self: len(self.persons) > 1)
    @rule(data=st.data(), place=st.sampled_from(CRASHES))
    def an_act_dies_before_its_commit(self, data: st.DataObject, place: str) -> None:
        pair = self.pair(data)
        before = self.do(identity_state(self.road))
        failpoints.arm(f"{place}=transient")
        try:
            self.do(self.stewards.merge(*pair, STEWARD))
        except (PermanentError, TransientError):
            assert self.do(identity_state(self.road)) == before
        finally:
            failpoints.arm("")

    # ---------------------------------------------------------------- what always holds

    def act(self, work: Any, data: st.DataObject) -> None:
        self.keep(self.attempt(work(self.pair(data))))

    def pair(self, data: st.DataObject) -> tuple[int, int]:
        one = data.draw(st.sampled_from(sorted(self.persons)))
        other = data.draw(st.sampled_from(sorted(self.persons - {one})))
        return one, other

    def attempt(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Refused with a remedy, or done."""
        try:
            return self.do(work)
        except PermanentError as refused:
            return self.said(refused)

    def said(self, refused: PermanentError) -> None:
        assert refused.remedy

    def keep(self, done: Any) -> None:
        if done is not None and done.event:
            self.events.append(done.event)
        self.look()

    def look(self) -> None:
        self.do(self._look())

    async def _look(self) -> None:
        rows = await self.road.rows("SELECT person_id, merged_into FROM person")
        found = {row["person_id"] for row in rows}
        assert self.persons <= found, "a person is lost"
        self.persons = found
        ends = {row["person_id"] for row in rows if row["merged_into"] is None}
        merged = {row["person_id"] for row in rows if row["merged_into"] is not None}
        standing = await self.road.rows("SELECT gone_id FROM person_merge WHERE undone_by IS NULL")
        assert {row["gone_id"] for row in standing} == merged, "a pointer without an event"
        into = {row["person_id"]: row["merged_into"] for row in rows}
        told = await self.road.rows(
            """SELECT r.person_id, e.person_id AS told FROM report r
               LEFT JOIN LATERAL (
                   SELECT e.person_id FROM link_event e
                   WHERE e.partition = r.partition AND e."offset" = r."offset"
                   ORDER BY e.link_event_id DESC LIMIT 1) AS e ON true"""
        )
        for row in told:
            assert row["person_id"] in ends, "a report of somebody who is merged"
            assert row["told"] is not None, "a report of somebody without an event"
            assert end_of(into, row["told"]) == row["person_id"], "an event that says otherwise"

    def teardown(self) -> None:
        try:
            if hasattr(self, "road"):
                self.do(self._settled())
        finally:
            failpoints.arm("")
            self.do(self.stack.aclose())
            if hasattr(self, "database"):
                self.do(drop(self.server, self.database.name))
            self.runner.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    async def _settled(self) -> None:
        """In the end the streams hold what the database says, and the account closes."""
        await self.road.dispatch()
        await self._look()
        await drained(self.stewards)
        assert (await self.road.account()).closes
        await verified(self.road)
        for person in sorted(self.persons):
            done = await self.stewards.reemit(person, STEWARD)
            assert done.stream_events == 0, "a stream held something else"


def end_of(into: dict[int, int | None], person: int) -> int:
    while (after := into[person]) is not None:
        person = after
    return person


async def drained(stewards: Stewards) -> None:
    while await stewards.reemit_due():
        pass


def run_machine(server: EmbeddedPostgres, *, examples: int, steps: int) -> None:
    machine = type("Machine", (IdentityMachine,), {"server": server})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.timeout(600)
def test_identity(postgres_server: EmbeddedPostgres, postgres_template: str) -> None:
    run_machine(postgres_server, examples=10, steps=20)


@pytest.mark.proof
@pytest.mark.timeout(7_200)
def test_identity_at_length(postgres_server: EmbeddedPostgres, postgres_template: str) -> None:
    run_machine(postgres_server, examples=400, steps=50)
