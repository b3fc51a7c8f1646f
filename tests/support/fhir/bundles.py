"""Bundles to judge: of real and simulated messages, each as if its person were qualified."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec

from ingest.mapping import map_raw
from ops.simulate.simulation import Simulation
from routing.case import Case, PersonView, Projection
from routing.facts import WHOLE
from routing.router import Router, load_own_rules
from schemas.decision import ProjectionName, Realm, RouteDecision, RoutedPart
from schemas.patient import Ins
from schemas.report import MappedMessage, Organisation
from schemas.topics import Stream

START: Final = datetime(2026, 3, 6, 8, tzinfo=UTC)
AT: Final = datetime(2026, 3, 6, 9, 15, 2, tzinfo=UTC)
QUALIFIED: Final = Ins(matricule="279035121518989", oid="1.2.250.1.213.1.4.10")
ROUTER: Final = Router(load_own_rules(), bytes(range(32)), Realm.TEST)


# Whatever the rules say of it, now or in a year: what is judged is the Bundle.
DUE: Final = RouteDecision(
    condition="",
    result="",
    parts={
        Stream.DOSSIER: {
            WHOLE: RoutedPart(
                rule="dossier-every-report", due=True, projection=ProjectionName.DOSSIER
            )
        }
    },
    due=frozenset({Stream.DOSSIER}),
    rule_version="2026-2",
)


def projected(case: Case, decision: RouteDecision = DUE) -> Projection:
    """Return what the dossier gets of a case, as if it were due."""
    return ROUTER.project(Stream.DOSSIER, WHOLE, case, decision)


def body_of(case: Case) -> bytes:
    """Return the body of the dossier of a case."""
    return projected(case).body


def cases_of(raw: bytes, number: int = 0) -> Iterator[Case]:
    """Yield a case for each report of a message that can be mapped."""
    mapped = map_raw(raw)
    if not isinstance(mapped, MappedMessage):
        return
    for report in mapped.reports:
        yield Case(
            report=report,
            # A message of a real test INS keeps it; .8 and .9 are of another realm.
            traits=msgspec.structs.replace(mapped.traits, ins=()),
            person=PersonView(person_id=7, person_version=3, qualified_ins=QUALIFIED),
            realm=Realm.TEST,
            laboratory=report.performer or Organisation(),
            report_id=UUID(int=(number << 16) + report.position),
            received_at=AT,
            version=1,
            model_version="fr-1",
            mapping_version="2",
        )


def simulated(messages: int, *, seed: int = 7, labs: int = 24) -> Iterator[Case]:
    """Yield the cases of so many simulated messages, the same for the same arguments."""
    world = Simulation(seed=seed, labs=labs, start_at=START, persons=4_000)
    for number, message in zip(range(messages), world.messages(), strict=False):
        yield from cases_of(message.raw, number)


def of_corpus() -> Iterator[Case]:
    """Yield the cases of every message of the test corpus."""
    folder = Path(__file__).parents[2] / "golden" / "corpus"
    for place, path in enumerate(sorted(folder.glob("*.hl7"))):
        parts = path.read_bytes().split(b"MSH|")[1:]
        for number, part in enumerate(parts):
            yield from cases_of(b"MSH|" + part, (place << 16) + number)
