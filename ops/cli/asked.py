"""What commands share: options of the instance, who asks and why, and how work is run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])
Run = Callable[[Coroutine[Any, Any, int | None]], None]


class Option(Protocol):
    """An option that several commands share."""

    def __call__(self, command: Command, /) -> Command:
        """Give a command the option."""
        ...


DEFAULT_DATA_DIR: Final = Path("var/hub")

data_dir_option = click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="LABDISPATCH_DATA_DIR",
    default=DEFAULT_DATA_DIR,
    show_default=True,
    help="The folder of the running instance.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for a program.")

_ACTOR = click.option(
    "--actor", default=None, help="Who asks; kept in the audit trail. Default: this user."
)
_HELP = "Why; kept in the audit trail. No personal data."


def audited(command: Command) -> Command:
    """Take who asks and, if it is said, why."""
    return _ACTOR(click.option("--reason", default="", help=_HELP)(command))


def reasoned(command: Command) -> Command:
    """Take who asks and why; why must be given."""
    return _ACTOR(click.option("--reason", required=True, help=_HELP)(command))


def asker_of(actor: str | None, reason: str) -> Any:
    """Return who asks: the user of this process unless another is named."""
    from ops.asking import Asker
    from ops.register.labs import who_asks

    return Asker(actor=actor or who_asks(), reason=reason)


def run_alone(work: Coroutine[Any, Any, int | None]) -> None:
    """Run on uvloop; a number given back is the exit code."""
    import uvloop

    try:
        code = uvloop.run(work)
    except KeyboardInterrupt:
        sys.exit(130)
    if code:
        sys.exit(code)
