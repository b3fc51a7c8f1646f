"""Whom an alert calls, and what is silent while its cause fires: the files say what they should."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from typing import Any, Final

import pytest
import yaml

from ops import alerts_page
from ops.alerts_page import AFTERMATH, Cause, causes, whom, with_pages
from tests.support.prometheus.alertmanager import CONFIG
from tests.support.prometheus.resolve import programs
from tests.support.prometheus.rules import alerts, seconds

LOSSES: Final = {
    "LabdispatchAccountGap": "a record without an ending",
    "LabdispatchIntakeLost": "what was acknowledged is not there",
    "LabdispatchHistoriesDiverged": "Kafka and the outbox tell two stories",
    "LabdispatchRelayEventsAgain": "a topic had lost its end",
    "LabdispatchBacklogGrowsOld": "the log forgets in the end",
    "LabdispatchLogForgetsSoon": "the log forgets in the end",
    "LabdispatchParkedUnresolved": "a result that nobody has",
    "LabdispatchInboundParked": "a result that nobody has",
    "LabdispatchUnexpectedPark": "a fault of ours, and its like will follow",
    "LabdispatchDeadLetters": "an event that a receiver never gets by itself",
    "LabdispatchReceiverStopped": "retention may have taken what it never got",
    "LabdispatchFileRefused": "a file of which nothing was read",
    "LabdispatchForeignFacility": "results that are not taken",
    "LabdispatchHoldsJump": "results that reach nobody",
    "LabdispatchHoldOld": "a result that reaches nobody",
    "LabdispatchArchiveFails": "a disk away from a loss",
    "LabdispatchWalArchiveBehind": "a disk away from a loss",
    "LabdispatchBackupOld": "a disk away from a loss",
    "LabdispatchPublishedTableDamaged": "a published figure is gone",
    "LabdispatchPurgeOld": "names are kept longer than they may be",
    "LabdispatchCertificateExpired": "laboratories that cannot send",
    "LabdispatchOwnCertificateEnds": "then none can",
}
"""What no cause may keep silent, and why: a loss, or what becomes one."""

TREE: Final = causes()


def _id(cause: Cause) -> str:
    return "-".join([cause.cause.removeprefix("Labdispatch"), *cause.where.values(), *cause.equal])


def _severity(alert: str) -> str:
    return str(alerts()[alert]["labels"]["severity"])


def test_the_file_is_what_its_data_make() -> None:
    assert CONFIG.read_text() == alerts_page.page(), "write it anew: python -m ops.alerts_page"


def test_amtool_takes_it() -> None:
    done = subprocess.run(
        [programs().amtool, "check-config", CONFIG],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


# ---------------------------------------------------------------------------- whom


def test_each_alert_is_somebodys_and_of_one() -> None:
    named = [name for names in whom().values() for name in names]
    assert len(named) == len(set(named))
    called = {name for name in alerts() if _severity(name) in {"page", "ticket"}}
    assert set(named) == called
    for who, names in whom().items():
        pages = any(_severity(name) == "page" for name in names)
        assert pages == (who in with_pages()), who


@pytest.mark.parametrize(
    ("name", "severity", "receiver"),
    [
        ("LabdispatchDiskLow", "page", "platform-page"),
        # Added at the place, and named by nobody yet.
        ("LabdispatchNew", "page", "hub-page"),
        ("LabdispatchNew", "ticket", "hub-ticket"),
    ],
)
def test_amtool_leads_an_alert_to_whom_it_is_for(name: str, severity: str, receiver: str) -> None:
    """Each of them is asked in tests/integration/test_alertmanager.py."""
    assert _routed(name, severity) == receiver


def _routed(name: str, severity: str) -> str:
    done = subprocess.run(
        [
            programs().amtool, "config", "routes", "test", f"--config.file={CONFIG}",
            f"alertname={name}", f"severity={severity}", "job=dispatch", "instance=a",
        ],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def test_every_receiver_but_nobody_has_an_address_of_its_own() -> None:
    receivers = {each.pop("name"): each for each in _config()["receivers"]}
    assert receivers.pop("nobody") == {}
    urls = [each["url"] for one in receivers.values() for each in one["webhook_configs"]]
    assert len(urls) == len(set(urls)) == len(receivers)
    used = set(re.findall(r"(?m)^ +receiver: ([\w-]+)$", CONFIG.read_text()))
    assert used - {"nobody"} == set(receivers)


def test_a_page_is_told_at_any_hour_and_a_ticket_by_day() -> None:
    for route in _config()["route"]["routes"]:
        by_day = route.get("active_time_intervals") == ["working-hours"]
        assert by_day == route["receiver"].endswith("-ticket"), route


def _config() -> Any:
    return yaml.safe_load(CONFIG.read_text())


def test_the_page_says_who_is_called_for_what() -> None:
    """docs/operate.md, "What pages whom": each cell has the alerts of its receiver alone."""
    page = (CONFIG.parent.parent.parent / "docs" / "operate.md").read_text()
    _, _, section = page.partition("\n## What pages whom\n")
    told = {}
    for row in re.findall(r"(?m)^\| [^|]+ \(`(\w+)`\) \| ([^|]+) \| ([^|]+) \|$", section):
        told[row[0]] = [
            [f"Labdispatch{name}" for name in re.findall(r"`(\w+)`", cell)] for cell in row[1:]
        ]
    assert told == {
        who: [[name for name in names if _severity(name) == each] for each in ("page", "ticket")]
        for who, names in whom().items()
    }


# ---------------------------------------------------------------------------- causes


@pytest.mark.parametrize("cause", TREE, ids=_id)
def test_a_cause_and_what_it_silences_are_alerts(cause: Cause) -> None:
    assert cause.cause in alerts()
    assert cause.targets
    assert set(cause.targets) <= set(alerts())
    assert not set(cause.silences) & set(cause.also_after)
    assert cause.why.endswith(".")
    # Labels that the cause has: kept by its expression, or those of the scrape.
    expression = alerts()[cause.cause]["expr"]
    for label in {*cause.where, *cause.equal}:
        kept = re.search(rf"\bby \([^)]*\b{label}\b", expression) or " by " not in expression
        assert kept, label


@pytest.mark.parametrize("cause", TREE, ids=_id)
def test_a_ticket_never_silences_a_page(cause: Cause) -> None:
    """Nobody would be called until the next morning."""
    if _severity(cause.cause) == "ticket":
        assert {_severity(name) for name in cause.targets} == {"ticket"}


@pytest.mark.parametrize("cause", TREE, ids=_id)
def test_no_cause_hides_a_loss(cause: Cause) -> None:
    assert set(LOSSES) <= set(alerts())
    assert not set(cause.targets) & set(LOSSES)


@pytest.mark.parametrize("cause", TREE, ids=_id)
def test_no_cause_hides_what_says_that_alerts_arrive(cause: Cause) -> None:
    assert not set(cause.targets) & {AFTERMATH, "LabdispatchHeartbeat"}


def test_causes_are_a_tree_of_which_somebody_is_always_told() -> None:
    """Two that silence each other would both reach nobody."""
    below: dict[str, set[str]] = {}
    for cause in TREE:
        below.setdefault(cause.cause, set()).update(cause.targets)

    def reached(name: str, seen: tuple[str, ...] = ()) -> Iterator[str]:
        for each in below.get(name, ()):
            assert each not in seen, (*seen, each)
            yield each
            yield from reached(each, (*seen, each))

    for name in below:
        assert name not in set(reached(name, (name,)))


@pytest.mark.parametrize("cause", TREE, ids=_id)
def test_a_cause_fires_before_the_page_of_what_it_silences_is_sent(cause: Cause) -> None:
    """Else the symptom comes first, and the cause beside it."""
    wait = seconds(_config()["route"]["group_wait"])
    mine = seconds(alerts()[cause.cause].get("for", "0s"))
    late = {
        name for name in cause.targets if seconds(alerts()[name].get("for", "0s")) + wait < mine
    }
    assert late <= set(LATER)


LATER: Final = {
    "LabdispatchRestarting": "a process must have started four times",
    "LabdispatchReadableLateFast": "a seventh of the last hour must have been late",
    "LabdispatchAckLatencyFast": "a seventh of the last hour must have been slow",
    "LabdispatchReviewBudgetFast": "a third of the last six hours must have been late",
}
"""Whose own windows take longer than their `for` says."""


def test_the_aftermath_looks_at_every_cause_that_lasts() -> None:
    expression = alerts()[AFTERMATH]["expr"]
    (asked,) = re.findall(r'alertname=~"([^"]*)"', expression)
    assert set(asked.split("|")) == {cause.cause for cause in TREE if cause.also_after}


def test_the_aftermath_lasts_until_the_shorter_window_of_an_allowance_is_clean() -> None:
    """Seen on a game day: its means of five minutes still held the outage five minutes longer."""
    (asked,) = re.findall(r"\[(\w+)\]", alerts()[AFTERMATH]["expr"])
    shorter = [
        seconds(f"{minutes}m") + seconds("5m") + seconds(rule.get("for", "0s"))
        for name, rule in alerts().items()
        if name.endswith("Fast") and "Review" not in name
        for minutes in re.findall(r":ratio(\d+)m\b", rule["expr"])
    ]
    assert seconds(asked) > max(shorter)


def test_prometheus_tells_alertmanager_where_compose_runs_it() -> None:
    loaded = yaml.safe_load((CONFIG.parent / "prometheus.yml").read_text())
    (one,) = loaded["alerting"]["alertmanagers"]
    (address,) = one["static_configs"][0]["targets"]
    compose = yaml.safe_load((CONFIG.parents[1] / "compose" / "compose.yaml").read_text())
    service = compose["services"]["alertmanager"]
    assert f"--web.listen-address={address}" in service["command"]
    assert address.startswith("127.0.0.1:")
