"""`labdispatch status` and `labdispatch top`: what they print."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import msgspec
from rich.console import Console
from rich.live import Live

from ops.bootstrap import Hub
from ops.doctor.checks import State, as_text
from ops.figures import Figures, figures_of
from ops.looking import instance_at
from ops.printing import print_json
from schemas.errors import HubError

from .keys import pressed
from .looking import address_of, look
from .screen import Frame, frame_of, render
from .situation import in_flight, situation

_WANTED: frozenset[State] = frozenset({State.WRONG, State.ADVICE})


async def print_status(data_dir: Path, *, as_json: bool) -> int:
    """Print one look; give 1 where something wants a person."""
    async with instance_at(data_dir) as hub:
        found = situation(await look(hub))
    if as_json:
        print_json(found)
    else:
        sys.stdout.write(as_text(found))
    return 1 if any(each.state in _WANTED for each in found) else 0


async def show_top(data_dir: Path, console: Console | None = None) -> int:
    """Show a screen that stays until `q` or Ctrl-C; where there is no terminal, one frame."""
    screen = console or Console()
    async with instance_at(data_dir) as hub:
        address, seconds = address_of(hub.settings), hub.settings.top_seconds
        before = await figures_of(address, hub.settings)
        await asyncio.sleep(seconds if screen.is_terminal else min(seconds, 1.0))
        frame, before = await _frame(hub, address, before, seconds)
        if not screen.is_terminal:
            screen.print(render(frame))
            return 0
        with Live(render(frame), console=screen, screen=True, auto_refresh=False) as live:
            async with pressed("q") as quitting:
                while not await quitting.within(seconds):
                    frame, before = await _frame(hub, address, before, seconds)
                    live.update(render(frame), refresh=True)
    return 0


async def _frame(
    hub: Hub, address: str, before: Figures | None, seconds: float
) -> tuple[Frame, Figures | None]:
    now = await figures_of(address, hub.settings)
    try:
        seen = await look(hub)
    except HubError as error:
        return frame_of(now, before, seconds, [], fault=error.reason), now
    hints = [each for each in situation(seen) if each.state in _WANTED]
    # Counted, not taken from figures: a dispatch that is away gives none.
    lag, waits = in_flight(seen)
    frame = frame_of(now, before, seconds, hints)
    return msgspec.structs.replace(frame, lag=lag, oldest_seconds=waits.total_seconds()), now
