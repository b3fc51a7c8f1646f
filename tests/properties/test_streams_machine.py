"""After every step the fold of each stream equals what a computation from scratch gives.

Laboratories send, correct, take back, resend and change the patient; INS come late; stewards merge,
unmerge and undo; patients oppose; replays, crashes, and acts at the very time at which dispatch
works. On the real scripts and a real PostgreSQL. What is still to be emitted again is worked off a
piece at a time: until then it is told apart, at the end nothing is left.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from dedup.keys import FIRST_KEY_VERSION
from ops.behind_the_door import dispatcher_of, verifier_of
from ops.dispatch import Dispatcher
from ops.holding.releasing import Releasing
from ops.rekeying import rekeying_of
from ops.ruling.loading import Order, put_into_effect
from ops.runtime import failpoints
from ops.runtime.embedded import EmbeddedPostgres
from ops.stewards.acts import Stewards
from ops.stewards.done import Done
from ops.stewards.opposition_commands import batch_of
from ops.stewards.opposition_file import Said
from routing.rule_file import own_source
from schemas.errors import PermanentError, TransientError
from schemas.finding import Finding, Level
from schemas.patient import Ins
from schemas.place import Place
from schemas.report import MappedMessage
from tests.support.fold import check_sense, told
from tests.support.hub import Road, scratch_hub
from tests.support.identity import STEWARD
from tests.support.letters import (
    ANSWERS,
    FORMS,
    INS,
    ORDERS,
    PEOPLE,
    SLIPS,
    STATUSES,
    TWISTS,
    Letter,
)
from tests.support.postgres import clone, drop


def _rules(version: str, stream: str) -> bytes:
    """Our own rules without those of a stream: of it nothing is due."""
    rules = msgspec.json.decode(own_source())
    rules["version"] = version or rules["version"]
    rules["rules"] = [each for each in rules["rules"] if each["stream"] != stream]
    return msgspec.json.encode(rules)


T = TypeVar("T")
RULES = {
    "own": own_source(),
    "no tracing": _rules("t-1", "contact-tracing"),
    "no public health": _rules("t-2", "public-health"),
}
Act = Callable[[Stewards], Coroutine[Any, Any, Done]]
LABORATORIES = 2
_DIES = (
    "dispatch.after_cases",
    "dispatch.before_outbox",
    "dispatch.before_commit",
    "stewards.after_pointer",
    "stewards.after_page",
    "stewards.before_commit",
)
UNMAPPABLE = Finding("obr_without_code", Level.ERROR, Place("OBR", 1, 4), 101, "Send OBR-4.")
PICKS = st.integers(0, 63)
PAIRS = st.tuples(PICKS, PICKS)
LETTERS = st.builds(
    Letter,
    st.integers(0, len(PEOPLE) - 1),
    st.sampled_from(FORMS),
    st.integers(0, len(SLIPS) - 1),
    st.integers(0, len(ORDERS) - 1),
    st.sampled_from(STATUSES),
    st.integers(0, len(ANSWERS) - 1),
    st.sampled_from([0, 0, 0, 1]),
    st.sampled_from(TWISTS),
)


class StreamsMachine(RuleBasedStateMachine):
    server: EmbeddedPostgres
    done: Counter[str]
    """What the examples have done together: acts, refusals, checks, reports compared."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.folder = Path(tempfile.mkdtemp(prefix="ld-streams-"))
        self.sent: list[tuple[int, Letter]] = []
        self.says: list[MappedMessage] = []
        self.offsets: list[tuple[int, int]] = []
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr("ops.prepare.map_again", self.mapped_again)
        self.events: list[int] = []

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    @initialize(few=st.booleans(), elder_keys=st.booleans())
    def open(self, *, few: bool, elder_keys: bool) -> None:
        self.database = self.do(clone(self.server))
        hub = self.do(self.stack.enter_async_context(scratch_hub(self.database, self.folder)))
        # Few: what a merge moves is more than a transaction takes, and a page is one report.
        narrow = {"steward_reports": 3, "steward_page": 1, "dispatch_batch_keys": 20}
        held = hub.settings.model_copy(update=narrow if few else {})
        self.road = Road(msgspec.structs.replace(hub, settings=held))
        self.stewards: Stewards = self.road.dispatcher.stewards
        self.dispatchers = [self.road.dispatcher]
        self.dispatchers += [dispatcher_of(self.road.hub) for _ in range(1, LABORATORIES)]
        self.verifier = verifier_of(self.road.hub, self.road.dispatcher)
        if elder_keys:
            self.do(
                self.road.rows("INSERT INTO person_key_state (live) VALUES ($1)", FIRST_KEY_VERSION)
            )

    # ---------------------------------------------------------------- laboratories

    @rule(letter=LETTERS, lab=st.integers(0, LABORATORIES - 1), waits=st.booleans())
    def a_result_comes(self, letter: Letter, lab: int, waits: bool) -> None:
        self.send(lab, letter)
        if not waits:
            self.do(self.dispatched())

    @rule(letters=st.lists(LETTERS, min_size=3, max_size=8))
    def many_results_come(self, letters: list[Letter]) -> None:
        for n, letter in enumerate(letters):
            self.send(n % LABORATORIES, letter)
        self.do(self.dispatched())

    @precondition(lambda self: self.sent)
    @rule(of=PICKS, status=st.sampled_from(STATUSES), answer=st.integers(0, 3))
    def a_result_is_corrected(self, of: int, status: str, answer: int) -> None:
        lab, letter = pick(self.sent, of)
        self.send(lab, msgspec.structs.replace(letter, status=status, answer=answer))
        self.do(self.dispatched())

    @precondition(lambda self: self.sent)
    @rule(of=PICKS, who=st.integers(0, len(PEOPLE) - 1), form=st.sampled_from(FORMS))
    def a_result_is_somebody_else_s(self, of: int, who: int, form: str) -> None:
        lab, letter = pick(self.sent, of)
        self.send(lab, msgspec.structs.replace(letter, who=who, form=form, slip=0, status="C"))
        self.do(self.dispatched())

    @precondition(lambda self: self.sent)
    @rule(of=PICKS)
    def an_old_letter_comes_again(self, of: int) -> None:
        self.send(*pick(self.sent, of))
        self.do(self.dispatched())

    @precondition(lambda self: self.sent)
    @rule(of=PICKS)
    def the_same_bytes_come_again(self, of: int) -> None:
        number = of % len(self.says)
        lab, letter = self.sent[number]
        raw = b"%d" % number
        self.do(self.road.put(letter.message(), partition=lab, raws=[raw]))
        self.do(self.dispatched())

    @precondition(lambda self: self.sent)
    @rule(of=PICKS, order=st.integers(0, len(ORDERS) - 1))
    def an_ins_comes_late(self, of: int, order: int) -> None:
        lab, letter = pick(self.sent, of)
        self.send(lab, msgspec.structs.replace(letter, form="ins", order=order))
        self.do(self.dispatched())

    @precondition(lambda self: self.offsets)
    @rule(of=PICKS, waits=st.booleans())
    def a_message_is_replayed(self, of: int, waits: bool) -> None:
        partition, offset = pick(self.offsets, of)
        self.do(self.road.put_replay(offset, partition=partition))
        if not waits:
            self.do(self.dispatched())

    @rule(letter=LETTERS, is_mended=st.booleans())
    def a_message_comes_that_cannot_be_mapped(self, letter: Letter, is_mended: bool) -> None:
        self.send(0, letter, content=UNMAPPABLE)
        if is_mended:
            self.do(self.road.put_replay(self.offsets[-1][1]))
        self.do(self.dispatched())

    # ---------------------------------------------------------------- stewards and patients

    @precondition(lambda self: self.offsets)
    @rule(pair=PAIRS)
    def a_steward_merges(self, pair: tuple[int, int]) -> None:
        one, other = self.two(pair)
        self.act(lambda stewards: stewards.merge(one, other, STEWARD))

    @precondition(lambda self: self.offsets)
    @rule(of=PICKS)
    def a_steward_undoes(self, of: int) -> None:
        number = pick(self.events or [0], of)
        self.act(lambda stewards: stewards.undo(number, STEWARD))

    @precondition(lambda self: self.offsets)
    @rule(pair=PAIRS)
    def a_steward_unmerges(self, pair: tuple[int, int]) -> None:
        one, other = self.two(pair)
        self.act(lambda stewards: stewards.unmerge(one, other, STEWARD))

    @precondition(lambda self: self.offsets)
    @rule(of=PICKS, opposes=st.booleans())
    def a_patient_opposes_or_not(self, of: int, opposes: bool) -> None:
        person = pick(self.persons(), of)
        name = "oppose" if opposes else "allow"
        self.act(lambda stewards: getattr(stewards, name)(person, STEWARD))

    @rule(who=st.integers(0, len(INS) - 1), opposes=st.booleans(), letters=st.lists(LETTERS))
    def a_batch_opposes_while_results_come(
        self, who: int, opposes: bool, letters: list[Letter]
    ) -> None:
        """By an INS: perhaps nobody is known by it yet, and somebody comes at that very time."""
        for n, letter in enumerate(letters[:3]):
            self.send(n % LABORATORIES, letter)
        self.do(self.beside(self.asked(INS[who], opposes=opposes), self.dispatched()))

    async def asked(self, ins: Ins, *, opposes: bool) -> None:
        batch = batch_of(self.road.hub, self.stewards)
        line = Said(line=1, opposes=opposes, ins=(ins,))
        async for answered in batch.run([line], STEWARD):
            self.done[answered.result] += 1

    @precondition(lambda self: self.offsets)
    @rule(pair=PAIRS, letters=st.lists(LETTERS, min_size=1, max_size=4))
    def a_steward_merges_while_results_come(
        self, pair: tuple[int, int], letters: list[Letter]
    ) -> None:
        one, other = self.two(pair)
        for n, letter in enumerate(letters):
            self.send(n % LABORATORIES, letter)
        self.act(lambda stewards: stewards.merge(one, other, STEWARD), beside=self.dispatched())

    @precondition(lambda self: self.offsets)
    @rule(of=PICKS, letters=st.lists(LETTERS, min_size=1, max_size=4))
    def a_steward_undoes_while_results_come(self, of: int, letters: list[Letter]) -> None:
        number = pick(self.events or [0], of)
        for n, letter in enumerate(letters):
            self.send(n % LABORATORIES, letter)
        self.act(lambda stewards: stewards.undo(number, STEWARD), beside=self.dispatched())

    @precondition(lambda self: self.offsets)
    @rule(of=PICKS)
    def a_person_lets_a_doubt_go(self, of: int) -> None:
        held = self.do(self.road.rows("SELECT report_id, stream FROM hold ORDER BY 1, 2"))
        if held:
            row = pick(held, of)
            self.do(self.released(row["report_id"], row["stream"]))

    async def released(self, report_id: UUID, stream: str) -> None:
        releasing = Releasing(self.stewards.script)
        try:
            await releasing.release(report_id, stream, STEWARD)
            self.done["release"] += 1
        except PermanentError as refused:
            self.done[refused.reason] += 1

    # ---------------------------------------------------------------- the machine room

    @rule(name=st.sampled_from(sorted(RULES)))
    def other_rules_take_effect(self, name: str) -> None:
        self.do(self.ruled(RULES[name]))

    async def ruled(self, source: bytes) -> None:
        now = self.road.hub.clock.now()
        order = Order(actor="tester", why="test", now=now)
        async with self.road.hub.pool.acquire() as connection, connection.transaction():
            await put_into_effect(connection, source, order, now)
        self.done["rules"] += 1

    @rule()
    def what_is_due_is_worked_off_a_piece(self) -> None:
        self.do(self.stewards.reemit_due())

    @precondition(lambda self: self.offsets)
    @rule(pair=PAIRS, place=st.sampled_from(_DIES), letter=LETTERS)
    def all_dies_and_goes_on(self, pair: tuple[int, int], place: str, letter: Letter) -> None:
        one, other = self.two(pair)
        self.send(0, letter)
        failpoints.arm(f"{place}=transient")
        try:
            self.do(self.tried())
            self.do(self.stewards.merge(one, other, STEWARD))
        except (PermanentError, TransientError):
            pass
        finally:
            failpoints.arm("")
        self.do(self.dispatched())

    @precondition(lambda self: self.offsets)
    @rule(letters=st.lists(LETTERS, max_size=3))
    def keys_are_made_anew_while_results_come(self, letters: list[Letter]) -> None:
        for letter in letters:
            self.send(1, letter)
        self.do(self.beside(rekeying_of(self.road.hub, lambda *_: None).run(), self.dispatched()))

    # ---------------------------------------------------------------- what always holds

    @invariant()
    def the_fold_equals_a_computation_from_scratch(self) -> None:
        if hasattr(self, "verifier"):
            self.do(self.check())

    async def check(self) -> None:
        found = await self.verifier.verify()
        assert found.agrees, told(found)
        self.done["checks"] += 1
        self.done["reports"] += found.reports

    def teardown(self) -> None:
        try:
            if hasattr(self, "verifier"):
                self.do(self.settled())
        finally:
            failpoints.arm("")
            self.patch.undo()
            self.do(self.stack.aclose())
            if hasattr(self, "database"):
                self.do(drop(self.server, self.database.name))
            self.runner.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    async def settled(self) -> None:
        await self.dispatched()
        while await self.stewards.reemit_due():
            pass
        found = await self.verifier.verify()
        assert found.agrees, told(found)
        assert not found.pending
        await self.ruled(RULES["own"])
        ends = await self.road.rows("SELECT person_id FROM person WHERE merged_into IS NULL")
        for row in ends:
            await self.stewards.reemit(row["person_id"], STEWARD)
        while await self.stewards.reemit_due():
            pass
        found = await self.verifier.verify()
        assert found.agrees, told(found)
        assert not found.older_rules, "all of it was looked at by the rules of now"
        await check_sense(self.road)
        assert found.reports == (await self.road.rows("SELECT count(*) AS n FROM report"))[0]["n"]
        assert (await self.road.account()).closes

    # ---------------------------------------------------------------- moves

    def send(self, lab: int, letter: Letter, content: Finding | None = None) -> None:
        raw = b"%d" % len(self.says)
        self.sent.append((lab, letter))
        self.says.append(letter.message())
        (offset,) = self.do(self.road.put(content or letter.message(), partition=lab, raws=[raw]))
        self.offsets.append((lab, offset))

    def mapped_again(self, raw: bytes, _profile: object) -> MappedMessage:
        """What today's mapping makes of a message: messages are numbers here."""
        return self.says[int(raw)]

    async def dispatched(self) -> None:
        """Handle all there is, each laboratory by a worker of its own, at one time."""
        async with asyncio.TaskGroup() as workers:
            for partition, dispatcher in enumerate(self.dispatchers):
                workers.create_task(self.worked(partition, dispatcher))

    async def worked(self, partition: int, dispatcher: Dispatcher) -> None:
        """Handle all of a partition; where the world is at fault try again, as the worker does."""
        for _ in range(60):
            positions = {partition: (await self.road.positions())[partition]}
            batch = await self.road.hub.log.read(positions, 3)
            if not batch.records:
                return
            with suppress(TransientError):
                await dispatcher.handle(positions, batch.records, batch.next_offsets)
        raise AssertionError("the world is at fault for ever")

    async def tried(self) -> bool:
        try:
            await self.road.dispatch(limit=3)
        except TransientError:
            return False
        return True

    def act(self, act: Act, beside: Coroutine[Any, Any, None] | None = None) -> None:
        done = self.do(self.beside(self.attempted(act), beside))
        if done is not None:
            self.done[done.act] += 1
            self.events.append(done.event)

    async def attempted(self, act: Act) -> Done | None:
        """Refused with a remedy, or done."""
        try:
            return await act(self.stewards)
        except PermanentError as refused:
            self.done[refused.reason] += 1
            return None

    async def beside(
        self, work: Coroutine[Any, Any, T], other: Coroutine[Any, Any, None] | None
    ) -> T:
        if other is None:
            return await work
        async with asyncio.TaskGroup() as both:
            done = both.create_task(work)
            both.create_task(other)
        return done.result()

    def persons(self) -> list[int]:
        rows = self.do(self.road.rows("SELECT person_id FROM person ORDER BY person_id"))
        return [int(row["person_id"]) for row in rows] or [1]

    def two(self, pair: tuple[int, int]) -> tuple[int, int]:
        """Two persons; two that may not be there where there is one alone."""
        persons = self.persons()
        one = pick(persons, pair[0])
        return one, pick([each for each in persons if each != one] or [one + 1], pair[1])


def pick(things: Sequence[T], of: int) -> T:
    """One of them, by a number that is drawn whatever there is.

    What works at one time ends differently from run to run: nothing may be drawn from that.
    """
    return things[of % len(things)]


def run_machine(server: EmbeddedPostgres, *, examples: int, steps: int) -> Counter[str]:
    done: Counter[str] = Counter()
    machine = type("Machine", (StreamsMachine,), {"server": server, "done": done})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    return done


@pytest.mark.timeout(600)
def test_streams(postgres_server: EmbeddedPostgres, postgres_template: str) -> None:
    done = run_machine(postgres_server, examples=6, steps=25)
    assert done["checks"] > 6
    assert done["reports"]


@pytest.mark.proof
@pytest.mark.timeout(7_200)
def test_streams_at_length(postgres_server: EmbeddedPostgres, postgres_template: str) -> None:
    run_machine(postgres_server, examples=100, steps=50)
