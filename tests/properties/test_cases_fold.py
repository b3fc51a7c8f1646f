"""Any order of arrival of lines, corrections and resends: the same cases, the same streams.

On the real tables, through the Dispatcher. Every example is about two persons of whom the same is
told in two orders; what a consumer holds of them at the end must be the same.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Any

import msgspec
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from schemas.patient import Traits
from schemas.report import Coded, LabReport, ResultStatus, Specimen
from schemas.topics import Stream
from tests.support.hub import PARTITIONS, Road, scratch_hub
from tests.support.people import dominique, message, observation, report
from tests.support.postgres import Database

DETECTED = Coded(code="260373001", text="Detected", system="SCT")
NOT_DETECTED = Coded(code="260415000", text="Not detected", system="SCT")
PCR, ANTIGEN, GENOME = (
    Coded(code=code, text=code, system="LN") for code in ("94500-6", "94558-4", "94764-8")
)
LIVES = ("F", "F", "F", "PF", "FC", "PFC", "FX", "PX", "W")


class Told(msgspec.Struct, frozen=True):
    """One report of a laboratory, with all it says in the course of time."""

    lab: int
    code: Coded
    is_second: bool
    life: str
    answers: tuple[bool, ...]
    day: int
    tube: str

    def said(self, answer: bool) -> dict[str, Any]:
        """Say what was found: a germ, or its lineage."""
        if self.code is GENOME:
            return {"coded": None, "value_type": "ST", "value": "BA.2.86" if answer else "JN.1"}
        return {"coded": DETECTED if answer else NOT_DETECTED}

    @property
    def sampled_on(self) -> str:
        """Its day of sampling: of one episode, of the next, or beyond the 60 days."""
        return (date(2026, 5, 20) + timedelta(days=self.day)).isoformat()

    def versions(self, name: str, minute: int) -> list[LabReport]:
        """Return its versions, under an order number of their own.

        Each is sampled at a minute of its own: between equals the order number decides, and the
        two persons' numbers differ.
        """
        return [
            report(
                code=self.code,
                status=ResultStatus(letter),
                filler_order_number=name,
                collected_at=f"{self.sampled_on}T0{self.lab}:{minute:02d}:00+01:00",
                specimen=Specimen(identifier=self.tube) if self.tube else None,
                notes=("Deuxième intention",) if self.is_second else (),
                observations=(
                    observation(code=self.code, status=ResultStatus(letter), **self.said(answer)),
                ),
            )
            for letter, answer in zip(self.life, self.answers, strict=False)
        ]


TOLD = st.builds(
    Told,
    st.integers(0, PARTITIONS - 1),
    st.sampled_from([PCR, PCR, ANTIGEN, GENOME]),
    st.sampled_from([False, False, True]),
    st.sampled_from(LIVES),
    st.tuples(*[st.sampled_from([True, True, False])] * 3),
    st.sampled_from([0, 0, 0, 1, 40, 62, 110]),
    st.sampled_from(["", "", "TUBE-A", "TUBE-B"]),
)
SCENES = st.lists(TOLD, min_size=2, max_size=4)


def test_any_order_gives_the_same_cases_and_streams(database: Database, tmp_path: Path) -> None:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        hub = runner.run(stack.enter_async_context(scratch_hub(database, tmp_path)))
        road = Road(hub)
        people = iter(range(10_000))

        @settings(
            max_examples=40,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],
        )
        @given(SCENES, st.integers(0, 2**32 - 1))
        def check(scene: Sequence[Told], seed: int) -> None:
            # Of a seed: drawn in the middle, an example may end with a message not yet handled.
            rng = Random(seed)
            ends = [
                runner.run(ended(road, f"{next(people):04d}", scene, rng, batches=batches))
                for batches in (False, True)
            ]
            assert ends[0] == ends[1]

        try:
            check()
        finally:
            runner.run(stack.aclose())


async def ended(
    road: Road, name: str, scene: Sequence[Told], rng: Random, *, batches: bool
) -> Counter[tuple[str, ...]]:
    """Tell a scene about somebody new in an order of its own; return what the streams hold."""
    about = somebody(name)
    letters = [
        (told.lab, version)
        for number, told in enumerate(scene)
        for version in told.versions(f"ORDER-{name}-{number}", number)
    ]
    letters += [each for each in letters if rng.random() < 0.3]
    rng.shuffle(letters)
    for lab, version in letters:
        await road.put(message(about, version), partition=lab)
        if not batches or rng.random() < 0.3:
            await road.dispatch()
    await road.dispatch()
    rows = await road.rows(
        "SELECT DISTINCT o.person_id FROM outcome o WHERE o.person_id = (SELECT max(person_id)"
        " FROM person)"
    )
    (person,) = rows
    return await held(road, person["person_id"])


def somebody(name: str) -> Traits:
    given_ = "".join(chr(65 + int(digit)) for digit in name) + "NNE"
    year, rest = divmod(int(name), 300)
    birth = f"19{50 + year}-{rest // 28 + 1:02d}-{rest % 28 + 1:02d}"
    return dominique(ins=(), birth_given=given_, birth_givens=(given_,), birth_date=birth)


async def held(road: Road, person: int) -> Counter[tuple[str, ...]]:
    """What both streams hold of somebody's reports, a case by what else belongs to it."""
    reports = await road.rows("SELECT report_id FROM report WHERE person_id = $1", person)
    ids = {str(row["report_id"]) for row in reports}
    found: Counter[tuple[str, ...]] = Counter()
    for stream in (Stream.PUBLIC_HEALTH, Stream.CONTACT_TRACING):
        bodies = [b for i, b in (await folded(road, stream)).items() if i in ids]
        for body in bodies:
            of_case = [b for b in bodies if b["case_id"] == body["case_id"]]
            firsts = [b for b in of_case if b.get("line", "first") == "first"]
            assert len(firsts) == 1, "one report of a case counts"
            case = sorted(signed(b) for b in of_case)
            found[(stream.value, signed(body), *case)] += 1
    check_new_cases(
        [b for i, b in (await folded(road, Stream.PUBLIC_HEALTH)).items() if i in ids],
        [b for i, b in (await folded(road, Stream.CONTACT_TRACING)).items() if i in ids],
    )
    waiting = await road.rows(
        "SELECT count(*) AS n FROM hold WHERE report_id = ANY ($1::uuid[]) AND stream <> 'dossier'",
        [row["report_id"] for row in reports],
    )
    found["waiting",] = waiting[0]["n"]
    return found


