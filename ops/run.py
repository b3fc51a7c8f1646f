"""What `labdispatch run` and `labdispatch demo` show: addresses, first things to try, a status."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console
from rich.live import Live
from rich.table import Table

from ops.account import as_text, take_account
from ops.backup.keeping import backed_up
from ops.bootstrap import Hub, migrate_instance, open_hub, reader_of
from ops.printing import print_json
from ops.runtime.embedded import EmbeddedPostgres
from ops.runtime.logs import configure
from ops.runtime.postgres import translated
from ops.runtime.settings import Settings, load_settings
from ops.status import Status, StatusReader, last_error
from ops.supervise import Supervisor, choose_port, open_folder, until_stopped
from ops.tokens import OPERATOR, load_or_make_tokens
from routing.streams import encode_line
from schemas.errors import FatalError, HubError
from schemas.topics import STREAMS

_SCREEN_SECONDS: Final = 1.0
_LINE_SECONDS: Final = 10.0


class RunOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line asked for; None leaves the setting as it is."""

    data_dir: Path
    mllp_port: int | None
    http_port: int | None
    simulate: list[str] | None
    as_json: bool


class Addresses(msgspec.Struct, frozen=True, kw_only=True):
    """Where the run listens."""

    ready: bool
    mllp: str
    http: str
    data_dir: str
    tokens: dict[str, str]
    seconds: float


@asynccontextmanager
async def running(
    options: RunOptions, console: Console
) -> AsyncIterator[tuple[Supervisor, Settings, Addresses]]:
    """Start everything, give the addresses, and stop everything in order at the end."""
    began = time.monotonic()
    settings = _settings(options)
    if options.simulate is not None and settings.mllp_tls_cert is not None:
        raise FatalError(
            "settings_invalid", "simulated laboratories have no certificate: use --no-simulate"
        )
    configure(settings, "run")
    folder, database = await open_folder(settings, lambda text: console.print(f"  {text}"))
    try:
        settings = _choose_ports(settings)
        async with backed_up(settings):
            await migrate_instance(settings)
            supervisor = Supervisor(settings, folder, database, simulate=options.simulate)
            try:
                await supervisor.start()
                addresses = _addresses(settings, time.monotonic() - began)
                folder.announce("labdispatch run", {"mllp": addresses.mllp, "http": addresses.http})
                yield supervisor, settings, addresses
            finally:
                await supervisor.stop()
    finally:
        await _stop_database(database)
        folder.release()


async def run_everything(options: RunOptions) -> int:
    """Run until Ctrl-C."""
    console = Console(stderr=options.as_json)
    async with running(options, console) as (supervisor, settings, addresses):
        if options.as_json:
            print_json(addresses)
            sys.stdout.flush()
            await until_stopped(supervisor, None)
        else:
            _print_welcome(console, settings, addresses)
            await until_stopped(supervisor, _show_status(console, settings))
            console.print("stopping: doors first, database last")
    return 0


async def run_demo(options: RunOptions, simulate: list[str]) -> int:
    """Send a bounded simulation, wait until all is dispatched, show what came of it."""
    console = Console()
    async with running(options, console) as (supervisor, settings, addresses):
        console.print(f"laboratories send to {addresses.mllp}")
        demo = _Demo(settings, addresses, simulate)
        await until_stopped(supervisor, demo.run())
    return demo.exit_code


class _Demo:
    """Sends, waits, prints; `exit_code` is 0 if and only if the account closes with all done."""

    def __init__(self, settings: Settings, addresses: Addresses, simulate: list[str]) -> None:
        self._settings = settings
        self._command = [sys.executable, "-m", "ops.cli", "simulate", "--to", addresses.mllp]
        self._command += simulate
        self.exit_code = 1

    async def run(self) -> None:
        sender = await asyncio.create_subprocess_exec(*self._command)
        sent_well = await sender.wait() == 0
        async with open_hub(self._settings, "looking", connections=2) as hub:
            account = await take_account(hub.pool, hub.log, hub.instance.engine)
            while account.in_flight:
                await asyncio.sleep(0.05)
                account = await take_account(hub.pool, hub.log, hub.instance.engine)
            sys.stdout.write(as_text(account) + "\n")
            everywhere = await self._print_one_event_each(hub)
        self.exit_code = 0 if account.closes and sent_well and everywhere else 1

    async def _print_one_event_each(self, hub: Hub) -> bool:
        reader = reader_of(hub)
        everywhere = True
        for stream in STREAMS:
            found = (await reader.read_page(stream, None, 1)).events
            sys.stdout.write(f"--- {stream.value}\n")
            sys.stdout.write("".join(encode_line(each).decode() for each in found) or "nothing\n")
            everywhere = everywhere and bool(found)
        sys.stdout.flush()
        return everywhere


