"""Under which system user PostgreSQL runs: it refuses root, so root lends it a user of its own."""

from __future__ import annotations

import os
import pwd
import subprocess
from pathlib import Path
from typing import Any

import msgspec

from schemas.errors import FatalError

SYSTEM_USER = "labdispatch"
_USERADD = (
    "useradd",
    "--system",
    "--user-group",
    "--no-create-home",
    "--home-dir",
    "/nonexistent",
    "--shell",
    "/usr/sbin/nologin",
    SYSTEM_USER,
)


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """The system user of the server processes.

    Attributes:
        lent: Whether it is another user than the one that runs this process.
    """

    name: str
    uid: int
    gid: int
    lent: bool

    def as_user(self) -> dict[str, Any]:
        """Give the subprocess arguments that start a process as this user."""
        if not self.lent:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def own(self, path: Path) -> None:
        """Hand a file or folder that we have just made to this user."""
        if self.lent:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)


def current() -> Account:
    """Give the account of this process; as root the system user, made if it is missing.

    Raises:
        FatalError: `system_user_missing`, with the command to type.
    """
    if os.geteuid() != 0:
        return Account(name=_name(os.geteuid()), uid=os.geteuid(), gid=os.getegid(), lent=False)
    try:
        entry = pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        entry = _make()
    return Account(name=SYSTEM_USER, uid=entry.pw_uid, gid=entry.pw_gid, lent=True)


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # a container may run as a bare number
        return str(uid)


def _make() -> pwd.struct_passwd:
    try:
        subprocess.run(  # noqa: S603 - constant arguments
            _USERADD,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
            timeout=60,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        )
        return pwd.getpwnam(SYSTEM_USER)  # another start may have been faster: that is fine
    except (OSError, subprocess.TimeoutExpired, KeyError):
        raise FatalError(
            "system_user_missing",
            "PostgreSQL does not run as root and its user cannot be made here; type: "
            + " ".join(_USERADD)
            + " - or run as an ordinary user",
        ) from None