def check_new_cases(rows: Sequence[Mapping[str, Any]], traced: Sequence[Mapping[str, Any]]) -> None:
    """Hold the rows against the rule as it is written, without the hub's code for it."""
    firsts = [row for row in rows if row["line"] == "first"]
    positive = [row for row in firsts if row["result"] == "positive"]
    assert len({row["sampled_on"] for row in positive}) == len(positive), "a day is one case"
    for row in rows:
        day = date.fromisoformat(row["sampled_on"])
        earlier = [day - date.fromisoformat(each["sampled_on"]) for each in positive]
        lately = any(timedelta(0) < gap <= timedelta(days=60) for gap in earlier)
        assert row["recent_positive"] == (lately if row["line"] == "first" else None)
        assert row["new_case"] == (not lately if row in positive else None)
    new = sorted(row["sampled_on"] for row in positive if row["new_case"])
    assert sorted(case["sampled_at"][:10] for case in traced) == new, "called once an episode"


def signed(body: Mapping[str, Any]) -> str:
    names = ("test_code", "status", "result", "second_line_result", "line", "sampled_on")
    more = ("new_case", "recent_positive", "variant")
    return "|".join(str(body.get(name, "")) for name in names + more)


async def folded(road: Road, stream: Stream) -> dict[str, Mapping[str, Any]]:
    newest: dict[str, Mapping[str, Any]] = {}
    for event in await road.events(stream):
        part = f"{event['report_id']} {event['part']}".rstrip()
        if event["event_version"] > newest.get(part, {}).get("event_version", 0):
            newest[part] = event
    return {i: event["body"] for i, event in newest.items() if event["body"] is not None}
