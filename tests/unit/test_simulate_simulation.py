from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import msgspec
import pytest

from ops.simulate.analyses import ANALYSES
from ops.simulate.broken import Breakage
from ops.simulate.documents import DOCUMENT_CODE
from ops.simulate.simulation import Habits, SimulatedMessage, Simulation

START = datetime(2026, 3, 6, 8, tzinfo=UTC)
COUNT = 7_000
NOT_TO_BE_SPLIT = {"broken:not_hl7", "broken:utf_16"}


def simulation(seed: int = 3, labs: int = 12, start_at: datetime = START) -> Simulation:
    return Simulation(seed=seed, labs=labs, start_at=start_at, persons=4_000)


@pytest.fixture(scope="module")
def sent() -> list[SimulatedMessage]:
    return list(islice(simulation().messages(), COUNT))


def test_the_same_seed_gives_the_same_bytes(sent: list[SimulatedMessage]) -> None:
    assert list(islice(simulation().messages(), 1_000)) == sent[:1_000]
    again = simulation()
    assert next(again.messages()) == next(again.messages()) == sent[0]


@pytest.mark.parametrize(
    "other",
    [
        simulation(seed=4),
        simulation(seed=3 + 2**32),
        simulation(labs=11),
        simulation(start_at=START + timedelta(seconds=1)),
    ],
)
def test_another_simulation_shares_no_message_and_no_number(
    sent: list[SimulatedMessage], other: Simulation
) -> None:
    others = list(islice(other.messages(), 800))
    assert not {one.raw for one in others if one.control_id} & {one.raw for one in sent}
    assert not {one.control_id for one in others if one.control_id} & {
        one.control_id for one in sent
    }
    assert not {report.order for one in others for report in one.reports} & {
        report.order for one in sent for report in one.reports
    }


def test_control_ids_are_unique_in_a_laboratory_but_for_resends(
    sent: list[SimulatedMessage],
) -> None:
    ids = Counter(
        (one.lab_index, one.control_id) for one in sent if one.control_id and one.kind != "resend"
    )
    assert set(ids.values()) == {1}


def test_resends_are_the_same_bytes_and_repeats_are_not(sent: list[SimulatedMessage]) -> None:
    first: dict[tuple[int, str], SimulatedMessage] = {}
    contents = set()
    resends = repeats = 0
    for message in sent:
        key = message.lab_index, message.control_id
        if message.kind == "resend":
            resends += 1
            assert message.raw == first[key].raw
            assert message.reports == first[key].reports
            continue
        if message.kind == "same_content":
            repeats += 1
            assert (message.lab_index, message.reports) in contents
        assert key not in first or not message.control_id
        first[key] = message
        contents.add((message.lab_index, message.reports))
    assert 0.008 < resends / COUNT < 0.022
    assert 0.002 < repeats / COUNT < 0.009


def test_each_broken_kind_comes_with_the_answer_it_deserves(sent: list[SimulatedMessage]) -> None:
    broken = [one for one in sent if one.kind.startswith("broken:")]
    assert 0.002 < len(broken) / COUNT < 0.009
    assert {one.kind for one in broken} == {f"broken:{way.value}" for way in Breakage}
    expected = {
        "not_hl7": "AR", "unknown_type": "AR", "unknown_version": "AR", "no_pid": "AE",
        "no_control_id": "AE", "wrong_charset": "AE", "truncated_in_pid": "AE",
        "truncated_before_obr": "AE", "unknown_event": "AR", "nul_bytes": "AE", "utf_16": "AR",
        "bad_separators": "AR",
    }  # fmt: skip
    for one in broken:
        assert one.expected == expected[one.kind.partition(":")[2]]
        assert one.reports == ()
    assert all(one.expected == "AA" for one in sent if not one.kind.startswith("broken:"))


def test_an_order_lives_from_preliminary_to_final_to_corrected(
    sent: list[SimulatedMessage],
) -> None:
    rank = {"P": 0, "F": 1, "C": 2, "X": 2}
    lives: dict[tuple[int, str, str], list[str]] = defaultdict(list)
    results: dict[tuple[int, str, str], list[str]] = defaultdict(list)
    persons: dict[tuple[int, str], set[int | None]] = defaultdict(set)
    for message in sent:
        if message.kind in {"resend", "same_content"}:
            continue
        for report in message.reports:
            key = message.lab_index, report.order, report.code
            lives[key].append(report.status)
            results[key].append(report.result)
            persons[key[:2]].add(message.person_index)
    assert all(len(who) == 1 for who in persons.values())
    for life in lives.values():
        ranks = [rank[status] for status in life]
        assert ranks == sorted(set(ranks))
    seen = {"".join(life) for life in lives.values()}
    assert {"F", "P", "PF", "FC", "PFC", "FX"} <= seen
    flips = [
        key
        for key, life in lives.items()
        if life[-2:] == ["F", "C"] and results[key][-2:] == ["POS", "NEG"]
    ]
    assert flips


