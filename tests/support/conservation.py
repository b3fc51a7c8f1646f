"""The conservation checker: what went in is accounted for, once, and nothing came out of nowhere.

Reads only what a third party could: the laboratories' journal of answers, the streams, the account
and the traces.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from schemas.outcome import ENDINGS
from schemas.topics import STREAMS
from tests.support.product import Instance

AFTER = {
    "": {"published"},
    "published": {"revised", "withdrawn"},
    "revised": {"revised", "withdrawn"},
    "withdrawn": {"published"},
}


class Ledger:
    """What a check found, for further questions."""

    def __init__(
        self,
        account: Mapping[str, Any],
        traces: Sequence[Mapping[str, Any]],
        streams: Mapping[str, list[dict[str, Any]]],
    ) -> None:
        self.account = account
        self.traces = traces
        self.streams = streams


def check_conservation(
    instance: Instance, journal: Iterable[tuple[str, str]], *, seconds: float = 180
) -> Ledger:
    """Check an instance that has come to rest.

    1. The account closes, and nothing is in flight.
    2. Every message that was acknowledged (AA, CA) or refused (AE, CE) is in the log, and each of
       its records ended exactly once; of equal resends exactly one is no duplicate.
    3. The log holds no record that nobody sent.
    4. Each stream is gapless from 1, each event is there once, versions of a report follow each
       other, and each event belongs to a report of a message that was sent, or tells of a replaced
       pseudonym.
    5. The fold of each stream equals a computation from scratch, and no report was left out of it.

    Raises:
        AssertionError: One of these does not hold.
    """
    journal = list(journal)
    sent = {control_id for control_id, _ in journal}
    account, traces, streams = _at_rest(instance, sent, seconds)
    by_control: dict[str, list[Mapping[str, Any]]] = {control_id: [] for control_id in sent}
    for held in traces:
        by_control[held["control_id"]].append(held)
    for control_id, code in journal:
        if code in {"AA", "CA", "AE", "CE"}:
            assert by_control[control_id], f"acknowledged and lost: {control_id}"
    for control_id, records in by_control.items():
        check_endings(control_id, records)
    assert account["received"] == len(traces) + account["replays"], "records nobody sent"
    known = {report for held in traces for report in _reports_of(held)}
    # What is told apart bears an id of its own; its message's trace names it.
    told = known | {each for held in traces for each in _reports_of(held, "event")}
    for name, events in streams.items():
        check_stream(name, events)
        strangers = {event["report_id"] for event in events} - told - _replaced(events)
        assert not strangers, f"{name}: events without a message: {sorted(strangers)[:3]}"
        counted = account["events"].get(name, 0)
        assert counted == len(events), f"{name}: the account counts {counted}, not {len(events)}"
    fold = instance.verified(seconds)
    assert fold["reports"] == len(known), "reports that no message told, or that are not there"
    assert not fold["unreadable"]
    return Ledger(account, traces, streams)


def _at_rest(
    instance: Instance, sent: Iterable[str], seconds: float
) -> tuple[dict[str, Any], list[dict[str, Any]], dict[str, list[dict[str, Any]]]]:
    """Return account, traces and streams of one and the same state.

    They are looked at one after the other, and what is emitted again (after merges, by new rules)
    comes by itself: what changed between the first look and the last is looked at anew.
    """
    until = time.monotonic() + seconds
    account = instance.drained(seconds)
    while True:
        traces = instance.trace(sorted(sent))
        streams = {stream.value: instance.stream(stream.value) for stream in STREAMS}
        after = instance.drained(seconds)
        if all(account[each] == after[each] for each in ("received", "replays", "events")):
            return after, traces, streams
        assert time.monotonic() < until, "it does not come to rest"
        account = after


def _replaced(events: Iterable[Mapping[str, Any]]) -> set[str]:
    """Ids under which replaced pseudonyms are told of: a merge makes them, no message."""
    bodies = ((event["report_id"], event["body"] or {}) for event in events)
    return {number for number, body in bodies if body.get("record") == "pseudonym_replaced"}


def check_endings(control_id: str, held: Sequence[Mapping[str, Any]]) -> None:
    """Check that each record of a message ended once, and one of equal ones was handled."""
    firsts = 0
    for record in held:
        outcomes = [s for s in record["stations"] if s["station"] == "outcome"]
        assert len(outcomes) == 1, f"{control_id}: {len(outcomes)} outcomes"
        assert outcomes[0]["ending"] in ENDINGS, f"{control_id}: {outcomes[0]['ending']}"
        firsts += outcomes[0]["reason"] != "same_message"
    if held and not any(_ending(record) == "refused" for record in held):
        told = [
            (s["ending"], s["reason"])
            for r in held
            for s in r["stations"]
            if s["station"] == "outcome"
        ]
        assert firsts == 1, f"{control_id}: handled {firsts} times: {told}"


def _ending(record: Mapping[str, Any]) -> str:
    return next(str(s["ending"]) for s in record["stations"] if s["station"] == "outcome")


def _reports_of(record: Mapping[str, Any], station: str = "report") -> list[str]:
    return [s["report_id"] for s in record["stations"] if s["station"] == station]


def check_stream(name: str, events: Sequence[Mapping[str, Any]]) -> None:
    """Check one stream by itself: gapless, once, in order."""
    seqs: dict[int, int] = {}
    versions: dict[str, int] = {}
    kinds: dict[str, str] = {}
    ids = set()
    for event in events:
        partition, report = event["partition"], _part(event)
        assert event["stream"] == name
        assert event["seq"] == seqs.get(partition, 0) + 1, f"{name}/{partition}: gap or disorder"
        seqs[partition] = event["seq"]
        assert event["event_version"] == versions.get(report, 0) + 1, f"{name}: version of {report}"
        versions[report] = event["event_version"]
        assert event["kind"] in AFTER[kinds.get(report, "")], f"{name}: {event['kind']} of {report}"
        kinds[report] = event["kind"]
        assert (event["body"] is None) == (event["kind"] == "withdrawn")
        assert event["event_id"] not in ids, f"{name}: {event['event_id']} twice"
        ids.add(event["event_id"])


def _part(event: Mapping[str, Any]) -> str:
    """What a consumer goes by: the report, and what of it the event is about."""
    return f"{event['report_id']} {event['part']}"


def final_state(ledger: Ledger) -> dict[str, dict[str, Any]]:
    """What each stream holds in the end: report and part -> last body, without what differs by run.

    Two runs that were sent the same end in the same state, whatever was cut or killed between.
    """
    state: dict[str, dict[str, Any]] = {}
    for name, events in ledger.streams.items():
        held: dict[str, Any] = {}
        for event in events:
            held[_part(event)] = event["body"]
        state[name] = held
    return state
