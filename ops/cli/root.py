"""The command line: commands without logic. What they do stands in the modules they call."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import click

from schemas.errors import FatalError, HubError, PermanentError, TransientError

from . import (
    account,
    audit,
    backup,
    batches,
    ca,
    duty,
    export,
    holds,
    identity,
    identity_keys,
    identity_stewards,
    inbound,
    indicators,
    labs,
    parked,
    pausing,
    pseudonyms,
    receivers,
    replay,
    retention,
    review,
    route,
    settings,
    stream,
    streams,
    tokens,
    trace,
)
from .asked import run_alone

EXIT_CODES: Final = """
Exit codes: 0 done; 1 the answer is no (an account that does not close, a message not found, a
message not acknowledged); 2 usage or settings; 3 the hub, its database or its broker is away;
4 a promise could not be kept (the text says what to do); 130 interrupted.
"""

DEFAULT_DATA_DIR: Final = Path("var/hub")


class Teaching(click.Group):
    """A group whose help ends with the exit codes, and whose errors say what to do."""

    def invoke(self, ctx: click.Context) -> object:
        """Turn the hub's errors into one line and an exit code."""
        try:
            return super().invoke(ctx)
        except TransientError as error:
            raise _Failure(error, 3) from None
        except PermanentError as error:
            raise _Failure(error, 1) from None
        except FatalError as error:
            code = 2 if error.reason in _OF_THE_PLACE else 4
            raise _Failure(error, code) from None


class _Failure(click.ClickException):
    def __init__(self, error: HubError, exit_code: int) -> None:
        super().__init__(f"{error.reason}: {error.remedy}" if error.remedy else error.reason)
        self._exit_code = exit_code

    @property
    def exit_code(self) -> int:  # type: ignore[override]
        """Ours instead of click's 1."""
        return self._exit_code


data_dir_option = click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="LABDISPATCH_DATA_DIR",
    default=DEFAULT_DATA_DIR,
    show_default=True,
    help="The folder of the running instance.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for a program.")


