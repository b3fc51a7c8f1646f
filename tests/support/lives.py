"""Lives of results for the life-cycle table: scenes that run side by side on one hub.

Every scene has people of its own, so that all of them can be sent in one batch a step.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec

from ops.stewards.acts import Stewards
from schemas.patient import Ins, Traits
from schemas.report import Coded, LabReport, MappedMessage, ResultStatus
from schemas.topics import STREAMS
from tests.support.hub import Road
from tests.support.identity import STEWARD
from tests.support.people import TEST_OID, dominique, message, observation, report

NEGATIVE = Coded(code="260415000", text="Not detected", system="SCT")
STATUSES = "PFCXDW"
_BASE = 5_000

Step = Callable[["Scene"], "Send | Do"]


class Send(msgspec.Struct, frozen=True):
    """A message of a laboratory."""

    content: MappedMessage
    lab: int = 0


class Do(msgspec.Struct, frozen=True):
    """An act of a steward."""

    act: Callable[[Stewards, Mapping[str, int]], Awaitable[Any]]


class Scene(msgspec.Struct):
    """One life: steps, in their order, of people that nobody else is."""

    number: int
    steps: tuple[Step, ...]
    places: list[tuple[int, int]] = []
    """Where its messages stand in the log."""
    events: list[int] = []
    looks_at: int = 0
    """Which of its messages told the report that is looked at."""

    def somebody(self, other: int = 0, *, ins: bool = True, alias: int = 0) -> Traits:
        """Return the traits of its first person, of another one, or of the first as another has it.

        An alias is the same woman with a name that no matcher would take for hers.
        """
        number = self.number * 4 + other + 2 * alias
        letters = "".join(chr(65 + int(digit)) for digit in f"{number:04d}")
        born = f"19{50 + number // 336 % 50:02d}-{number // 28 % 12 + 1:02d}-{number % 28 + 1:02d}"
        head = f"2{born[2:4]}{born[5:7]}69123{number % 1000:03d}"
        matricule = f"{head}{97 - int(head) % 97:02d}"
        return dominique(
            ins=(Ins(matricule=matricule, oid=TEST_OID),) if ins else (),
            birth_family=f"{letters[::-1]}OT",
            birth_given=f"{letters}NNE",
            birth_givens=(f"{letters}NNE",),
            birth_date=born,
            birth_place="69123",
            phones=(),
        )

    def told(
        self,
        status: str,
        traits: Traits,
        *,
        order: str = "A",
        is_positive: bool = True,
        at: str = "2026-03-06T08",
    ) -> MappedMessage:
        """Return what a laboratory says of an order."""
        changes = {} if is_positive else {"coded": NEGATIVE, "value": "Not detected"}
        of: LabReport = report(
            status=ResultStatus(status),
            filler_order_number=f"{order}-{self.number}",
            collected_at=f"{at}:00:00+01:00",
            observations=(observation(status=ResultStatus(status), **changes),),
        )
        return message(traits, of)


async def lived(road: Road, scenes: Sequence[Scene]) -> None:
    """Let all scenes go their steps, one after the other, and work off what is due."""
    for step in range(max(len(scene.steps) for scene in scenes)):
        acts: list[tuple[Scene, Do]] = []
        for scene in scenes:
            if step >= len(scene.steps):
                continue
            what = scene.steps[step](scene)
            if isinstance(what, Do):
                acts.append((scene, what))
            else:
                (offset,) = await road.put(what.content, partition=what.lab)
                scene.places.append((what.lab, offset))
        await road.dispatch()
        for scene, do in acts:
            done = await do.act(road.dispatcher.stewards, await persons_of(road, scene))
            scene.events.append(done.event)
        while await road.dispatcher.stewards.reemit_due():
            pass


async def persons_of(road: Road, scene: Scene) -> dict[str, int]:
    """Return whose each of its messages was decided to be: `p0`, `p1`, and its last event."""
    found = {}
    for n, (partition, offset) in enumerate(scene.places):
        rows = await road.rows(
            'SELECT person_id FROM outcome WHERE partition = $1 AND "offset" = $2',
            partition,
            offset,
        )
        found[f"p{n}"] = rows[0]["person_id"]
    if scene.events:
        found["event"] = scene.events[-1]
    return found


async def report_of(road: Road, scene: Scene) -> UUID:
    """Return the report that is looked at."""
    partition, offset = scene.places[scene.looks_at]
    rows = await road.rows(
        'SELECT report_ids FROM outcome WHERE partition = $1 AND "offset" = $2', partition, offset
    )
    (found,) = rows[0]["report_ids"]
    return UUID(str(found))


async def cells(road: Road, scenes: Sequence[Scene]) -> list[list[str]]:
    """Return what each stream told of the report of each scene, and for what it waits at last."""
    told: dict[tuple[str, str], list[str]] = {}
    for stream in STREAMS:
        for event in await road.events(stream):
            if (event["body"] or {}).get("record", "result") != "result":
                continue  # a pseudonym that stands for another: of no report
            said = f"{event['kind']}{_status(event['body'])} ({event['reason']})"
            told.setdefault((str(event["report_id"]), stream.value), []).append(said)
    for row in await road.rows("SELECT report_id, stream, reason FROM hold"):
        key = (str(row["report_id"]), row["stream"])
        told.setdefault(key, []).append(f"waits: {row['reason']}")
    found = []
    for scene in scenes:
        report_id = str(await report_of(road, scene))
        found.append([", ".join(told.get((report_id, s.value), [])) or "-" for s in STREAMS])
    return found


def _status(body: Mapping[str, Any] | None) -> str:
    if body is None:
        return ""
    if "entry" in body:
        resources = [entry["resource"] for entry in body["entry"]]
        (of,) = [r["status"] for r in resources if r["resourceType"] == "DiagnosticReport"]
        return f" {of}"
    return f" {body['status']}{'' if body.get('line', 'first') == 'first' else ' second line'}"


def merge() -> Step:
    """Merge the persons of the first two messages."""
    return lambda _: Do(lambda stewards, of: stewards.merge(of["p0"], of["p1"], STEWARD))


def undo() -> Step:
    """Undo the last act."""
    return lambda _: Do(lambda stewards, of: stewards.undo(of["event"], STEWARD))


def oppose(message_: int = 0) -> Step:
    """Let the person of a message oppose the dossier."""
    return lambda _: Do(lambda stewards, of: stewards.oppose(of[f"p{message_}"], STEWARD))


def allow() -> Step:
    """End that opposition."""
    return lambda _: Do(lambda stewards, of: stewards.allow(of["p0"], STEWARD))
