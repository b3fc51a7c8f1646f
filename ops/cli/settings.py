"""The group `settings`: commands without logic, as all of `ops/cli`."""

from __future__ import annotations

import sys

import click

from .asked import Option


def add_to(main: click.Group, as_json: Option) -> None:
    """Add the group to the whole.

    Args:
        main: The group of all commands.
        as_json: The option that asks for JSON.
    """

    @main.group()
    def settings() -> None:
        """Settings of the environment: which count, and whether they can work."""

    @settings.command()
    @as_json
    def check(as_json: bool) -> None:  # noqa: FBT001 - click gives flags by position
        """Check all settings and the files they name, start nothing; exit 2 if a start would fail.

        Run it as the user, and with the environment, of the process that is to start.
        """
        from ops.printing import print_json
        from ops.runtime.settings import load_settings
        from ops.settings_checking import faults, weak_points

        loaded = load_settings()
        wrong, weak = list(faults(loaded)), weak_points(loaded)
        if as_json:
            print_json({"wrong": wrong, "weak": weak})
        else:
            for word, found in (("wrong", wrong), ("weak", weak)):
                sys.stdout.write("".join(f"{word}: {each}\n" for each in found))
            if not wrong:
                sys.stdout.write("a process would start with these settings\n")
        if wrong:
            sys.exit(2)

    @settings.command()
    @click.option("--all", "everything", is_flag=True, help="Those at their defaults too.")
    @as_json
    def show(everything: bool, as_json: bool) -> None:  # noqa: FBT001
        """Show the settings that the environment gives, and what they count as; no secret."""
        from ops.printing import print_json
        from ops.runtime.settings import load_settings
        from ops.settings_checking import tell

        told = tell(load_settings(), everything=everything)
        if as_json:
            print_json(told)
        else:
            for each in told:
                mark = "" if each.is_given else "  (default)"
                sys.stdout.write(f"{each.variable}={each.value}{mark}\n")
