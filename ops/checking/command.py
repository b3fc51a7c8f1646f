"""`labdispatch check`: reads files, prints a report, gives the exit code. Stores nothing."""

from __future__ import annotations

import os
import shutil
import sys
from typing import Final, Protocol

import msgspec

from ops.splitting import split_parts
from schemas.errors import PermanentError

from .entries import Entry, Options, check
from .files import STDIN, files_of, read_file

GOOD: Final = 0
BAD: Final = 1
UNREADABLE: Final = 2


class Report(Protocol):
    """What writes entries in one format."""

    def entry(self, entry: Entry) -> str:
        """Return what is written of an entry at once."""
        ...

    def summary(self) -> str:
        """Return what is written at the end."""
        ...


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line asked for."""

    names: tuple[str, ...]
    options: Options
    format: str = "text"
    strict: bool = False
    quiet: bool = False
    verbose: bool = False
    colour: str = "auto"
    hub_url: str = "http://127.0.0.1:8575"


def run_check(asked: Asked) -> int:
    """Check every message of every file and print; return the exit code.

    0: no error. 1: an error (or, with `strict`, a warning) in a message. 2: a file that cannot be
    read or holds no message, whatever else was found; what could be read is reported all the same.
    """
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # a terminal without … still gets its report
    report = _report(asked)
    exit_code, is_unreadable, has_file = GOOD, False, False
    for name in files_of(asked.names):
        has_file = True
        shown = "<stdin>" if name == STDIN else name
        try:
            content = read_file(name)
        except PermanentError as error:
            _complain(shown, error.remedy)
            is_unreadable = True
            continue
        number = 0
        for number, part in enumerate(split_parts(content), 1):
            entry = check(part, shown, number, asked.options)
            if is_bad(entry, strict=asked.strict):
                exit_code = BAD
            sys.stdout.write(report.entry(entry))
        if not number:
            _complain(shown, "no message in it")
            is_unreadable = True
    sys.stdout.write(report.summary())
    sys.stdout.flush()
    if not has_file:
        _complain(" ".join(asked.names), "no file of this name, and none in it")
    return UNREADABLE if is_unreadable or not has_file else exit_code


def is_bad(entry: Entry, *, strict: bool) -> bool:
    """Say whether a message makes the check fail: not AA, an error, or a warning where strict."""
    return entry.verdict != "AA" or entry.errors > 0 or (strict and entry.warnings > 0)


def _complain(name: str, text: str) -> None:
    sys.stderr.write(f"labdispatch check: {name}: {text}\n")


def _report(asked: Asked) -> Report:
    """Make the report of the format that was asked for; each is imported only when it is."""
    if asked.format == "json":
        from .as_json import JsonReport  # noqa: PLC0415 - start-up is half of a short run

        return JsonReport()
    if asked.format == "sarif":
        from importlib.metadata import version  # noqa: PLC0415

        from .as_sarif import SarifReport  # noqa: PLC0415

        return SarifReport(
            version=version("labdispatch"),
            hub_url=asked.hub_url,
            language=asked.options.language,
        )
    from .as_text import TextReport  # noqa: PLC0415

    return TextReport(
        language=asked.options.language,
        colour=_is_coloured(asked.colour),
        width=shutil.get_terminal_size((100, 24)).columns if sys.stdout.isatty() else 120,
        quiet=asked.quiet,
        verbose=asked.verbose,
    )


def _is_coloured(wish: str) -> bool:
    """Say whether to colour: as asked, else at a terminal that does not say NO_COLOR."""
    if wish != "auto":
        return wish == "always"
    # NO_COLOR and TERM are of the terminal, not settings of the hub.
    environment = os.environ
    return (
        sys.stdout.isatty()
        and not environment.get("NO_COLOR")
        and (environment.get("TERM") != "dumb")
    )
