"""The commands `labs` and `conformance`: commands without logic, as all of `ops/cli`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from .asked import Command, Option, Run, asker_of, audited
from .register import add_to as add_register_to
from .silence import add_to as add_silence_to


def add_to(main: click.Group, data_dir: Option, as_json: Option, run: Run) -> None:
    """Add the commands to the whole.

    Args:
        main: The group of all commands.
        data_dir: The option that names the instance.
        as_json: The option that asks for JSON.
        run: Runs work, and exits with the code it gives.
    """

    @main.group()
    def labs() -> None:
        """Laboratories: who may send, how each proves it, its state, limits and local codes."""

    def common(command: Command) -> Command:
        return audited(data_dir(as_json(command)))

    add_register_to(labs, common, run)
    add_silence_to(labs, data_dir, as_json, run)

    @labs.command("list")
    @data_dir
    @as_json
    def list_(data_dir: Path, as_json: bool) -> None:  # noqa: FBT001
        """List the laboratories of the register."""
        from ops.register.commands import print_labs

        run(print_labs(data_dir, as_json=as_json))

    @labs.command()
    @click.argument("lab")
    @data_dir
    @as_json
    def show(lab: str, data_dir: Path, as_json: bool) -> None:  # noqa: FBT001
        """Show one laboratory, and the software it sends with."""
        from ops.register.commands import print_lab

        run(print_lab(data_dir, lab, as_json=as_json))

    @labs.command()
    @click.argument("lab")
    @click.argument("state", metavar="STATE")
    @audited
    @data_dir
    @as_json
    def state(
        lab: str, state: str, actor: str | None, reason: str, data_dir: Path, as_json: bool  # noqa: FBT001
    ) -> None:  # fmt: skip
        """Put a laboratory into the state onboarding, live or suspended.

        onboarding: every finding is answered. live: errors only. suspended: nothing is taken (AR).
        """
        from ops.register.commands import set_state

        run(set_state(data_dir, lab, state, asker_of(actor, reason), as_json=as_json))

    @labs.group()
    @click.argument("lab")
    @click.pass_context
    def codes(ctx: click.Context, lab: str) -> None:
        """Mapping table of LAB: what its own codes and texts mean.

        KIND is `result` (a value, OBX-5) or `test` (OBX-3, OBR-4). Case, accents and blanks fold;
        the rest is compared exactly.
        """
        ctx.obj = lab

    @codes.command("list")
    @data_dir
    @as_json
    @click.pass_obj
    def list_codes(lab: str, data_dir: Path, as_json: bool) -> None:  # noqa: FBT001
        """List the rows of the table: what a code or text of this laboratory means."""
        from ops.register.commands import print_codes

        run(print_codes(data_dir, lab, as_json=as_json))

    @codes.command()
    @click.argument("kind", type=click.Choice(["result", "test"]))
    @click.argument("local")
    @click.argument("code")
    @click.option(
        "--local-system", default="", help="Coding system of LOCAL; default: any or none."
    )
    @click.option("--system", default="", help="Coding system of CODE (SCT, LN, ...).")
    @click.option("--text", default="", help="Display text of CODE.")
    @audited
    @data_dir
    @click.pass_obj
    def add(
        lab: str, kind: str, local: str, code: str, local_system: str, system: str, text: str,
        actor: str | None, reason: str, data_dir: Path,
    ) -> None:  # fmt: skip
        """Say that LOCAL means CODE.

        CODE may be positive, negative, indeterminate or unusable for a result; a LOINC code for a
        test. A row with the same LOCAL is replaced.
        """
        from ops.register.commands import add_code

        given = (kind, local, local_system, code, system, text)
        run(add_code(data_dir, lab, given, asker_of(actor, reason)))

    @codes.command()
    @click.argument("kind", type=click.Choice(["result", "test"]))
    @click.argument("local")
    @click.option("--local-system", default="", help="As it was given to `add`.")
    @audited
    @data_dir
    @click.pass_obj
    def remove(
        lab: str, kind: str, local: str, local_system: str, actor: str | None, reason: str,
        data_dir: Path,
    ) -> None:  # fmt: skip
        """Take the row of LOCAL away."""
        from ops.register.commands import remove_code

        run(remove_code(data_dir, lab, (kind, local, local_system), asker_of(actor, reason)))

    @codes.command("import")
    @click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
    @click.option("--replace", is_flag=True, help="Take away every row that FILE does not name.")
    @click.option("--dry-run", is_flag=True, help="Check and report; write nothing.")
    @audited
    @data_dir
    @as_json
    @click.pass_obj
    def import_(
        lab: str, file: Path, replace: bool, dry_run: bool, actor: str | None, reason: str,  # noqa: FBT001
        data_dir: Path, as_json: bool,  # noqa: FBT001
    ) -> None:  # fmt: skip
        """Import a CSV (kind,local,local_system,code,system,text), all or nothing.

        Errors name the line and what to do; exit code 1 then, and nothing is written.
        """
        from ops.register.commands import import_codes

        run(
            import_codes(
                data_dir,
                lab,
                file,
                file.read_bytes(),
                asker_of(actor, reason),
                replace=replace,
                dry_run=dry_run,
                as_json=as_json,
            )
        )

    @codes.command()
    @data_dir
    @click.pass_obj
    def export(lab: str, data_dir: Path) -> None:
        """Print the rows as the CSV that `import` takes."""
        from ops.register.commands import export_codes

        run(export_codes(data_dir, lab))

    @codes.command()
    @data_dir
    @as_json
    @click.pass_obj
    def unmapped(lab: str, data_dir: Path, as_json: bool) -> None:  # noqa: FBT001
        """List local codes and short texts that no table knows, the most frequent first."""
        from ops.register.commands import print_unmapped

        run(print_unmapped(data_dir, lab, as_json=as_json))

    @main.command()
    @click.argument("lab", required=False)
    @click.option("--vendor", default="", help="Only software of this name: MSH-3, SFT-1 or SFT-3.")
    @click.option("--since", type=click.DateTime(["%Y-%m-%d"]), default=None, metavar="YYYY-MM-DD",
                  help="First day (UTC); default: the last 30 days.")  # fmt: skip
    @data_dir
    @as_json
    def conformance(
        lab: str | None, vendor: str, since: datetime | None, data_dir: Path, as_json: bool  # noqa: FBT001
    ) -> None:  # fmt: skip
        """Report how well each laboratory's software writes its messages; the worst first.

        The score is 100 for a message without error or warning, 50 with warnings only, 0 when it
        failed; and the mean over all messages.
        """
        from ops.register.commands import print_conformance

        first = since.date() if since is not None else None
        run(print_conformance(data_dir, lab, vendor=vendor, since=first, as_json=as_json))