# -------------------------------------------------------------------------------- the screen


async def _show_status(console: Console, settings: Settings) -> None:
    async with open_hub(settings, "looking", connections=1) as hub:
        reader = StatusReader()
        if not console.is_terminal:
            while True:
                status = await _read(hub, reader)
                console.print(_as_line(status), soft_wrap=True)
                await asyncio.sleep(_LINE_SECONDS)
        with Live(console=console, refresh_per_second=4, transient=True) as live:
            while True:
                live.update(_as_table(await _read(hub, reader), settings.data_dir))
                await asyncio.sleep(_SCREEN_SECONDS)


async def _read(hub: Hub, reader: StatusReader) -> Status | None:
    try:
        with translated():
            async with hub.pool.acquire() as connection:
                return await reader.read(connection)
    except HubError:
        return None


def _as_line(status: Status | None) -> str:
    if status is None:
        return "the database does not answer"
    events = ", ".join(f"{name} {n:,}" for name, n in status.events.items())
    return (
        f"in {status.rate_in:.1f}/s, acknowledged {status.acknowledged:,},"
        f" persons {status.persons:,}, {events}, lag {status.lag:,}"
    )


def _as_table(status: Status | None, data_dir: Path) -> Table:
    table = Table(title="labdispatch", show_header=False, min_width=60)
    if status is None:
        table.add_row("database", "does not answer")
    else:
        table.add_row("rate in", f"{status.rate_in:.1f}/s")
        table.add_row("acknowledged", f"{status.acknowledged:,}")
        table.add_row("persons", f"{status.persons:,}")
        for name, n in status.events.items():
            table.add_row(name, f"{n:,} events")
        table.add_row("lag", f"{status.lag:,} messages")
        table.add_row("parked", f"{status.parked:,}")
        if status.paused:
            table.add_row("paused", f"{status.paused:,} (labdispatch pauses)")
    table.add_row("last error", last_error(data_dir) or "none")
    table.caption = "Ctrl-C stops everything in order"
    return table


def _print_welcome(console: Console, settings: Settings, addresses: Addresses) -> None:
    console.print(f"ready in {addresses.seconds:.1f} s")
    console.print(f"  laboratories (MLLP)  {addresses.mllp}")
    console.print(f"  HTTP                 {addresses.http}   (the OpenAPI page is at /docs)")
    console.print(f"  data folder          {settings.data_dir}")
    console.print("things to try, in another terminal:")
    command = Path(sys.executable).with_name("labdispatch")
    folder = f"--data-dir {settings.data_dir}"
    console.print(f"  {command} account {folder}", soft_wrap=True, highlight=False)
    console.print(f"  {command} stream public-health {folder} --limit 3", soft_wrap=True)
    console.print(f"  {command} indicators show sars-cov-2 {folder}", soft_wrap=True)
    console.print(f"  {command} labs list {folder}", soft_wrap=True, highlight=False)
    console.print(f"  {command} conformance {folder}", soft_wrap=True, highlight=False)
    for name, token in addresses.tokens.items():
        path = "conformance" if name == OPERATOR else f"streams/{name}?limit=1"
        url = f"{addresses.http}/v1/{path}"
        console.print(
            f"  curl -H 'Authorization: Bearer {token}' '{url}'",
            soft_wrap=True,
            highlight=False,
        )
    console.print(f"  curl {addresses.http}/metrics", soft_wrap=True, highlight=False)


# -------------------------------------------------------------------------------- parts


def _settings(options: RunOptions) -> Settings:
    overrides: dict[str, object] = {"data_dir": options.data_dir.absolute(), "engine": "embedded"}
    if options.mllp_port is not None:
        overrides["mllp_port"] = options.mllp_port
    if options.http_port is not None:
        overrides["http_port"] = options.http_port
    return load_settings(**overrides)


def _choose_ports(settings: Settings) -> Settings:
    mllp = choose_port(settings.mllp_host, settings.mllp_port, "--mllp-port")
    http = choose_port(settings.http_host, settings.http_port, "--http-port")
    return settings.model_copy(update={"mllp_port": mllp, "http_port": http})


def _addresses(settings: Settings, seconds: float) -> Addresses:
    scheme = "http" if settings.http_tls_cert is None else "https"
    return Addresses(
        ready=True,
        mllp=f"{settings.mllp_host}:{settings.mllp_port}",
        http=f"{scheme}://{settings.http_host}:{settings.http_port}",
        data_dir=str(settings.data_dir),
        tokens=load_or_make_tokens(settings.data_dir),
        seconds=round(seconds, 2),
    )


async def _stop_database(database: EmbeddedPostgres) -> None:
    await asyncio.to_thread(database.stop)
