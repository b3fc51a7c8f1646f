"""One root cause calls once: on a real Alertmanager with the operators' routes and inhibitions."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import pytest

from ops.alerts_page import AFTERMATH, Cause, causes, whom
from tests.support.prometheus.alertmanager import AlertmanagerServer, Sink, quick, told
from tests.support.prometheus.rules import alerts

_LIMIT_SECONDS: Final = 60.0


class Pager(NamedTuple):
    """An Alertmanager and who is told."""

    server: AlertmanagerServer
    sink: Sink

    def until(self, is_there: Callable[[], bool], what: str) -> None:
        """Wait for what must come."""
        end = time.monotonic() + _LIMIT_SECONDS
        while not is_there():
            assert time.monotonic() < end, f"{what}: {self.sink.notified}"
            time.sleep(0.05)

    def firing(self, turn: str) -> dict[str, str]:
        """Return what fires of a turn, with the receiver it came to."""
        return {
            each.alert: each.channel
            for each in self.sink.since(0.0)
            if each.is_firing and each.labels.get("turn") == turn
        }


@pytest.fixture(scope="module")
def pager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pager]:
    sink = Sink()
    config = told(quick("300ms"), sink.url)
    server = AlertmanagerServer(tmp_path_factory.mktemp("alertmanager"), config)
    try:
        yield Pager(server.start(), sink)
    finally:
        server.stop()
        sink.stop()


def _labels(name: str, **more: str) -> dict[str, str]:
    return {"alertname": name, "severity": alerts()[name]["labels"]["severity"], **more}


QUIET_SECONDS: Final = 3.0


def _together(pager: Pager, *groups: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Let alerts fire, first the causes, and return who was told of what; then let all be over.

    A last one of a name of its own marks the end: what should have come with the others has come.
    """
    turn = str(time.monotonic())
    mark = {"alertname": "LabdispatchMark", "severity": "page", "turn": turn}
    alerts_of_turn = [{**each, "turn": turn} for group in groups for each in group]
    for alert in (*alerts_of_turn, mark):
        pager.server.post([alert])
    pager.until(lambda: "LabdispatchMark" in pager.firing(turn), "the mark")
    # What fired before the mark waited as long, but each group calls by itself: until none does.
    found, since = pager.firing(turn), time.monotonic()
    while time.monotonic() - since < QUIET_SECONDS:
        time.sleep(0.1)
        if (now := pager.firing(turn)) != found:
            found, since = now, time.monotonic()
    del found["LabdispatchMark"]
    for alert in (*alerts_of_turn, mark):
        pager.server.post([alert], is_firing=False)
    return found


def _case(cause: Cause) -> tuple[dict[str, str], Cause, list[dict[str, str]]]:
    """Return a cause with its labels, all that these silence, and that with the same labels."""
    same = {"job": "x", "instance": "a", "stream": "dossier", "receiver": "b"} | cause.where
    rows = [
        row for row in causes() if row.cause == cause.cause and row.where.items() <= same.items()
    ]
    whole = cause._replace(
        silences=[name for row in rows for name in row.silences],
        also_after=[name for row in rows for name in row.also_after],
    )
    return _labels(cause.cause, **same), whole, [_labels(name, **same) for name in whole.targets]


def _silent(pager: Pager, source: dict[str, str], others: list[dict[str, str]]) -> set[str]:
    """Return what Alertmanager itself says is silent because of a source, and let all be over."""
    turn = {"turn": str(time.monotonic())}
    posted = [{**each, **turn} for each in (source, *others)]
    pager.server.post(posted)
    # Sources are taken in beside the answer: asked until two answers in a row are the same.
    found: list[set[str]] = [set(), {"none yet"}]
    while found[-1] != found[-2]:
        time.sleep(0.1)
        found.append(pager.server.inhibited(**turn))
    pager.server.post(posted, is_firing=False)
    pager.until(lambda: pager.server.inhibited(**turn) == set(), "the end")
    return found[-1]


SOURCES: Final = {each.cause for each in causes()}
"""What silences others itself is asked apart: its own targets would be silent with it."""


def _told(cause: Cause) -> list[dict[str, str]]:
    """Return every alert that the cause has nothing to do with, with labels that would match."""
    kept = {*cause.targets, *SOURCES, AFTERMATH}
    return [_labels(name, job="dispatch", instance="a") for name in alerts() if name not in kept]


