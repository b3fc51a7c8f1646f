"""Places at which a test may kill, stop or break a process on purpose.

A failpoint costs one look at an empty dict in production. They are armed by the setting
`failpoints` alone: `dispatch.before_commit=kill@3,ingest.after_append=stop`.
"""

from __future__ import annotations

import os
import signal
from typing import Final

import msgspec

from schemas.errors import FatalError, TransientError

FAILPOINTS: Final = frozenset(
    {
        "ingest.received",
        "ingest.before_append",
        "ingest.after_append",
        "ingest.before_answer",
        "ingest.after_answer",
        "batch.after_window",
        "batch.after_checkpoint",
        "batch.after_done",
        "inbound.read",
        "inbound.before_advance",
        "inbound.after_advance",
        "dispatch.read",
        "dispatch.after_fence",
        "dispatch.after_locks",
        "dispatch.after_lookup",
        "dispatch.after_cases",
        "dispatch.before_outbox",
        "dispatch.before_commit",
        "dispatch.after_commit",
        "stewards.after_locks",
        "stewards.after_pointer",
        "stewards.after_page",
        "stewards.before_outbox",
        "stewards.before_commit",
        "stewards.after_commit",
        "relay.at_start",
        "relay.read",
        "relay.in_transaction",
        "relay.after_commit",
        "push.after_take",
        "push.before_send",
        "push.after_send",
        "push.after_note",
        "export.after_segment",
        "export.after_file",
        "indicators.read",
        "indicators.before_commit",
        "indicators.after_commit",
        "indicators.before_tables",
        "indicators.before_extraction",
        "indicators.after_extraction",
    }
)
_ACTIONS: Final = frozenset({"kill", "stop", "raise", "transient"})


class FailpointError(RuntimeError):
    """What `raise` raises: an error that nobody has classified."""


class _Armed(msgspec.Struct):
    action: str
    wait: int


_armed: dict[str, _Armed] = {}


def arm(text: str) -> None:
    """Arm the failpoints of `name=kill|stop|raise|transient[@N]`, separated by commas.

    `@N` acts at the N-th hit (1 by default), once; an empty text disarms all.

    Raises:
        FatalError: A name or an action that does not exist (`settings_invalid`).
    """
    wanted: dict[str, _Armed] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, _, rest = part.partition("=")
        action, _, count = rest.partition("@")
        if name not in FAILPOINTS or action not in _ACTIONS or not (count or "1").isdigit():
            raise FatalError(
                "settings_invalid",
                "failpoints takes name=kill|stop|raise|transient[@N]; names: "
                + ", ".join(sorted(FAILPOINTS)),
            )
        wanted[name] = _Armed(action=action, wait=int(count or "1"))
    _armed.clear()
    _armed.update(wanted)


def armed() -> frozenset[str]:
    """Return the names that wait to act."""
    return frozenset(_armed)


def hit(name: str) -> None:
    """Pass a failpoint: does nothing unless it is armed."""
    if _armed:
        _fire(name)


def _fire(name: str) -> None:
    armed = _armed.get(name)
    if armed is None:
        return
    armed.wait -= 1
    if armed.wait > 0:
        return
    del _armed[name]
    if armed.action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif armed.action == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif armed.action == "transient":
        raise TransientError("failpoint", "armed on purpose")
    else:
        raise FailpointError(name)
