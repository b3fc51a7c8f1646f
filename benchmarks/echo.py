"""The yardstick: a bare MLLP server on asyncio and uvloop that answers each frame with one ACK.

`python -m benchmarks.echo` prints its port and serves until it is ended. It reads nothing but the
ends of frames, keeps nothing, and answers everything that came in one read with one write.
"""

from __future__ import annotations

import asyncio
from typing import Final, cast

import uvloop

CONTROL_ID: Final = b"ECHO"
_END: Final = b"\x1c\r"
_ACK: Final = (
    b"\x0bMSH|^~\\&|HUB|HUB|LAB|LAB|20260306101502+0100||ACK^R01^ACK|A0000001|T|2.5.1\r"
    b"MSA|AA|" + CONTROL_ID + b"\r" + _END
)


class Echo(asyncio.Protocol):
    """One connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what to write to."""
        self._transport = cast("asyncio.WriteTransport", transport)
        self._last = b""

    def data_received(self, data: bytes) -> None:
        """Answer every frame that ends in these bytes."""
        frames = data.count(_END)
        if self._last == b"\x1c" and data.startswith(b"\r"):
            frames += 1
        self._last = data[-1:]
        if frames:
            self._transport.write(_ACK * frames)


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve())