def test_messages_leave_in_the_order_of_their_times(sent: list[SimulatedMessage]) -> None:
    # A laboratory whose MSH-7 has its offset; both sides of the change of the hour compare.
    latest = 0.0
    for message in sent:
        if message.lab_index == 0 and message.kind not in {"resend", *NOT_TO_BE_SPLIT}:
            stamp = message.raw.split(b"|")[6].decode()
            at = datetime.strptime(stamp, "%Y%m%d%H%M%S%z").timestamp()
            assert at >= latest
            latest = at
    assert latest > START.timestamp() + 5 * 86_400


def test_people_are_tested_again_here_and_elsewhere(sent: list[SimulatedMessage]) -> None:
    visits: dict[int, list[int]] = defaultdict(list)
    for message in sent:
        if message.kind == "new":
            assert message.person_index is not None
            visits[message.person_index].append(message.lab_index)
    again = [labs for labs in visits.values() if len(labs) > 1]
    assert len(again) > 500
    assert any(len(set(labs)) == 1 for labs in again)
    assert any(len(set(labs)) > 1 for labs in again)
    early = Counter(one.person_index for one in sent[:1_000] if one.kind == "new")
    assert max(early.values()) > 1


def test_every_analysis_is_ordered_and_positive_as_often_as_it_says(
    sent: list[SimulatedMessage],
) -> None:
    total: Counter[str] = Counter()
    positive: Counter[str] = Counter()
    for message in sent:
        if message.kind == "new":
            for report in message.reports:
                total[report.code] += 1
                positive[report.code] += report.result == "POS"
    assert total.pop(DOCUMENT_CODE) > 0
    assert set(total) == {analysis.code for analysis in ANALYSES}
    for analysis in ANALYSES:
        share = positive[analysis.code] / total[analysis.code]
        if analysis.measure is not None:
            assert share == 0
        elif total[analysis.code] > 500:
            assert 0.4 < share / (analysis.positive * analysis.sensitivity) < 1.8


def test_the_truth_file_says_what_was_yielded(tmp_path: Path) -> None:
    one = simulation()
    messages = one.messages()
    before = next(messages)
    path = tmp_path / "truth.ndjson"
    path.write_text("older\n", encoding="utf-8")
    one.record_truth(path)
    yielded = list(islice(messages, 1_500))
    messages.close()  # type: ignore[attr-defined]
    lines = [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]
    assert len(lines) == 1_500
    assert before.control_id not in {line["control_id"] for line in lines}
    for line, message in zip(lines, yielded, strict=True):
        assert line == {
            "lab": message.lab_index,
            "facility": one.laboratories[message.lab_index].finess,
            "control_id": message.control_id,
            "kind": message.kind,
            "expected": message.expected,
            "reason": message.reason,
            "person": message.person_index,
            "reports": [msgspec.to_builtins(report) for report in message.reports],
        }


def test_the_truth_is_flushed_when_nobody_takes_more(tmp_path: Path) -> None:
    one = simulation()
    one.record_truth(tmp_path / "truth.ndjson")
    assert (tmp_path / "truth.ndjson").read_bytes() == b""
    for _ in zip(range(3), one.messages(), strict=False):
        pass
    assert (tmp_path / "truth.ndjson").read_bytes().count(b"\n") >= 3


def test_a_world_without_mishaps_can_be_asked_for() -> None:
    habits = Habits(resent=0.0, same_content=0.0, broken=0.0, sent_on=0.0)
    one = Simulation(seed=3, labs=2, start_at=START, persons=100, habits=habits)
    kinds = {message.kind for message in islice(one.messages(), 2_000)}
    assert kinds == {"new", "final", "corrected", "cancelled"}


@pytest.mark.parametrize(
    ("seed", "labs", "start_at"),
    [(-1, 1, START), (1, 0, START), (1, 1, START.replace(tzinfo=None))],
)
def test_impossible_simulations_are_refused(seed: int, labs: int, start_at: datetime) -> None:
    with pytest.raises(ValueError, match=r"seed|laboratories|offset"):
        Simulation(seed=seed, labs=labs, start_at=start_at)


def test_specimens_are_sent_on_with_the_numbers_of_the_first_laboratory(
    sent: list[SimulatedMessage],
) -> None:
    seconds = [one for one in sent if one.kind == "second_line"]
    assert 0.002 < len(seconds) / COUNT < 0.05
    firsts = {
        (one.person_index, report.order): place
        for place, one in reversed(list(enumerate(sent)))
        for report in one.reports
        if report.code == "94500-6" and one.kind != "second_line"
    }
    early = 0
    for place, one in enumerate(sent):
        if one.kind == "second_line":
            given = one.raw.decode("latin-1").split("ORC|", 1)[-1]
            found = [at for (who, order), at in firsts.items() if who == one.person_index
                     and order in given]  # fmt: skip
            early += any(at > place for at in found)
            assert found or place > COUNT - 500, "its first may come after the last one taken"
    assert 0 < early < len(seconds)
    assert {report.code for one in seconds for report in one.reports} == {"94500-6", "94764-8"}


def test_a_world_with_second_lines_is_the_same_world_otherwise() -> None:
    alone = Simulation(seed=3, labs=12, start_at=START, persons=4_000, habits=Habits(sent_on=0.0))
    both = simulation()
    wanted = [one.reports for one in islice(alone.messages(), 500)]
    found = [one.reports for one in islice(both.messages(), 600) if one.kind != "second_line"]
    assert found[:500] == wanted
