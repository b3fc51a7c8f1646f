"""`backup` and `restore`: commands without logic, as all of `ops/cli`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from .asked import Option

_FOLDER = click.Path(path_type=Path, file_okay=False)
_THERE = click.Path(path_type=Path, file_okay=False, exists=True)
_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)


def add_to(main: click.Group, data_dir: Option, as_json: Option) -> None:
    """Add the commands to the whole.

    Args:
        main: The group of all commands.
        data_dir: The option that names the instance.
        as_json: The option that asks for JSON.
    """

    def common(command: Callable[..., None]) -> Callable[..., None]:
        to: Callable[[Any], Any] = click.option(
            "--to",
            type=_FOLDER,
            default=None,
            help="The folder of backups. Default: LABDISPATCH_BACKUP_DIR.",
        )
        given: Callable[..., None] = to(data_dir(as_json(command)))
        return given

    _backup(main, common)
    _restore(main, data_dir, as_json)


def _backup(
    main: click.Group, common: Callable[[Callable[..., None]], Callable[..., None]]
) -> None:
    @main.group(invoke_without_command=True)
    @click.option(
        "--at-once",
        is_flag=True,
        help="Begin now, with a checkpoint that costs the disk; else with the next (minutes).",
    )
    @common
    @click.pass_context
    def backup(
        ctx: click.Context, at_once: bool, to: Path | None, data_dir: Path, as_json: bool
    ) -> None:
        """Back up the embedded database while it runs: whole and verified, or not at all.

        Holds no key: a purge must reach every copy of the keys of days, and reaches those in
        LABDISPATCH_KEYS_COPY_DIR. With LABDISPATCH_BACKUP_DIR a run does this by itself, and
        archives the write-ahead log besides.
        """
        if ctx.invoked_subcommand is not None:
            return
        from ops.backup.commands import run_backup

        run_backup(data_dir, to, at_once=at_once, as_json=as_json)

    @backup.command("list")
    @common
    def list_(to: Path | None, data_dir: Path, as_json: bool) -> None:
        """List whole backups, the oldest first."""
        from ops.backup.commands import print_backups

        print_backups(data_dir, to, as_json=as_json)

    @backup.command()
    @common
    def verify(to: Path | None, data_dir: Path, as_json: bool) -> None:
        """Hold every file of the newest backup against its digest, and look for gaps in its log."""
        from ops.backup.commands import verify_backups

        verify_backups(data_dir, to, as_json=as_json)


def _restore(main: click.Group, data_dir: Option, as_json: Option) -> None:
    @main.command()
    @click.option(
        "--from",
        "folder",
        type=_THERE,
        required=True,
        help="One backup, those of a hub, or the folder of all.",
    )
    @click.option(
        "--to-time",
        default=None,
        help="Up to this moment, as 2026-03-06T09:15:02Z. Default: all there is.",
    )
    @click.option(
        "--wal",
        type=_THERE,
        default=None,
        help="A folder with the log's last pieces: pg_wal of the cluster that was lost.",
    )
    @click.option("--without-wal", is_flag=True, help="The base backup alone, as it was taken.")
    @click.option(
        "--keys-from",
        "keys",
        type=_THERE,
        default=None,
        help="The copies of the keys (LABDISPATCH_KEYS_COPY_DIR).",
    )
    @click.option(
        "--master-key", type=_FILE, default=None, help="The file master.key, kept by hand."
    )
    @data_dir
    @as_json
    def restore(
        folder: Path,
        to_time: str | None,
        wal: Path | None,
        without_wal: bool,
        keys: Path | None,
        master_key: Path | None,
        data_dir: Path,
        as_json: bool,
    ) -> None:
        """Restore a backup into an empty data folder, to its end or to a moment.

        Verifies the backup, replays the archived log, and says what to do next. A restore that was
        cut short cannot be started: give it again. Never writes over a hub that is there.
        """
        from ops.backup.commands import restore_wanted, run_restore

        wanted = restore_wanted(
            folder,
            data_dir,
            to_time=to_time,
            wal=wal,
            without_wal=without_wal,
            keys=keys,
            master_key=master_key,
        )
        run_restore(wanted, as_json=as_json)
