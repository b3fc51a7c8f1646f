"""Trains the dictionaries of payloads: `python -m ops.simulate.dictionaries`.

On what the simulated laboratories send and what the streams make of it. Run it when the mapping or
a projection has changed much; it writes files of the next number and leaves the older ones, which
payloads in the tables still name. All of it is invented people and test identities.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Final
from uuid import UUID

from ingest.judge import LabProfile, map_again
from ops.runtime.compression import FOLDER, dictionaries, train
from routing.case import Case, PersonView
from routing.router import Router, load_own_rules
from schemas.decision import Line, Realm, Standing
from schemas.envelope import MAPPING_VERSION, AcceptedMessage
from schemas.patient import Ins
from schemas.report import MappedMessage, Organisation

from .simulation import Simulation

_MESSAGES: Final = 3_000
_SIZE_BYTES: Final = 16_384
_KINDS: Final = {"intake": 1, "stream": 2}
"""Kind -> the hundreds of its dictionaries' ids, which frames name."""
_INS: Final = Ins(matricule="279035121518989", oid="1.2.250.1.213.1.4.10")
_AT: Final = datetime(2026, 3, 6, 8, tzinfo=UTC)


def main() -> None:
    """Write the next dictionary of each kind."""
    simulation = Simulation(seed=11, labs=200, start_at=_AT)
    raws = [each.raw for each in islice(simulation.messages(), _MESSAGES)]
    mapped = [(raw, map_again(raw, LabProfile())) for raw in raws]
    messages = [(raw, found) for raw, found in mapped if isinstance(found, MappedMessage)]
    samples = {
        "intake": [_payload(raw, found) for raw, found in messages],
        "stream": list(_bodies([found for _, found in messages])),
    }
    FOLDER.mkdir(exist_ok=True)
    for kind, given in samples.items():
        number = 1 + max((n for name, n in dictionaries() if name == kind), default=0)
        content = train(given, _SIZE_BYTES, 1_000 * _KINDS[kind] + number)
        (FOLDER / f"{kind}-{number}.zdict").write_bytes(content)
        sys.stdout.write(f"{kind}-{number}: {len(content):,} bytes of {len(given):,} samples\n")


def _payload(raw: bytes, mapped: MappedMessage) -> bytes:
    return AcceptedMessage(
        raw=raw,
        control_id=mapped.control_id,
        mapping_version=MAPPING_VERSION,
        profile_version=1,
        answer="AA",
        mapped=mapped,
    ).to_bytes()


def _bodies(messages: list[MappedMessage]) -> Iterator[bytes]:
    router = Router(load_own_rules(), bytes(32), Realm.TEST)
    for number, message in enumerate(messages, start=1):
        person = PersonView(person_id=number, person_version=1, qualified_ins=_INS)
        for position, report in enumerate(message.reports):
            report_id = UUID(int=(number << 64) + position)
            case = Case(
                report=report,
                traits=message.traits,
                person=person,
                realm=Realm.TEST,
                laboratory=report.performer or Organisation(),
                report_id=report_id,
                received_at=_AT,
                version=1,
                standings={"sars-cov-2": Standing(case_id=report_id, line=Line.FIRST)},
            )
            decision = router.route(case)
            for stream in sorted(decision.due):
                for part, routed in decision.parts[stream].items():
                    if routed.due:
                        yield router.project(stream, part, case, decision).body


if __name__ == "__main__":
    main()
