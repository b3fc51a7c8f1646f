"""What one report costs on its way into the streams: findings, rules, projections, difference.

`python -m benchmarks.projection`. Messages of the simulator are mapped as at the door; each report
is then routed, projected into every stream it is due in, and held against streams that hold nothing
of it yet, which is the dearest case: every event is made. Only that is timed, in the thread's own
time; persons are made beforehand, each with a qualified INS, so that every report is due in the
dossier. Yardstick of the same minute: reading and mapping one message of those.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Final
from uuid import UUID

import ingest
import routing
from benchmarks.results import Row, append, load_average, say_floor, show
from ingest.judge import LabProfile, map_again
from ops.simulate.simulation import Simulation
from routing import emitted
from routing.case import Case, PersonView
from routing.router import Router, load_own_rules
from schemas.decision import Line, Realm, Standing
from schemas.patient import Ins
from schemas.report import MappedMessage, Organisation
from schemas.topics import STREAMS

SECRET: Final = b"k" * 32
CEILING_MICROSECONDS: Final = 120.0
"""Of a report, all due streams together."""
_ROUNDS: Final = 9
_INS: Final = Ins(matricule="279035121518989", oid="1.2.250.1.213.1.4.10")
_AT: Final = datetime(2026, 3, 6, 8, tzinfo=UTC)


def main() -> None:
    """Measure, print, and append to results/projection.csv."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=2_000)
    count = parser.parse_args().messages
    simulation = Simulation(seed=7, labs=16, start_at=_AT)
    raws = [m.raw for m in islice((m for m in simulation.messages() if m.expected == "AA"), count)]
    mapped = [m for m in (map_again(raw, LabProfile()) for raw in raws) if _is_mapped(m)]
    assert mapped, "the simulator sends what can be mapped"
    router = Router(load_own_rules(), SECRET, Realm.TEST)
    cost, mapping, events, reports = float("inf"), float("inf"), 0, 0
    gc.collect()
    gc.freeze()
    for _ in range(_ROUNDS):
        cases = _cases(mapped)
        reports = len(cases)
        began = time.thread_time()
        events = _publish(router, cases)
        cost = min(cost, (time.thread_time() - began) / reports)
        began = time.thread_time()
        for raw in raws:
            map_again(raw, LabProfile())
        mapping = min(mapping, (time.thread_time() - began) / len(raws))
    microseconds = 1e6 * cost
    parameters = {
        "reports": reports,
        "events_a_report": round(events / reports, 2),
        "compiled": f"{routing.IS_COMPILED}/{ingest.IS_COMPILED}",
        "load": load_average(),
    }
    row = Row(
        engine="none",
        parameters=parameters,
        figure=microseconds,
        unit="us of CPU a report (findings, rules, projections, difference)",
        yardstick=1e6 * mapping,
        ratio=cost / mapping,
    )
    append("projection", [row], ("msgspec",))
    show(
        "From a placed report to its events",
        ("us a report", "events a report", "us to read and map a message"),
        [(f"{microseconds:.1f}", parameters["events_a_report"], f"{1e6 * mapping:.1f}")],
    )
    say_floor("findings to difference", microseconds, CEILING_MICROSECONDS, "us", most=True)


def _is_mapped(found: object) -> bool:
    return isinstance(found, MappedMessage)


def _cases(messages: Sequence[object]) -> list[Case]:
    """Make each report anew: what a case remembers of itself must not be free in a later round."""
    cases = []
    for number, message in enumerate(messages, start=1):
        assert isinstance(message, MappedMessage)
        person = PersonView(person_id=number, person_version=1, qualified_ins=_INS)
        for position, report in enumerate(message.reports):
            report_id = UUID(int=(number << 64) + position)
            first = Standing(case_id=report_id, line=Line.FIRST)
            cases.append(
                Case(
                    report=report,
                    traits=message.traits,
                    person=person,
                    realm=Realm.TEST,
                    laboratory=report.performer or Organisation(),
                    report_id=report_id,
                    received_at=_AT,
                    version=1,
                    standings={"sars-cov-2": first, "influenza": first},
                )
            )
    return cases


def _publish(router: Router, cases: Sequence[Case]) -> int:
    """Do what dispatch does between placing and writing; return how many events came of it."""
    events = 0
    for begin in range(0, len(cases), 100):
        wanted = []
        for case in cases[begin : begin + 100]:
            decision = router.route(case)
            for stream in STREAMS:
                parts = decision.parts[stream]
                wanted += [
                    emitted.Wanted(
                        report_id=case.report_id,
                        stream=stream,
                        part=part,
                        partition=0,
                        person_version=1,
                        message_id=case.report_id,
                        decision=emitted.Due(
                            due=routed.due, rule=routed.rule, rule_version=decision.rule_version
                        ),
                        projection=router.project(stream, part, case, decision)
                        if routed.due
                        else None,
                        beside=frozenset(parts),
                    )
                    for part, routed in parts.items()
                ]
        events += len(emitted.diff({}, wanted, Realm.TEST, SECRET).events)
    return events


if __name__ == "__main__":
    main()
