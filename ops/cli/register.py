"""The commands that fill the register: `labs add`, `import`, `certificate`, `token` and others.

Commands without logic; they join the group `labs` of `ops/cli/labs.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from .asked import Run, asker_of

Decorator = Callable[[Any], Any]
_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


def add_to(labs: click.Group, common: Decorator, run: Run) -> None:
    """Add the commands to the group `labs`.

    Args:
        labs: The group.
        common: Takes who asks and why, the data folder and `--json`.
        run: Runs a coroutine; its number is the exit code.
    """
    _laboratories(labs, common, run)
    _facilities(labs, common, run)
    _certificates(labs, common, run)
    _tokens(labs, common, run)


def _laboratories(labs: click.Group, common: Decorator, run: Run) -> None:
    @labs.command()
    @click.argument("registry_id")
    @click.option("--name", default=None, help="As people call it.")
    @click.option("--state", default="onboarding", show_default=True, help="Or live, suspended.")
    @click.option("--profile", default="fr", show_default=True, help="Or generic.")
    @common
    def add(
        registry_id: str, name: str | None, state: str, profile: str, actor: str | None,
        reason: str, data_dir: Path, as_json: bool,  # noqa: FBT001
    ) -> None:  # fmt: skip
        """Add a laboratory; REGISTRY_ID is its sending facility (MSH-4), a FINESS in France."""
        from ops.register.lab_commands import add_lab
        from ops.register.lab_rows import LabRow

        row = LabRow(
            registry_id=registry_id, name=registry_id if name is None else name, state=state,
            profile=profile,
        )  # fmt: skip
        run(add_lab(data_dir, row, asker_of(actor, reason), as_json=as_json))

    @labs.command("import")
    @click.argument("file", type=_FILE)
    @click.option("--dry-run", is_flag=True, help="Check and report; write nothing.")
    @common
    def import_(
        file: Path, dry_run: bool, actor: str | None, reason: str, data_dir: Path, as_json: bool  # noqa: FBT001
    ) -> None:  # fmt: skip
        """Add and change laboratories from a CSV, all or nothing.

        Columns: registry_id, name, state, profile, facilities (separated by +), subject (a rule to
        add), rate_per_second, burst, daily_quota, max_connections; registry_id is a must. An empty
        cell leaves what is there, `none` takes facilities or a limit away. Twice is as once. Errors
        name line and column; exit code 1 then, and nothing is written.
        """
        from ops.register.lab_commands import import_labs

        run(
            import_labs(
                data_dir, file, file.read_bytes(), asker_of(actor, reason), dry_run=dry_run,
                as_json=as_json,
            )
        )  # fmt: skip

    @labs.command()
    @click.argument("lab")
    @common
    def suspend(lab: str, actor: str | None, reason: str, data_dir: Path, as_json: bool) -> None:  # noqa: FBT001
        """Take nothing from LAB any more (AR), until it is resumed."""
        from ops.register.commands import set_state

        run(set_state(data_dir, lab, "suspended", asker_of(actor, reason), as_json=as_json))

    @labs.command()
    @click.argument("lab")
    @common
    def resume(lab: str, actor: str | None, reason: str, data_dir: Path, as_json: bool) -> None:  # noqa: FBT001
        """Give LAB the state it had when it was suspended."""
        from ops.register.lab_commands import resume_lab

        run(resume_lab(data_dir, lab, asker_of(actor, reason), as_json=as_json))

    @labs.command()
    @click.argument("lab")
    @click.option("--rate", default=None, metavar="N", help="Messages a second, or none.")
    @click.option("--burst", default=None, metavar="N", help="Messages at once, or none.")
    @click.option("--daily", default=None, metavar="N", help="Messages a day (UTC), or none.")
    @click.option("--connections", default=None, metavar="N", help="Connections, or none.")
    @common
    def quota(
        lab: str, rate: str | None, burst: str | None, daily: str | None, connections: str | None,
        actor: str | None, reason: str, data_dir: Path, as_json: bool,  # noqa: FBT001
    ) -> None:  # fmt: skip
        """Limit what LAB may send; without an option, show its limits. Default: no limit."""
        from ops.register.lab_commands import limits_of, set_quota

        given = {"rate_per_second": rate, "burst": burst, "daily_quota": daily,
                 "max_connections": connections}  # fmt: skip
        run(set_quota(data_dir, lab, limits_of(given), asker_of(actor, reason), as_json=as_json))


def _facilities(labs: click.Group, common: Decorator, run: Run) -> None:
    @labs.group()
    def facilities() -> None:
        """Sending facilities (MSH-4) that a laboratory may speak for, beside its own."""

    @facilities.command("add")
    @click.argument("lab")
    @click.argument("names", metavar="FACILITY...", nargs=-1, required=True)
    @common
    def add(
        lab: str, names: tuple[str, ...], actor: str | None, reason: str, data_dir: Path,
        as_json: bool,  # noqa: FBT001
    ) -> None:  # fmt: skip
        """Let LAB speak for some facilities more; one facility belongs to one laboratory."""
        from ops.register.lab_commands import edit_facilities

        run(
            edit_facilities(
                data_dir, lab, lambda held: held.union(names), asker_of(actor, reason),
                as_json=as_json,
            )
        )  # fmt: skip

    @facilities.command("remove")
    @click.argument("lab")
    @click.argument("names", metavar="FACILITY...", nargs=-1, required=True)
    @common
    def remove(
        lab: str, names: tuple[str, ...], actor: str | None, reason: str, data_dir: Path,
        as_json: bool,  # noqa: FBT001
    ) -> None:  # fmt: skip
        """Let LAB speak for some facilities no more."""
        from ops.register.lab_commands import edit_facilities
        from ops.register.lab_rows import normalised

        gone = {normalised(name) for name in names}
        run(
            edit_facilities(
                data_dir, lab, lambda held: held - gone, asker_of(actor, reason), as_json=as_json
            )
        )

    @facilities.command("list")
    @click.argument("lab")
    @common
    def list_(lab: str, actor: str | None, reason: str, data_dir: Path, as_json: bool) -> None:  # noqa: FBT001
        """List what LAB may speak for, its own first."""
        from ops.register.lab_commands import edit_facilities

        run(edit_facilities(data_dir, lab, None, asker_of(actor, reason), as_json=as_json))


def _certificates(labs: click.Group, common: Decorator, run: Run) -> None:
    @labs.group()
    def certificate() -> None:
        """Certificates that prove a laboratory; several hold at once, so that one can rotate."""

    @certificate.command("add")
    @click.argument("lab")
    @click.argument("file", type=_FILE, required=False)
    @click.option("--subject", default="", help="A rule instead: the whole subject (RFC 4514).")
    @common
    def add(
        lab: str, file: Path | None, subject: str, actor: str | None, reason: str, data_dir: Path,
        as_json: bool,  # noqa: FBT001
    ) -> None:  # fmt: skip
        """Let the certificate in FILE (PEM or DER) stand for LAB, or whatever has a subject."""
        from ops.register.lab_commands import add_certificate

        if (file is None) == (not subject):
            raise click.UsageError("give FILE, or --subject")
        content = file.read_bytes() if file is not None else None
        run(
            add_certificate(
                data_dir, lab, content, subject, asker_of(actor, reason), as_json=as_json
            )
        )

    @certificate.command("list")
    @click.argument("lab")
    @common
    def list_(lab: str, actor: str | None, reason: str, data_dir: Path, as_json: bool) -> None:  # noqa: ARG001, FBT001
        """List LAB's certificates and rules, and whether each counts now."""
        from ops.register.lab_commands import print_certificates

        run(print_certificates(data_dir, lab, as_json=as_json))

    @certificate.command()
    @click.argument("lab")
    @click.argument("which")
    @common
    def revoke(
        lab: str, which: str, actor: str | None, reason: str, data_dir: Path, as_json: bool  # noqa: FBT001
    ) -> None:  # fmt: skip
        """Let a certificate or rule count no more, for ever; WHICH is its number or fingerprint."""
        from ops.register.lab_commands import revoke_certificate

        run(revoke_certificate(data_dir, lab, which, asker_of(actor, reason), as_json=as_json))


