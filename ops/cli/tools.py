"""What a laboratory, or its vendor, needs no hub for, or only its door. No logic here."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from .asked import json_option, run_alone

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--to", "address", required=True, metavar="HOST:PORT", help="Where the hub listens.")
@json_option
@click.option("--tls-ca", type=_FILE, help="Over TLS: the authority of the hub's certificate.")
@click.option("--cert", type=_FILE, help="Over TLS: your certificate (PEM).")
@click.option("--key", type=_FILE, help="Over TLS: its key (PEM).")
def send(
    file: Path,
    address: str,
    as_json: bool,  # noqa: FBT001
    tls_ca: Path | None,
    cert: Path | None,
    key: Path | None,
) -> None:
    """Send every HL7 message of FILE (framed, bare, or a batch file) and print each answer.

    Exits 0 if every message was acknowledged (AA or CA), 1 otherwise.
    """
    from ops.sending import client_tls, send_file

    tls = client_tls(tls_ca, cert, key)
    run_alone(send_file(file, _address(address), as_json=as_json, tls=tls))


profile_option = click.option(
    "--profile",
    type=click.Choice(["fr", "generic"]),
    default="fr",
    show_default=True,
    help="Conventions: French, or none but HL7's.",
)
language_option = click.option(
    "--lang", type=click.Choice(["en", "fr"]), default="en", show_default=True, help="Language."
)


@click.command()
@click.argument("names", metavar="FILE...", nargs=-1, required=True)
@profile_option
@click.option(
    "--realm",
    type=click.Choice(["test", "production"]),
    default="test",
    show_default=True,
    help="Of the hub that would answer.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "sarif"]),
    default="text",
    show_default=True,
    help="For people, for programs, for code scanning.",
)
@language_option
@click.option("--strict", is_flag=True, help="A warning fails too (exit code 1).")
@click.option("--show-values", is_flag=True, help="Print the lines as they are (text only).")
@click.option("-q", "--quiet", is_flag=True, help="Only messages with findings, and the summary.")
@click.option("-v", "--verbose", is_flag=True, help="Remarks (level info) too.")
@click.option(
    "--color",
    "colour",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    show_default=True,
    help="auto: at a terminal, unless NO_COLOR is set.",
)
@click.option(
    "--hub",
    "hub_url",
    default="http://127.0.0.1:8575",
    show_default=True,
    metavar="URL",
    help="Where SARIF's links to the pages of the findings go.",
)
def check(
    names: tuple[str, ...],
    profile: str,
    realm: str,
    form: str,
    lang: str,
    strict: bool,  # noqa: FBT001
    show_values: bool,  # noqa: FBT001
    quiet: bool,  # noqa: FBT001
    verbose: bool,  # noqa: FBT001
    colour: str,
    hub_url: str,
) -> None:
    """Check HL7 messages before they are sent: what a hub would answer, why, and what to do.

    FILE is a file (framed, bare, several in one, or a batch file), a folder (its .hl7, .er7, .msg,
    .oru, .oul, .mdm and .txt), a pattern, or - for standard input. Nothing is sent or stored, and
    no hub is needed. Values are not shown, but their shape: 5 digits, 1 letter.

    Exits 0 without errors; 1 with an error in a message (AE, AR, or kept but no report could be
    made of it), with --strict also with a warning; 2 when a file cannot be read.
    """
    from ingest.judge import LabProfile
    from ops.checking.command import Asked, run_check
    from ops.checking.entries import Options
    from schemas.decision import Realm

    if show_values and form != "text":
        raise click.UsageError("--show-values is for --format text: a report is read by others")
    asked = Asked(
        names=names,
        options=Options(
            profile=LabProfile(name=profile),
            realm=Realm(realm),
            language=lang,
            show_values=show_values,
        ),
        format=form,
        strict=strict,
        quiet=quiet,
        verbose=verbose,
        colour=colour,
        hub_url=hub_url,
    )
    sys.exit(run_check(asked))


@click.command()
@click.argument("code")
@language_option
def explain(code: str, lang: str) -> None:
    """Explain a finding by its CODE: what is wrong, what to do, why, right and wrong examples."""
    from ops.checking.explaining import explained

    click.echo(explained(code, lang), nl=False)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--mllp-port", type=int, default=2576, show_default=True, help="For messages; 0 = any free one."
)
@click.option(
    "--http-port", type=int, default=8576, show_default=True, help="For the page; 0 = any free one."
)
@profile_option
@json_option
def sandbox(host: str, mllp_port: int, http_port: int, profile: str, as_json: bool) -> None:  # noqa: FBT001
    """Listen as a hub in realm test does, and show what it says of each message.

    Prints the code of a session; its last messages, with verdict and findings, are shown on a page
    and as JSON. Kept in memory only, 24 hours at most, without values. Ctrl-C ends it.
    """
    from ops.sandbox.command import SandboxOptions, run_sandbox

    run_alone(
        run_sandbox(
            SandboxOptions(
                host=host,
                mllp_port=mllp_port,
                http_port=http_port,
                profile=profile,
                as_json=as_json,
            )
        )
    )


@click.command()
@click.option("--labs", type=int, default=12, show_default=True, help="How many laboratories.")
@click.option(
    "--rate",
    type=float,
    default=20.0,
    show_default=True,
    help="Messages a second; 0 = as fast as answered.",
)
@click.option(
    "--count", type=int, default=None, help="Stop after so many messages; default: never."
)
@click.option(
    "--seed", type=int, default=None, help="The same seed gives the same bytes; default: a new one."
)
@click.option("--to", "address", required=True, metavar="HOST:PORT", help="Where the hub listens.")
@click.option(
    "--truth",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    help="Write who is who and what was sent, as NDJSON.",
)
@click.option(
    "--journal",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    help="Write every answer as NDJSON.",
)
@json_option
def simulate(
    labs: int,
    rate: float,
    count: int | None,
    seed: int | None,
    address: str,
    truth: Path | None,
    journal: Path | None,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Send results of invented people as laboratories would: resends, corrections, broken ones."""
    from ops.sending import SimulateOptions, send_simulation

    options = SimulateOptions(
        labs=labs, rate=rate, count=count, seed=seed, truth=truth, journal=journal, as_json=as_json
    )
    run_alone(send_simulation(options, _address(address)))


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise click.UsageError("--to takes HOST:PORT, as in 127.0.0.1:2575")
    return host.strip("[]"), int(port)


def add_to(main: click.Group) -> None:
    """Add the commands to the whole."""
    for command in (send, check, explain, sandbox, simulate):
        main.add_command(command)
