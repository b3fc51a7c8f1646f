"""An MLLP client as a laboratory has one: sends, waits for the answer, keeps a journal.

Used by `labdispatch send` and `labdispatch simulate`, by tests and by benchmarks; it knows nothing
of the hub but its address.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Final, Self

import msgspec

from schemas.errors import TransientError

_VT: Final = b"\x0b"
_END: Final = b"\x1c\r"


class Acknowledgement(msgspec.Struct, frozen=True, kw_only=True):
    """What came back for one message. `code` is MSA-1, empty when nothing readable came."""

    code: str
    control_id: str
    """MSA-2: the control id of the message that is answered."""
    raw: bytes

    @property
    def is_durable(self) -> bool:
        """Say whether the hub took responsibility (AA or CA)."""
        return self.code in {"AA", "CA"}


def read_acknowledgement(raw: bytes) -> Acknowledgement:
    """Read MSA-1 and MSA-2 out of an ACK in any separators."""
    separator = raw[3:4] or b"|"
    for line in raw.replace(b"\n", b"\r").split(b"\r"):
        if line.startswith(b"MSA" + separator):
            fields = line.split(separator)
            code = fields[1].decode("ascii", "replace") if len(fields) > 1 else ""
            control_id = fields[2].decode("utf-8", "replace") if len(fields) > 2 else ""
            return Acknowledgement(code=code, control_id=control_id, raw=raw)
    return Acknowledgement(code="", control_id="", raw=raw)


class MllpClient:
    """One connection to a hub; answers come in the order of what was sent.

    Args:
        host: Where the hub is.
        port: Of its MLLP door.
        timeout_seconds: The longest one step may take.
        tls: Whom we trust and our own certificate; None: clear text.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        timeout_seconds: float = 30.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._tls = tls
        self._host = host
        self._port = port
        self._timeout_seconds = timeout_seconds
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def connect(self) -> None:
        """Connect.

        Raises:
            TransientError: Nobody listens there, or not in time (`hub_unreachable`).
        """
        try:
            async with asyncio.timeout(self._timeout_seconds):
                self._reader, self._writer = await asyncio.open_connection(
                    self._host, self._port, limit=16 * 1024 * 1024, ssl=self._tls
                )
        except (OSError, TimeoutError):
            raise TransientError(
                "hub_unreachable", f"is a hub listening on {self._host}:{self._port}?"
            ) from None

    async def send(self, message: bytes) -> Acknowledgement:
        """Send one message and wait for its answer.

        Raises:
            TransientError: The connection ended without an answer (`no_answer`): send again.
        """
        if self._writer is None or self._reader is None:
            await self.connect()
        assert self._writer is not None
        try:
            async with asyncio.timeout(self._timeout_seconds):
                self._writer.write(_VT + message + _END)
                await self._writer.drain()
                return await self.receive()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            await self.close()
            raise TransientError(
                "no_answer", "the message may be kept or not: send again"
            ) from None

    async def receive(self) -> Acknowledgement:
        """Read the next answer off the connection.

        Raises:
            asyncio.IncompleteReadError: The hub closed without one.
        """
        assert self._reader is not None
        frame = await self._reader.readuntil(_END)
        return read_acknowledgement(frame[frame.find(_VT) + 1 : -len(_END)])

    async def close(self) -> None:
        """Close; what was in flight counts as not answered."""
        writer, self._writer, self._reader = self._writer, None, None
        if writer is not None:
            writer.close()
            try:
                async with asyncio.timeout(1):
                    await writer.wait_closed()
            except (OSError, TimeoutError):
                return

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
