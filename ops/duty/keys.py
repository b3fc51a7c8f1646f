"""Waits for a key at a terminal, without an Enter, and puts the terminal back as it was."""

from __future__ import annotations

import asyncio
import sys
import termios
import tty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Quitting:
    """Whether the key was pressed."""

    def __init__(self) -> None:
        self._pressed = asyncio.Event()

    def press(self) -> None:
        """Note it."""
        self._pressed.set()

    async def within(self, seconds: float) -> bool:
        """Wait so long at most; say whether it was pressed."""
        try:
            async with asyncio.timeout(seconds):
                await self._pressed.wait()
        except TimeoutError:
            return False
        return True


@asynccontextmanager
async def pressed(key: str) -> AsyncIterator[Quitting]:
    """Watch standard input for a key; where that is no terminal, nothing is ever pressed."""
    quitting = Quitting()
    if not sys.stdin.isatty():
        yield quitting
        return
    handle, loop = sys.stdin.fileno(), asyncio.get_running_loop()
    before = termios.tcgetattr(handle)

    def read() -> None:
        if key in sys.stdin.read(1).lower():
            quitting.press()

    tty.setcbreak(handle)
    loop.add_reader(handle, read)
    try:
        yield quitting
    finally:
        loop.remove_reader(handle)
        termios.tcsetattr(handle, termios.TCSADRAIN, before)
