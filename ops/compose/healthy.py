"""Says by its exit code whether a process of the hub answers: `healthy.py URL [HOST:PORT]`.

The address must answer 200 within three seconds, and the port, if one is given, take a connection.
Standard library only: it runs in the image, next to the hub.
"""

from __future__ import annotations

import socket
import sys
from urllib.error import URLError
from urllib.request import urlopen

_SECONDS = 3.0


def healthy(url: str, door: str | None = None) -> bool:
    """Say whether the address answers 200 and the door, HOST:PORT, takes a connection."""
    try:
        with urlopen(url, timeout=_SECONDS) as answer:  # noqa: S310 - an address of our own file
            if answer.status != 200:
                return False
        if door is not None:
            host, _, port = door.rpartition(":")
            socket.create_connection((host, int(port)), timeout=_SECONDS).close()
    except (URLError, OSError):
        return False
    return True


if __name__ == "__main__":
    sys.exit(0 if healthy(*sys.argv[1:3]) else 1)