@pytest.mark.parametrize("cause", causes(), ids=lambda cause: cause.cause)
def test_each_cause_silences_what_it_says_and_nothing_else(pager: Pager, cause: Cause) -> None:
    source, cause, targets = _case(cause)
    leaves = [each for each in targets if each["alertname"] not in SOURCES]
    wanted = set(cause.targets) - SOURCES
    assert _silent(pager, source, [*leaves, *_told(cause)]) == wanted
    others = [each for each in targets if each["alertname"] in SOURCES]
    assert _silent(pager, source, others) == set(cause.targets) & SOURCES


@pytest.mark.parametrize(
    "cause", [each for each in causes() if each.also_after], ids=lambda cause: cause.cause
)
def test_after_a_cause_only_what_looks_back_is_silent(pager: Pager, cause: Cause) -> None:
    source, cause, targets = _case(cause)
    source |= {"alertname": AFTERMATH, "severity": "none", "cause": cause.cause}
    leaves = [each for each in targets if each["alertname"] not in SOURCES]
    silent = _silent(pager, source, [*leaves, *_told(cause)])
    assert silent == set(cause.also_after) - SOURCES


def test_a_database_that_is_away_calls_once_and_its_aftermath_calls_nobody(pager: Pager) -> None:
    (cause,) = (each for each in causes() if each.cause == "LabdispatchDatabaseAway")
    source, cause, targets = _case(cause)
    assert _together(pager, [source], targets) == {"LabdispatchDatabaseAway": "platform-page"}
    after = _labels(AFTERMATH, cause=cause.cause)
    leaves = [each for each in targets if each["alertname"] not in SOURCES]
    assert set(_together(pager, [after], leaves)) == set(cause.silences) - SOURCES


def test_no_cause_at_all_and_everybody_is_told(pager: Pager) -> None:
    silenced = sorted({name for cause in causes() for name in cause.targets})
    leaves = [name for name in silenced if name not in SOURCES]
    found = _together(pager, [_labels(name, job="x", instance="x") for name in leaves])
    assert set(found) == set(leaves)
    assert all(
        channel.endswith(alerts()[name]["labels"]["severity"]) for name, channel in found.items()
    )


def test_what_has_another_receiver_or_process_is_another_cause(pager: Pager) -> None:
    found = _together(
        pager,
        [
            _labels("LabdispatchReceiverStopped", receiver="a", why="gap"),
            _labels("LabdispatchProcessDown", job="relay", instance="a"),
        ],
        [
            _labels("LabdispatchReceiverSilent", receiver="b"),
            _labels("LabdispatchRestarting", job="dispatch", instance="b"),
            _labels("LabdispatchLagGrowing"),
        ],
    )
    assert set(found) == {
        "LabdispatchReceiverStopped",
        "LabdispatchProcessDown",
        "LabdispatchReceiverSilent",
        "LabdispatchRestarting",
        "LabdispatchLagGrowing",
    }


def test_each_alert_is_led_to_whom_it_is_for(pager: Pager) -> None:
    wanted = {
        name: f"{who}-{alerts()[name]['labels']['severity']}"
        for who, names in whom().items()
        for name in names
    }
    wanted |= {AFTERMATH: "nobody", "LabdispatchHeartbeat": "heartbeat"}
    assert set(wanted) == set(alerts())
    posted = [_labels(name, job="dispatch", instance="a", turn="led") for name in alerts()]
    pager.server.post(posted)
    assert pager.server.led(turn="led") == wanted
    pager.server.post(posted, is_firing=False)


def test_the_heartbeat_comes_to_its_own_place_and_the_aftermath_to_nobody(pager: Pager) -> None:
    aftermath = _labels(AFTERMATH, cause="LabdispatchDatabaseAway")
    found = _together(pager, [_labels("LabdispatchHeartbeat"), aftermath])
    assert found == {"LabdispatchHeartbeat": "heartbeat"}


def test_an_end_is_told(pager: Pager) -> None:
    alert = _labels("LabdispatchDiskLow", turn="ends")
    pager.server.post([alert])
    pager.until(lambda: "LabdispatchDiskLow" in pager.firing("ends"), "the page")
    pager.server.post([alert], is_firing=False)
    pager.until(
        lambda: any(not each.is_firing and each.labels == alert for each in pager.sink.since(0.0)),
        "its end",
    )
