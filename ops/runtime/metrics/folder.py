"""The figures as text: of this process, or of all that share a folder.

Each process writes files of its own into the folder (prometheus_client's multiprocess mode), and
whoever is asked reads them all. When a process has ended, what it counted is added to a file of the
ended and its own go: a hub whose processes end a thousand times has as many files as one whose
never do, and no counter ever goes back.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry, generate_latest, start_http_server
from prometheus_client.metrics_core import Metric
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import REGISTRY, Collector

from ops.runtime.logs import get_logger, place_of
from ops.runtime.settings import metrics_folder

_log = get_logger(__name__)

_LOCK: Final = "lock"
_ENDED: Final = "ended"
_COUNTED: Final = ("counter", "histogram")
"""Kinds of which what an ended process counted still counts."""


_DAMAGED: Final = (struct.error, ValueError, RuntimeError)
"""What the client raises on a file that was made and not sized, or is cut off."""


class _Files(Collector):
    """The files of a folder; one that cannot be read is passed over.

    Its process may be about to size it, or was killed before it did.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterator[Metric]:
        """Return what the files hold together."""
        merge: Any = MultiProcessCollector.merge
        files = [str(path) for path in self._folder.glob("*.db")]
        try:
            found = merge(files)
        except _DAMAGED:
            found = merge([path for path in files if _is_whole(path)])
        return iter(found)


def _is_whole(path: str) -> bool:
    read: Any = MmapedDict.read_all_values_from_file
    try:
        for _ in read(path):
            pass
    except (*_DAMAGED, OSError):
        return False
    return True


class Told(Collector):
    """Figures that one process alone knows, given beside the table's; each set replaces the last.

    What is in the shared folder stays there as long as its process lives. A set that changes, such
    as the laboratories that send most, would grow there without bound; here it cannot.
    """

    def __init__(self) -> None:
        self._families: list[Metric] = []

    def tell(self, families: list[Metric]) -> None:
        """Replace what is told."""
        self._families = families

    def collect(self) -> list[Metric]:
        """Return what is told."""
        return self._families


def render(told: Told | None = None) -> bytes:
    """Return the figures as Prometheus text: of all processes where they share a folder.

    Args:
        told: What this process tells beside.
    """
    more = b"" if told is None else _text_of(told)
    folder = metrics_folder()
    if folder is None:
        return generate_latest(REGISTRY) + more
    registry = CollectorRegistry()
    with _locked(folder, fcntl.LOCK_SH):
        registry.register(_Files(folder))
        return generate_latest(registry) + more


def serve(host: str, port: int) -> None:
    """Give this process's own `/metrics` on a port of its own; 0 = not at all."""
    if port:
        start_http_server(port, addr=host)


def forget_process(folder: Path, pid: int) -> None:
    """Let the gauges of a process that ended go; what it counted stays, with that of all ended.

    Never raises: on a full disk its files stay as they are, and are read one by one; a file that
    cannot be read goes.
    """
    try:
        with _locked(folder, fcntl.LOCK_EX):
            mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]
            for kind in _COUNTED:
                _add_to_ended(folder, kind, pid)
    except OSError as error:
        _log.warning(
            "figures_not_folded",
            reason=errno.errorcode.get(error.errno or 0, "unknown"),
            remedy="nothing is lost; make room on the disk of the data folder",
        )
    except Exception as error:  # noqa: BLE001 - boundary: figures keep no process from its next start
        _log.error("figures_not_folded", error=type(error).__name__, where=place_of(error))


def _text_of(told: Told) -> bytes:
    registry = CollectorRegistry()
    registry.register(told)
    return generate_latest(registry)


def _add_to_ended(folder: Path, kind: str, pid: int) -> None:
    own = folder / f"{kind}_{pid}.db"
    if not own.exists():
        return
    ended = folder / f"{kind}_{_ENDED}.db"
    values: dict[str, float] = {}
    for path in (ended, own):
        for key, value in _values_of(path).items() if path.exists() else ():
            values[key] = values.get(key, 0.0) + value
    scratch = folder / f"{kind}_{_ENDED}.new"
    scratch.write_bytes(_packed(values))
    # Whoever reads waits for the lock: nobody sees both, or neither.
    scratch.replace(ended)
    own.unlink()


def _values_of(path: Path) -> dict[str, float]:
    """Return what a file holds; nothing, logged, where it cannot be read."""
    read: Any = MmapedDict.read_all_values_from_file
    try:
        return {key: value for key, value, *_ in read(str(path))}
    except _DAMAGED:
        remedy = "what it counted is missing from the figures; messages are not concerned"
        _log.warning("figures_damaged", reason="file_unreadable", remedy=remedy)
        return {}


def _packed(values: dict[str, float]) -> bytes:
    """Return a file as prometheus_client's MmapedDict lays it out.

    Not by way of its own mapping: on a full disk a write into a hole of a mapped file ends the
    process, a plain one is an error.
    """
    parts = [b""]
    for key, value in values.items():
        text = key.encode()
        text += b" " * (8 - (len(text) + 4) % 8)
        parts.append(struct.pack(f"i{len(text)}sdd", len(key.encode()), text, value, 0.0))
    body = b"".join(parts)
    return struct.pack("ii", 8 + len(body), 0) + body


@contextmanager
def _locked(folder: Path, how: int) -> Iterator[None]:
    """Hold the folder's lock: many may read, one may move files."""
    handle = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, how)
        yield
    finally:
        os.close(handle)