def _tokens(labs: click.Group, common: Decorator, run: Run) -> None:
    @labs.group()
    def token() -> None:
        """Bearer tokens of a laboratory for HTTP; only their digests are kept."""

    @token.command("new")
    @click.argument("lab")
    @click.option("--name", required=True, help="What it is for.")
    @common
    def new(
        lab: str, name: str, actor: str | None, reason: str, data_dir: Path, as_json: bool  # noqa: FBT001
    ) -> None:  # fmt: skip
        """Make a token for LAB and print it: this is the only time it is shown."""
        from ops.register.lab_commands import new_token

        run(new_token(data_dir, lab, name, asker_of(actor, reason), as_json=as_json))

    @token.command("list")
    @click.argument("lab")
    @common
    def list_(lab: str, actor: str | None, reason: str, data_dir: Path, as_json: bool) -> None:  # noqa: ARG001, FBT001
        """List LAB's tokens by name and last four characters."""
        from ops.register.lab_commands import print_tokens

        run(print_tokens(data_dir, lab, as_json=as_json))

    @token.command()
    @click.argument("lab")
    @click.argument("number", type=int)
    @common
    def revoke(
        lab: str, number: int, actor: str | None, reason: str, data_dir: Path, as_json: bool  # noqa: FBT001
    ) -> None:  # fmt: skip
        """Let a token count no more; NUMBER is that of `labs token list`."""
        from ops.register.lab_commands import revoke_token

        run(revoke_token(data_dir, lab, number, asker_of(actor, reason), as_json=as_json))
