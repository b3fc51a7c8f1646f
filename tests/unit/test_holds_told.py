"""The commands of holds by their options alone, and the rules under every mixture of doubts."""

from __future__ import annotations

from datetime import timedelta

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from ops.cli import main
from ops.cli.holds import _wish
from routing.doubts import DOUBTS, Doubt, Doubted
from routing.facts import Facts
from routing.router import load_own_rules
from schemas.codes import Kind, Result
from schemas.report import ResultStatus
from schemas.topics import STREAMS, Stream

RULES = load_own_rules()
CONDITIONS = ("sars-cov-2", "rsv", "dengue")


@pytest.mark.parametrize(
    ("text", "age"),
    [
        ("", timedelta()),
        ("30m", timedelta(minutes=30)),
        ("24h", timedelta(hours=24)),
        ("7d", timedelta(days=7)),
    ],
)
def test_an_age_is_said_as_elsewhere(text: str, age: timedelta) -> None:
    assert _wish("", "", "", text, 5).older_than == age


@pytest.mark.parametrize(
    "arguments",
    [
        ["list", "--older-than", "soon"],
        ["list", "--older-than", "7"],
        ["list", "--limit", "0"],
        ["show", "not-a-report"],
        ["release", "00000000-0000-0000-0000-000000000001", "--for", "x", "--stream", "dossier"],
        ["release", "--stream", "dossier", "--reason", "status_contradicts"],
        ["release", "00000000-0000-0000-0000-000000000001", "--dry-run"],
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_opened(arguments: list[str]) -> None:
    done = CliRunner().invoke(main, ["holds", *arguments])
    assert done.exit_code == 2
    assert "Error" in done.output


SIGNS = st.tuples(
    st.sampled_from(CONDITIONS),
    st.sampled_from([Kind.RNA, Kind.ANTIGEN, Kind.IGM]),
    st.sampled_from(list(Result)),
)
DOUBTED = st.builds(
    Doubted,
    st.sampled_from(sorted(DOUBTS)),
    st.sampled_from(["", *CONDITIONS]),
    st.sampled_from(["", Kind.RNA.value, Kind.IGG.value]),
)
RELEASED = st.tuples(st.sampled_from(STREAMS), st.sampled_from(sorted(DOUBTS)))


@settings(max_examples=60, deadline=None)
@given(
    findings=st.lists(SIGNS, max_size=3).map(tuple),
    doubts=st.frozensets(DOUBTED, max_size=4),
    released=st.frozensets(RELEASED, max_size=3),
    status=st.sampled_from(list(ResultStatus)),
)
def test_a_doubt_is_never_passed_over_and_never_keeps_back_what_is_known(
    findings: tuple[tuple[str, Kind, Result], ...],
    doubts: frozenset[Doubted],
    released: frozenset[tuple[Stream, str]],
    status: ResultStatus,
) -> None:
    sure = Facts(status=status, findings=findings)
    facts = Facts(status=status, findings=findings, doubts=doubts, released=released)
    for stream in STREAMS:
        without = RULES.judge_stream(stream, sure)
        ruling = RULES.judge_stream(stream, facts)
        standing = {each for each in doubts if (stream, each.reason) not in released}
        if ruling.hold:
            assert ruling.hold in {each.reason for each in standing}
        if ruling.due:
            assert without.due, "a doubt makes nothing due"
            assert ruling.finding == without.finding
            assert Doubted(Doubt.STATUS_CONTRADICTS) not in standing
            about, kind, _ = ("", "", "") if ruling.finding is None else findings[ruling.finding]
            own = {
                each.reason
                for each in standing
                if each.condition
                and each.condition == about
                and each.kind in {"", kind}
                and stream is not Stream.DOSSIER
            }
            assert not own - {Doubt.BIRTH_DATE_AFTER_SAMPLING}
        elif without.due:
            assert ruling.hold, "what is due otherwise waits, and is not gone"
        if not standing:
            assert (ruling.due, ruling.hold) == (without.due, without.hold)
