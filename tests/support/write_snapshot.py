"""Write schemas/sql/snapshot.txt anew: `python -m tests.support.write_snapshot`."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from ops.runtime.migrate import migrate, snapshot
from ops.runtime.postgres import connected
from tests.support.postgres import open_folder, scratch_server

TARGET = Path(__file__).parents[2] / "schemas" / "sql" / "snapshot.txt"


async def _write(connect: dict[str, object]) -> None:
    await migrate(connect)
    async with connected(connect, "looking") as connection:
        TARGET.write_text(await snapshot(connection), "utf-8")


def main() -> None:
    """Migrate a scratch database and write down what it became."""
    folder = open_folder()
    server = scratch_server(folder)
    try:
        server.start()
        asyncio.run(_write(server.connect_kwargs()))
    finally:
        server.stop()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
