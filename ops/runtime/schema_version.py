"""Which schema this release knows: the number of its last migration, and which it runs beside.

An upgrade without a stop has two releases on one database for a while. The newer schema may hold
more than the older release knows, and nothing that it misses: migrations above `BESIDE` only add.
The database says so to the older release, in `schema_expansion`; each connection says of which
schema its process is, in its `application_name` (ADR 0059).
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from typing import Final

FILE_NAME: Final = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
BESIDE: Final = 19
"""Processes of this schema or a newer one run beside us: that of `ops/previous-release`."""
APART: Final = 19
"""Migrations above it stand in `schema_expansion`; up to it, in `schema_migration`."""


@cache
def schema_version() -> int:
    """Return the number of this release's last migration."""
    folder = resources.files("schemas") / "sql" / "migrations"
    return max(int(match[1]) for each in folder.iterdir() if (match := FILE_NAME.match(each.name)))


def named(role: str) -> str:
    """Return how a connection of this process calls itself."""
    return f"labdispatch {role} {schema_version():04d}"
