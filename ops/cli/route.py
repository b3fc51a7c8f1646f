"""The group `route`: sets of routing rules, and why a report goes where it goes. No logic here."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import click

from .asked import Option

Run = Callable[[Coroutine[Any, Any, int | None]], None]


def add_to(main: click.Group, data_dir: Option, as_json: Option, run: Run) -> click.Group:
    """Add the group to the whole.

    Args:
        main: The group of all commands.
        data_dir: The option that names the instance.
        as_json: The option that asks for JSON.
        run: Runs work, and exits with the code it gives.
    """

    @main.group()
    def route() -> None:
        """Rules that say which report goes into which stream: try, load, explain, compare.

        Where a FILE of rules is asked for, `shipped` names the rules of this release.
        """

    _files(route, as_json)
    _sets(route, data_dir, as_json, run)
    _reports(route, data_dir, as_json, run)
    return route


def _files(route: click.Group, as_json: Option) -> None:
    @route.command("check")
    @click.argument("files", metavar="FILE...", nargs=-1, required=True)
    @as_json
    def check(files: tuple[str, ...], as_json: bool) -> None:  # noqa: FBT001
        """Check files of rules and run their examples, without a hub.

        Each fault is told as FILE:LINE: why. Exits 1 where there is one.
        """
        from ops.printing import print_json
        from ops.ruling.files import check_file, checked_as_text

        found = [check_file(name) for name in files]
        if as_json:
            print_json(found)
        else:
            sys.stdout.write("".join(map(checked_as_text, found)))
        if any(each.faults for each in found):
            sys.exit(1)


def _sets(route: click.Group, data_dir: Option, as_json: Option, run: Run) -> None:
    @route.command("load")
    @click.argument("file")
    @click.option("--from", "at", required=True, metavar="TIME",
                  help="now, +30m, +2h, +1d, or 2026-12-01T06:00+01:00.")  # fmt: skip
    @click.option("--actor", required=True, help="Who asks; kept in the audit trail.")
    @click.option("--reason", required=True, help="Why; kept in the audit trail. No personal data.")
    @data_dir
    @as_json
    def load(file: str, at: str, actor: str, reason: str, data_dir: Path, as_json: bool) -> None:  # noqa: FBT001
        """Put the rules of FILE into effect from a time on; those before stay until then.

        A file with a fault is not loaded, and nothing changes. What was judged before stays as it
        was judged. Taken back by loading the set before: `route show VERSION` gives its file.
        """
        from ops.ruling.commands import load_file

        run(load_file(data_dir, file, at=at, actor=actor, why=reason, as_json=as_json))

    @route.command("list")
    @data_dir
    @as_json
    def list_(data_dir: Path, as_json: bool) -> None:  # noqa: FBT001
        """List the sets of rules, the latest first, and which is in effect."""
        from ops.ruling.commands import print_list

        run(print_list(data_dir, as_json=as_json))

    @route.command()
    @click.argument("version", default="")
    @data_dir
    def show(version: str, data_dir: Path) -> None:
        """Print the file of a set as it was loaded; without VERSION, of the one in effect."""
        from ops.ruling.commands import print_set

        run(print_set(data_dir, version))


def _reports(route: click.Group, data_dir: Option, as_json: Option, run: Run) -> None:
    @route.command()
    @click.argument("message")
    @click.option("--rules", default=None, metavar="FILE",
                  help="Default: of a file, the release's; else those in effect.")  # fmt: skip
    @click.option("--realm", type=click.Choice(["test", "production"]), default="test",
                  show_default=True, help="Of a file: in an instance of this realm.")  # fmt: skip
    @click.option("--qualified/--unqualified", default=None,
                  help="Of a file: the person. Default: as the message says.")  # fmt: skip
    @click.option("--opposes", is_flag=True, help="Of a file: the person opposes the dossier.")
    @click.option("--laboratory", default="", metavar="ID",
                  help="Of a file: whose connection. Default: the sending facility.")  # fmt: skip
    @click.option("--second-line", multiple=True, metavar="CONDITION",
                  help="Of a file: another report of this condition's case counts.")  # fmt: skip
    @click.option("--again", multiple=True, metavar="CONDITION",
                  help="Of a file: another case of the person opened the episode.")  # fmt: skip
    @data_dir
    @as_json
    def explain(
        message: str, rules: str | None, realm: str, qualified: bool | None, opposes: bool,  # noqa: FBT001
        laboratory: str, second_line: tuple[str, ...], again: tuple[str, ...], data_dir: Path,
        as_json: bool,  # noqa: FBT001
    ) -> None:  # fmt: skip
        """Show rule by rule why the reports of MESSAGE go where they go, or do not.

        MESSAGE is a file of HL7 messages, looked at without a hub; or a message id, control id or
        report id, whose reports are read back from the hub as they stand now. No value of a patient
        is shown. Exits 1 where there is no report to route.
        """
        if not Path(message).is_file():
            from ops.ruling.commands import explain_messages

            run(explain_messages(data_dir, message, rules_name=rules, as_json=as_json))
            return
        from ops.ruling.files import Assumed, print_explained_file
        from schemas.decision import Realm

        assumed = Assumed(
            realm=Realm(realm), qualified=qualified, opposes=opposes, laboratory=laboratory,
            second_lines=frozenset(second_line), again=frozenset(again),
        )  # fmt: skip
        code = print_explained_file(rules or "shipped", message, assumed, as_json=as_json)
        if code:
            sys.exit(code)

    @route.command()
    @click.option("--rules", required=True, metavar="FILE", help="The rules to try.")
    @click.option("--since", required=True, help="30m, 24h, 7d, or a date or time (UTC).")
    @click.option("--until", default=None, help="The same. Default: now.")
    @data_dir
    @as_json
    def diff(rules: str, since: str, until: str | None, data_dir: Path, as_json: bool) -> None:  # noqa: FBT001
        """Show which past reports other rules would send elsewhere; nothing is written.

        Reports whose version that stands came since then are judged by the rules in effect and by
        those of FILE, with what is known of their persons now. Exits 1 where one would move.
        """
        from ops.ruling.commands import print_difference

        run(print_difference(data_dir, rules, since=since, until=until, as_json=as_json))

    @route.command("apply")
    @click.option("--since", required=True, help="30m, 24h, 7d, or a date or time (UTC).")
    @click.option("--until", default=None, help="The same. Default: now.")
    @click.option("--actor", required=True, help="Who asks; kept in the audit trail.")
    @click.option("--reason", required=True, help="Why; kept in the audit trail. No personal data.")
    @click.option("--dry-run", is_flag=True, help="Say what would change, and do nothing.")
    @data_dir
    @as_json
    def apply_(
        since: str, until: str | None, actor: str, reason: str, dry_run: bool, data_dir: Path,  # noqa: FBT001
        as_json: bool,  # noqa: FBT001
    ) -> None:  # fmt: skip
        """Let the rules in effect count for reports that came before them.

        Whoever has a report, come since then, of which a stream holds something else than the rules
        in effect say, is gone over by dispatch: what is due no more is withdrawn, what is due is
        published, with reason rules_changed. Asked twice it does no harm; stopped, ask again.
        """
        from ops.asking import Asker
        from ops.ruling.commands import apply_rules

        asker = Asker(actor=actor, reason=reason)
        run(apply_rules(data_dir, asker, since=since, until=until, dry_run=dry_run,
                        as_json=as_json))  # fmt: skip
