"""`labdispatch drain`: one process of a run ends in order, and the run starts it again."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Final

from ops.runtime.data_folder import Child, ProcessLedger
from ops.runtime.processes import is_running
from schemas.errors import PermanentError, TransientError

_LOOK_SECONDS: Final = 0.05


def drain(data_dir: Path, name: str, within_seconds: float) -> int:
    """Tell a process of a run to stop in order, and wait until it has.

    It takes nothing new, answers what it has, commits or gives back what it has in hand, and ends;
    whoever supervises it starts it again. Processes that systemd or an orchestrator started are
    theirs to stop: SIGTERM does the same.

    Raises:
        PermanentError: No process of that name is in the books of this data folder.
        TransientError: It has not ended in time; it goes on ending by itself.
    """
    child = _child(data_dir, name)
    os.kill(child.process.pid, signal.SIGTERM)
    began = time.monotonic()
    while is_running(child.process):
        if time.monotonic() - began > within_seconds:
            raise TransientError(
                "still_draining", f"process {child.process.pid} has not ended: read its log"
            )
        time.sleep(_LOOK_SECONDS)
    took = time.monotonic() - began
    sys.stdout.write(f"{name} (process {child.process.pid}) ended in order after {took:.1f} s\n")
    return 0


def _child(data_dir: Path, name: str) -> Child:
    children = ProcessLedger(data_dir).children()
    for child in children:
        if child.role == name:
            return child
    if not children:
        raise PermanentError(
            "no_such_process",
            "no run has this data folder; what systemd or an orchestrator has started is theirs to"
            " drain: systemctl restart labdispatch-ROLE, docker compose restart SERVICE",
        )
    names = ", ".join(sorted(child.role for child in children))
    raise PermanentError("no_such_process", f"of this data folder there run: {names}")
