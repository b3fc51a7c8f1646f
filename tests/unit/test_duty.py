"""`status` and `top` on fixed inputs: what is shown, and what wants a person."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import msgspec
import pytest
from rich.console import Console

from ops.doctor.checks import State, advice, as_text
from ops.duty.keys import Quitting, pressed
from ops.duty.screen import frame_of, render
from ops.duty.situation import Running, Seen, age, in_flight, situation
from ops.figures import NOTHING, parse

NOW = datetime(2026, 3, 6, 3, tzinfo=UTC)
SESSIONS = [
    {"role": role, "schema": 24, "sessions": 3}
    for role in ("api", "dispatch", "inbound", "indicators", "ingest", "push", "relay")
]
ROLES = ("ingest", "dispatch", "relay", "push", "indicators", "api")


def seen(**changes: Any) -> Seen:
    """A hub that is well, with what a test changes."""
    well = Seen(
        now=NOW,
        engine="embedded",
        realm="test",
        release="0.1",
        schema=24,
        is_cluster=False,
        running=[
            Running(role=role, pid=100 + n, up_seconds=12, is_ready=True)
            for n, role in enumerate(ROLES)
        ],
        sessions=[],
        figures=NOTHING,
        ready="ready\n",
        head=[{"head": 9, "handled": 7, "oldest": NOW - timedelta(seconds=1)}],
        streams=[{"stream": "dossier", "events": 12_000, "behind": 0, "noted": None}],
        parked={"n": 0, "nobodys": 0, "oldest": None},
        holds=[],
        review={"n": 3, "first": 0, "oldest": NOW - timedelta(hours=3)},
        pauses=[],
        receivers=[],
        certificates={"over": 0, "soon": 0},
        purged_at=NOW - timedelta(hours=1),
        free_bytes=50 << 30,
        least_bytes=1 << 30,
        pause_forgotten=timedelta(hours=4),
    )
    return msgspec.structs.replace(well, **changes)


def test_a_hub_that_is_well_wants_nobody() -> None:
    found = situation(seen())
    assert {each.state for each in found} <= {State.GOOD, State.NOT_USED}
    said = as_text(found)
    assert said.endswith("nothing is wrong\n")
    assert "2 in flight, the oldest 1 s" in said
    assert "12,000 events" in said


@pytest.mark.parametrize(
    ("changes", "name", "state"),
    [
        ({"running": []}, "seen by figures", State.GOOD),
        ({"running": [], "figures": None}, "run", State.WRONG),
        ({"running": seen().running[1:]}, "ingest", State.WRONG),
        ({"ready": ""}, "HTTP", State.WRONG),
        ({"ready": "not ready: door (disk_low)\n"}, "closed", State.WRONG),
        ({"ready": "ready, without database (database_away)\n"}, "open", State.ADVICE),
        ({"head": [{"head": 9, "handled": 7, "oldest": NOW - timedelta(minutes=3)}]},
         "intake log", State.WRONG),
        ({"is_cluster": True,
          "streams": [{"stream": "dossier", "events": 9_000, "behind": 6_000, "noted": NOW}]},
         "dossier", State.WRONG),
        ({"parked": {"n": 2, "nobodys": 1, "oldest": NOW - timedelta(days=3)}},
         "parked", State.ADVICE),
        ({"holds": [{"stream": "dossier", "reason": "no_ins", "n": 4,
                     "oldest": NOW - timedelta(days=9)}]}, "held: dossier", State.ADVICE),
        ({"review": {"n": 1, "first": 1, "oldest": NOW}}, "review", State.ADVICE),
        ({"pauses": [{"what": "stream", "name": "dossier", "actor": "on call",
                      "paused_at": NOW - timedelta(minutes=9)}]}, "stream dossier", State.GOOD),
        ({"pauses": [{"what": "stream", "name": "dossier", "actor": "on call",
                      "paused_at": NOW - timedelta(hours=9)}]}, "stream dossier", State.ADVICE),
        ({"receivers": [{"name": "dmp", "state": "active", "state_reason": "", "dead": 0,
                         "failing_since": NOW - timedelta(hours=1), "last_code": "503"}]},
         "dmp", State.ADVICE),
        ({"certificates": {"over": 0, "soon": 1}}, "certificates", State.ADVICE),
        ({"free_bytes": 1 << 20}, "disk", State.WRONG),
        ({"purged_at": NOW - timedelta(days=3)}, "purge", State.WRONG),
        ({"figures": parse("labdispatch_backup_every_seconds 86400\n"
                           "labdispatch_backup_age_seconds 400000\n")}, "backup", State.WRONG),
        ({"is_cluster": True, "running": [], "sessions": SESSIONS}, "dispatch", State.GOOD),
        ({"is_cluster": True, "running": [], "sessions": SESSIONS[1:]}, "api", State.WRONG),
        ({"is_cluster": True, "running": [],
          "sessions": [{"role": "relay", "schema": 19, "sessions": 2}]}, "relay", State.ADVICE),
        ({"is_cluster": True, "figures": parse("labdispatch_oldest_unread_seconds 90\n")},
         "intake log", State.WRONG),
    ],
)  # fmt: skip
def test_what_wants_a_person_says_so(changes: dict[str, Any], name: str, state: State) -> None:
    (line,) = [each for each in situation(seen(**changes)) if each.name == name]
    assert line.state is state
    assert bool(line.to_do) == (state is not State.GOOD)


def test_a_backup_that_nobody_takes_is_not_the_last_of_a_moment_ago() -> None:
    none = parse("labdispatch_backup_every_seconds 0\nlabdispatch_backup_age_seconds 0\n")
    for changes in ({"figures": none}, {"figures": none, "is_cluster": True}):
        (line,) = [each for each in situation(seen(**changes)) if each.name == "backup"]
        assert line.state is State.NOT_USED


def test_what_no_dispatch_counts_is_in_flight_all_the_same() -> None:
    found = seen(is_cluster=True, figures=parse("labdispatch_oldest_unread_seconds 30\n"))
    assert in_flight(found) == (2, timedelta(seconds=30))
    assert in_flight(seen(is_cluster=True, head=[{"head": 7, "handled": 7, "oldest": None}])) == (
        0,
        timedelta(),
    )


def test_ages_are_said_as_people_do() -> None:
    times = (None, timedelta(seconds=70), timedelta(minutes=9), timedelta(hours=5), timedelta(9))
    said = [age(None if each is None else NOW - each, NOW) for each in times]
    assert said == ["never", "70 s", "9 min", "5 h", "9 d"]


def test_a_frame_shows_rates_and_latencies_between_two_looks() -> None:
    before = parse('labdispatch_answers_total{code="AA"} 100\n')
    now = parse(
        'labdispatch_answers_total{code="AA"} 440\n'
        'labdispatch_ack_seconds_bucket{le="0.01"} 10\n'
        'labdispatch_ack_seconds_bucket{le="+Inf"} 10\n'
        "labdispatch_lag_records 5\n"
        'labdispatch_laboratory_top_received{laboratory="LAB2"} 7\n'
        'labdispatch_laboratory_top_received{laboratory="LAB1"} 9\n'
    )
    hints = [advice("waits", "parked", "2", "`labdispatch parked list`")]
    frame = frame_of(now, before, 2.0, hints)
    assert frame.rates["answered"] == 170
    assert frame.times["bytes in -> answer"] == pytest.approx((5.0, 9.9))
    assert frame.times["readable -> pushed"] == (None, None)
    assert frame.laboratories == [("LAB1", 9), ("LAB2", 7)]
    text = StringIO()
    Console(file=text, width=100).print(render(frame))
    shown = text.getvalue()
    assert "170.0" in shown
    assert "in flight 5" in shown
    assert "look waits: parked: 2 -> `labdispatch parked list`" in shown


def test_a_hub_that_does_not_answer_is_said() -> None:
    frame = frame_of(None, None, 2.0, [])
    assert frame.fault == "/metrics does not answer"
    assert set(frame.rates.values()) == {0.0}
    text = StringIO()
    Console(file=text, width=100).print(render(frame))
    assert "/metrics does not answer" in text.getvalue()
    assert "nothing wants a person" not in text.getvalue()


async def test_a_key_ends_the_wait() -> None:
    async with pressed("q") as never:
        assert not await never.within(0.01)
    quitting = Quitting()
    quitting.press()
    assert await quitting.within(30)
