"""The checker that others rely on: it waits for rest, and finds what is missing."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.conservation import check_conservation
from tests.support.product import Instance


def event(seq: int, version: int) -> dict[str, Any]:
    return {
        "stream": "dossier",
        "partition": 0,
        "seq": seq,
        "event_id": f"e{seq}",
        "event_version": version,
        "kind": "published" if version == 1 else "revised",
        "report_id": "r1",
        "part": "",
        "body": {},
    }


class Restless(Instance):
    """An instance of one message, in which an event comes by itself after the first look.

    Args:
        miscounts: How many events more than there are the account says.
    """

    def __init__(self, miscounts: int = 0) -> None:
        self.looks = 0
        self.miscounts = miscounts

    def _events(self) -> list[dict[str, Any]]:
        return [event(1, 1), event(2, 2)] if self.looks else [event(1, 1)]

    def drained(self, seconds: float = 60) -> dict[str, Any]:
        events = len(self._events()) + self.miscounts
        return {"received": 1, "replays": 0, "events": {"dossier": events}}

    def trace(self, ids: Any) -> list[dict[str, Any]]:
        stations: list[dict[str, Any]] = [
            {"station": "outcome", "ending": "dispatched", "reason": ""},
            {"station": "report", "report_id": "r1"},
        ]
        return [{"control_id": control_id, "stations": stations} for control_id in ids]

    def stream(self, name: str) -> list[dict[str, Any]]:
        self.looks += 1
        return self._events() if name == "dossier" else []

    def verified(self, seconds: float = 60) -> dict[str, Any]:
        return {"reports": 1, "unreadable": 0}


def test_what_comes_by_itself_between_two_looks_is_waited_for() -> None:
    ledger = check_conservation(Restless(), [("M1", "AA")], seconds=5)
    assert len(ledger.streams["dossier"]) == ledger.account["events"]["dossier"] == 2


def test_an_account_that_counts_otherwise_is_found() -> None:
    with pytest.raises(AssertionError, match="the account counts 3, not 2"):
        check_conservation(Restless(miscounts=1), [("M1", "AA")], seconds=5)


def test_what_was_acknowledged_and_is_not_there_is_found() -> None:
    class Lossy(Restless):
        def trace(self, ids: Any) -> list[dict[str, Any]]:
            return []

    with pytest.raises(AssertionError, match="acknowledged and lost: M1"):
        check_conservation(Lossy(), [("M1", "AA")], seconds=5)
