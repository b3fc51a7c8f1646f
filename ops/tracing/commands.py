"""`labdispatch trace`: what it prints."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec

from ops.asking import Asker
from ops.looking import instance_at
from ops.printing import print_json

from .as_text import as_text
from .asking import identities, trace
from .finding import Wanted


async def print_trace(
    data_dir: Path, wanted: Wanted, *, shown_to: Asker | None, as_json: bool
) -> int:
    """Print ways; give 1 when there is none.

    Args:
        data_dir: Of the instance.
        wanted: What somebody has in hand.
        shown_to: Who is to see the patient too, and why; None: nobody.
        as_json: For a program.
    """
    async with instance_at(data_dir) as hub:
        traces = await trace(hub, wanted)
        shown = {} if shown_to is None else await identities(hub, traces, shown_to)
    if as_json:
        told: list[dict[str, Any]] = msgspec.to_builtins(traces, builtin_types=())
        for each in told:
            if str(each["message_id"]) in shown:
                each["identity"] = shown[str(each["message_id"])]
        print_json(told)
    else:
        sys.stdout.write(as_text(traces, shown))
    return 0 if traces else 1
