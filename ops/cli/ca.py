"""The commands `ca`: a development authority for tests of the doors."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ops.ca import DevelopmentCa

_folder = click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("var/ca"),
    show_default=True,
    help="Where the authority's files are.",
)
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for a program.")
_days = click.option(
    "--days", type=click.IntRange(1, 3650), default=90, show_default=True, help="How long it holds."
)


def add_to(main: click.Group) -> None:
    """Add the group `ca` to the whole."""

    @main.group()
    def ca() -> None:
        """Issue certificates for development and tests; refused in realm production."""

    @ca.command()
    @click.option("--days", type=click.IntRange(1, 3650), default=365, show_default=True,
                  help="How long it holds.")  # fmt: skip
    @_folder
    @_json
    def init(days: int, folder: Path, as_json: bool) -> None:  # noqa: FBT001
        """Make the authority: ca.pem, ca.key and an empty crl.pem."""
        _say(_authority(folder).init(days=days), as_json=as_json)

    @ca.command()
    @click.argument("hosts", metavar="HOST...", nargs=-1, required=True)
    @_days
    @_folder
    @_json
    def server(hosts: tuple[str, ...], days: int, folder: Path, as_json: bool) -> None:  # noqa: FBT001
        """Issue server.pem and server.key for a door with these names and addresses."""
        _say(_authority(folder).issue_server(hosts, days=days), as_json=as_json)

    @ca.command()
    @click.argument("name")
    @_days
    @_folder
    @_json
    def client(name: str, days: int, folder: Path, as_json: bool) -> None:  # noqa: FBT001
        """Issue client-NAME.pem and .key for a laboratory.

        Then tell the register: `labdispatch labs certificate add LAB client-NAME.pem`.
        """
        _say(_authority(folder).issue_client(name, days=days), as_json=as_json)

    @ca.command()
    @click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
    @_folder
    @_json
    def revoke(file: Path, folder: Path, as_json: bool) -> None:  # noqa: FBT001
        """Put the certificate in FILE on crl.pem.

        A hub goes by its register: `labdispatch labs certificate revoke` does it there.
        """
        listed = _authority(folder).revoke(file.read_bytes())
        _say({"crl": str(folder / "crl.pem"), "revoked": listed}, as_json=as_json)


def _authority(folder: Path) -> DevelopmentCa:
    from ops.ca import DevelopmentCa
    from ops.runtime.settings import load_settings

    return DevelopmentCa(folder, load_settings().realm)


def _say(what: Any, *, as_json: bool) -> None:
    import msgspec

    if as_json:
        from ops.printing import print_json

        print_json(what)
        return
    for name, value in msgspec.to_builtins(what).items():
        sys.stdout.write(f"{name.replace('_', ' '):<12} {value}\n")
