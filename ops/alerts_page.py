"""Writes the second half of ops/prometheus/alertmanager.yml: `python -m ops.alerts_page`.

Its routes come from `whom.json` (whose alert it is), its inhibitions from `causes.json` (what is
silent while a cause fires). The first half, where notifications go to, is the place's own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

_FOLDER: Final = Path(__file__).resolve().parent / "prometheus"
OUTPUT: Final = _FOLDER / "alertmanager.yml"
MARK: Final = (
    "# ---- From here on made by `python -m ops.alerts_page` of whom.json and causes.json.\n"
)
AFTERMATH: Final = "LabdispatchAftermath"
"""Fires for a while after a cause is over; its label `cause` names that one."""

# A page waits as long as its cause takes to fire; a ticket, until somebody is there.
_ROUTE: Final = """\
route:
  # A new alert that whom.json does not name yet.
  receiver: hub-ticket
  group_by: [alertname]
  group_wait: 45s
  group_interval: 1m
  repeat_interval: 4h
  routes:
    # Says nothing to anybody: it only keeps silent what goes on after its cause (causes.json).
    - matchers: [severity="none"]
      receiver: nobody
    # Comes for as long as all goes well; whoever gets it is to call when it stays away.
    - matchers: [severity="heartbeat"]
      receiver: heartbeat
      group_wait: 0s
      group_interval: 1m
      repeat_interval: 5m
    # What whom.json does not name yet and wants a person now.
    - matchers: [severity="page", alertname!~"{named}"]
      receiver: hub-page
"""
_PAGE: Final = """\
    - matchers: [severity="page", alertname=~"{names}"]
      receiver: {who}-page
"""
_TICKET: Final = """\
    - matchers: [severity="ticket", alertname=~"{names}"]
      receiver: {who}-ticket
      group_wait: 5m
      group_interval: 30m
      repeat_interval: 24h
      active_time_intervals: [working-hours]
"""


class Cause(NamedTuple):
    """One cause of several alerts: while it fires, they reach nobody.

    Attributes:
        cause: The alert that a person gets.
        why: The reason, for whoever reads the file.
        silences: Silent while it fires.
        also_after: The same, and for forty minutes afterwards: they look back over a window, or go
            on until what was late is caught up.
        where: Labels that the cause must have.
        equal: Labels that both must have alike.
    """

    cause: str
    why: str
    silences: Sequence[str]
    also_after: Sequence[str]
    where: dict[str, str] = {}  # noqa: RUF012 - never changed
    equal: Sequence[str] = ()

    @property
    def targets(self) -> list[str]:
        """All that is silent while it fires."""
        return sorted({*self.silences, *self.also_after})


def causes() -> list[Cause]:
    """Return the tree of causes."""
    return [Cause(**row) for row in json.loads((_FOLDER / "causes.json").read_bytes())]


def whom() -> dict[str, list[str]]:
    """Return the alerts of each part of the people on call."""
    found: dict[str, list[str]] = json.loads((_FOLDER / "whom.json").read_bytes())
    return found


def with_pages() -> set[str]:
    """Return who is also paged; the receivers of the others are tickets alone."""
    return {"hub", "platform", "register"}


def made() -> str:
    """Return the half that is made, always the same for the same data."""
    everybody = whom()
    named = sorted(name for names in everybody.values() for name in names)
    lines = [MARK, _ROUTE.format(named="|".join(named))]
    for who, names in everybody.items():
        if who in with_pages():
            lines.append(_PAGE.format(names="|".join(names), who=who))
        lines.append(_TICKET.format(names="|".join(names), who=who))
    lines.append("\ninhibit_rules:\n")
    for cause in causes():
        lines.append(f"  # {cause.why}\n")
        lines.append(_inhibition({"alertname": cause.cause, **cause.where}, cause, cause.targets))
        if cause.also_after:
            source = {"alertname": AFTERMATH, "cause": cause.cause, **cause.where}
            lines.append(_inhibition(source, cause, sorted(cause.also_after)))
    return "".join(lines)


def _inhibition(source: dict[str, str], cause: Cause, targets: Iterable[str]) -> str:
    matchers = ", ".join(f'{name}="{value}"' for name, value in source.items())
    text = f"  - source_matchers: [{matchers}]\n"
    text += f'    target_matchers: [alertname=~"{"|".join(targets)}"]\n'
    if cause.equal:
        text += f"    equal: [{', '.join(cause.equal)}]\n"
    return text


def page() -> str:
    """Return the whole file: its own half as it is, and the half that is made."""
    return OUTPUT.read_text("utf-8").partition(MARK)[0] + made()


def main() -> None:
    """Write it."""
    OUTPUT.write_text(page(), "utf-8")
    print(OUTPUT)  # noqa: T201 - a command says what it wrote


if __name__ == "__main__":
    main()
