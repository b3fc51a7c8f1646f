"""What `labdispatch settings` says: which settings count, and whether they can work."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from ops.runtime.settings import PREFIX, Settings
from ops.runtime.settings_fit import dangers, is_in_the_clear
from schemas.errors import FatalError

SECRET_FILES: Final = frozenset(
    {"postgres_dsn_file", "kafka_sasl_password_file", "kafka_key", "mllp_tls_key", "http_tls_key"}
)
"""Closed to others, or refused."""
READ_FILES: Final = SECRET_FILES | {
    "kafka_ca",
    "kafka_cert",
    "mllp_tls_cert",
    "mllp_tls_client_ca",
    "mllp_tls_crl",
    "http_tls_cert",
    "http_tls_client_ca",
    "http_tls_crl",
    "population_file",
}
SECRETS: Final = frozenset({"postgres_dsn"})
_OPEN_TO_OTHERS: Final = 0o077


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One setting as it counts."""

    variable: str
    value: str
    """`(set)` of a secret."""
    is_given: bool
    """Whether the environment says it; else it is the default."""


def tell(settings: Settings, *, everything: bool) -> list[Told]:
    """Return settings that were given, or all of them, in their order; no secret."""
    found = []
    for name in Settings.model_fields:
        is_given = name in settings.model_fields_set
        if everything or is_given:
            value = getattr(settings, name)
            said = "(set)" if name in SECRETS and value is not None else _plain(value)
            found.append(Told(variable=PREFIX + name.upper(), value=said, is_given=is_given))
    return found


def faults(settings: Settings) -> Iterator[str]:
    """Give what only the machine can tell: files that are not there, or open to others."""
    for name in sorted(READ_FILES):
        path = getattr(settings, name)
        if path is None:
            continue
        if not os.access(path, os.R_OK) or not path.is_file():
            yield f"{name}: no file that this user can read"
        elif name in SECRET_FILES and path.stat().st_mode & _OPEN_TO_OTHERS:
            yield f"{name}: others can read it: chmod 600"
    if settings.postgres_dsn_file is not None:
        try:
            if is_in_the_clear(settings.database_address):
                yield "postgres_dsn_file: sslmode=disable beyond this machine"
        except FatalError as error:
            yield error.remedy
    if not _can_be_written(settings.data_dir):
        yield "data_dir: this user cannot write there"


def weak_points(settings: Settings) -> list[str]:
    """Return what is allowed and weakens a promise."""
    return list(dangers(settings))


def _can_be_written(folder: Path) -> bool:
    """Say whether a folder, or the one it would be made in, takes something new."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


def _plain(value: object) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