@click.group(
    cls=Teaching, epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(package_name="labdispatch")
def main() -> None:
    """Real-time dispatch of laboratory results.

    HL7 v2 comes in over MLLP or HTTP, is acknowledged once it is durable, tied to a person, and
    leaves in three streams: dossier, contact-tracing, public-health.

    Start with `labdispatch run`; then, in another terminal, `labdispatch account`.
    """


# ---------------------------------------------------------------------------- everything in one


_OF_THE_PLACE = frozenset(
    {"settings_invalid", "port_busy", "data_folder_in_use", "tls_files_invalid"}
)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@main.command()
@data_dir_option
@click.option(
    "--mllp-port", type=int, default=None, help="Port for laboratories; 0 = any free one."
)
@click.option("--http-port", type=int, default=None, help="Port for HTTP; 0 = any free one.")
@click.option(
    "--simulate/--no-simulate", default=True, show_default=True, help="Simulated laboratories."
)
@click.option(
    "--labs", type=int, default=12, show_default=True, help="How many laboratories to simulate."
)
@click.option(
    "--rate", type=float, default=20.0, show_default=True, help="Simulated messages a second."
)
@click.option("--seed", type=int, default=None, help="Seed of the simulation; default: a new one.")
@json_option
def run(
    data_dir: Path,
    mllp_port: int | None,
    http_port: int | None,
    simulate: bool,  # noqa: FBT001 - click gives flags by position
    labs: int,
    rate: float,
    seed: int | None,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Start everything on this machine, on the embedded engine.

    Makes or opens the data folder, starts PostgreSQL, migrates, starts ingest, dispatch, relay,
    push and api, sends simulated results, prints the addresses and what to try, then a live
    status. Ctrl-C stops all in order; the next start goes on where this one stopped.
    """
    from ops.run import RunOptions, run_everything

    options = RunOptions(
        data_dir=data_dir,
        mllp_port=mllp_port,
        http_port=http_port,
        simulate=["--labs", str(labs), "--rate", str(rate), *_seed(seed)] if simulate else None,
        as_json=as_json,
    )
    run_alone(run_everything(options))


@main.command()
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("var/demo"),
    show_default=True,
    help="The folder of the demonstration, apart from that of `run`.",
)
@click.option("--count", type=int, default=1_000, show_default=True, help="How many results.")
@click.option(
    "--labs", type=int, default=12, show_default=True, help="How many laboratories to simulate."
)
@click.option("--seed", type=int, default=None, help="Seed of the simulation; default: a new one.")
def demo(data_dir: Path, count: int, labs: int, seed: int | None) -> None:
    """Send 1,000 simulated results, wait until all is dispatched, print account and events.

    Exits 0 if and only if the account closes.
    """
    from ops.run import RunOptions, run_demo

    options = RunOptions(data_dir=data_dir, mllp_port=0, http_port=0, simulate=None, as_json=False)
    arguments = ["--labs", str(labs), "--rate", "0", "--count", str(count), *_seed(seed)]
    run_alone(run_demo(options, arguments))


def _seed(seed: int | None) -> list[str]:
    return [] if seed is None else ["--seed", str(seed)]


# ---------------------------------------------------------------------------- one process each


def _service(role: str, help_text: str) -> None:
    @main.command(
        role, help=help_text, epilog="Settings come from LABDISPATCH_*: docs/settings.md."
    )
    def command() -> None:
        from ops.runtime.settings import load_settings
        from ops.stations import run_station

        run_alone(run_station(role, load_settings()))

    command.__doc__ = help_text


_service("ingest", "The doors: take HL7 v2 over MLLP, make it durable, acknowledge it.")
_service("dispatch", "The worker: who is it about, where does it go; many may run at once.")
_service("relay", "Outbox to Kafka, each event exactly once (idle on the embedded engine).")
_service("push", "Streams to the receivers that are pushed to; another one stands by.")
_service("api", "HTTP: messages in, streams out, health and figures.")


@main.command()
def migrate() -> None:
    """Bring the database of the settings to this release's schema; safe to repeat."""
    import asyncio

    from ops.bootstrap import migrate_instance
    from ops.runtime.settings import load_settings

    applied = asyncio.run(migrate_instance(load_settings()))
    click.echo(f"{applied} migrations applied" if applied else "nothing to do")


# ---------------------------------------------------------------------------- laboratory's tools


@main.command()
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


@main.command()
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


@main.command()
@click.argument("code")
@language_option
def explain(code: str, lang: str) -> None:
    """Explain a finding by its CODE: what is wrong, what to do, why, right and wrong examples."""
    from ops.checking.explaining import explained

    click.echo(explained(code, lang), nl=False)


@main.command()
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


@main.command()
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


# ---------------------------------------------------------------------------- the register

labs.add_to(main, data_dir_option, json_option, run_alone)
ca.add_to(main)
account.add_to(main, data_dir_option, json_option, run_alone)
duty.add_to(main, data_dir_option, json_option, run_alone)
trace.add_to(main, data_dir_option, json_option, run_alone)
parked.add_to(main, data_dir_option, json_option, run_alone)
pausing.add_to(main, data_dir_option, json_option, run_alone)
replay.add_to(main, data_dir_option, json_option, run_alone)
batches.add_to(main, data_dir_option, json_option, run_alone)
inbound.add_to(main, data_dir_option, json_option, run_alone)
stream.add_to(main, data_dir_option, run_alone)
export.add_to(main, data_dir_option, json_option, run_alone)
streams.add_to(main, data_dir_option, json_option, run_alone)
route.add_to(main, data_dir_option, json_option, run_alone)
pseudonyms.add_to(main, data_dir_option, json_option, run_alone)
receivers.add_to(main, data_dir_option, json_option, run_alone)
tokens.add_to(main, data_dir_option, json_option, run_alone)
settings.add_to(main, json_option)
retention.add_to(main, data_dir_option, json_option, run_alone)
audit.add_to(main, data_dir_option, json_option, run_alone)
backup.add_to(main, data_dir_option, json_option)
indicators.add_to(main, data_dir_option, json_option, run_alone)
_identity = identity.add_to(main, json_option, run_alone)
review.add_to(main, data_dir_option, json_option, run_alone)
identity_stewards.add_to(_identity, data_dir_option, json_option, run_alone)
holds.add_to(main, data_dir_option, json_option, run_alone)
identity_keys.add_to(_identity, data_dir_option, json_option, run_alone)
