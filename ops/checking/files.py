"""Files that were named on the command line: files, folders, patterns, standard input."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterator
from typing import Final

from schemas.errors import PermanentError

SUFFIXES: Final = (".hl7", ".er7", ".msg", ".oru", ".oul", ".mdm", ".txt")
"""What is taken out of a folder; a file that is named is taken by any name."""
STDIN: Final = "-"
MAX_FILE_BYTES: Final = 512 * 1024 * 1024


def files_of(names: tuple[str, ...]) -> Iterator[str]:
    """Yield the files that the names mean, each once, those of a folder or pattern in order.

    A name that means no file is given as it stands, so that reading it says what is wrong.
    """
    seen: set[str] = set()
    for name in names:
        for file in _meant(name):
            if file not in seen:
                seen.add(file)
                yield file


def _meant(name: str) -> list[str]:
    if name == STDIN:
        return [name]
    if os.path.isdir(name):  # noqa: PTH112 - pathlib costs a tenth of the whole run
        found = []
        for folder, folders, files in os.walk(name):
            folders[:] = sorted(each for each in folders if not each.startswith("."))
            found += [
                os.path.join(folder, file)  # noqa: PTH118
                for file in sorted(files)
                if file.lower().endswith(SUFFIXES) and not file.startswith(".")
            ]
        return found
    if any(mark in name for mark in "*?[") and not os.path.lexists(name):
        return sorted(
            each
            for each in glob.glob(name, recursive=True)  # noqa: PTH207
            if os.path.isfile(each)  # noqa: PTH113
        )
    return [name]


def read_file(name: str) -> bytes:
    """Return what a file holds; standard input for `-`.

    Raises:
        PermanentError: It cannot be read, or is larger than 512 MiB.
    """
    try:
        if name == STDIN:
            content = sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
        else:
            with open(name, "rb") as file:  # noqa: PTH123
                content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise PermanentError("file_unreadable", error.strerror or type(error).__name__) from None
    if len(content) > MAX_FILE_BYTES:
        raise PermanentError("file_too_large", "a file may have 512 MiB: cut it into several")
    return content
