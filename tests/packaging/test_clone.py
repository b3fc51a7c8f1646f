"""What is tracked stands on its own: no path of a machine, and documents that tell the truth."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click
import click.testing
import pytest

from ops.cli import main

from .tree import ROOT, text_of, tracked

# Written so that this file does not hold what it looks for.
MACHINE: Final = re.compile(r"(?<![\w.~-])/(?:home|root|work|Users)/\w")
BESIDE: Final = re.compile(r"[.][.]/shared")

DOCUMENTS: Final = tuple(
    path for path in tracked() if path.endswith(".md") and not path.startswith("tests/")
)
SPAN: Final = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
FENCE: Final = re.compile(r"^ *```.*?\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
LINK: Final = re.compile(r"\]\(([^)\s#:]+)(?:#[^)\s]*)?\)")
ROOM: Final = "(?:tests|ops|ingest|dedup|routing|schemas|docs|benchmarks)"
BUILT: Final = frozenset({"ops/kafka/jars", "ingest/_compiled", "dedup/_compiled"})
TARGET: Final = re.compile(r"^([a-z][a-z0-9-]*):(?!=).*?(?:## (.+))?$", re.MULTILINE)


def test_no_tracked_file_names_a_folder_of_a_machine() -> None:
    assert [path for path in tracked() if MACHINE.search(text_of(path))] == []
    assert [path for path in tracked() if BESIDE.search(text_of(path))] == []
    assert MACHINE.search(f'open("/{"home"}/me/x")')  # it does see one


def test_ci_runs_make_check_at_the_root(tmp_path: Path) -> None:
    make = tmp_path / "make"
    make.write_text('#!/bin/sh\necho "$PWD: make $*"\nexit 7\n')
    make.chmod(0o755)
    done = subprocess.run(
        [ROOT / ".ci" / "run"], capture_output=True, text=True, cwd=tmp_path, check=False,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
    )  # fmt: skip
    assert done.stdout == f"{ROOT}: make check\n"
    assert done.returncode == 7  # and fails when it fails


def test_make_help_lists_every_target() -> None:
    said = subprocess.run(
        ["make", "-s", "-C", ROOT, "help"], capture_output=True, text=True, check=True
    ).stdout
    listed = {line.split()[0] for line in said.splitlines()}
    assert listed == _targets()


def test_every_target_that_a_document_names_exists() -> None:
    named = {
        (path, words[1])
        for path, text in _commands("make")
        for words in [text.split()]
        if len(words) > 1 and re.fullmatch("[a-z][a-z0-9-]*", words[1])
    }
    assert len(named) > 10
    assert {(path, name) for path, name in named if name not in _targets()} == set()


def test_every_command_that_a_document_names_exists() -> None:
    seen = 0
    for path, text in _commands("labdispatch"):
        words = shlex.split(re.sub(r"[\[\]]", "", text.partition(" > ")[0]), comments=True)[1:]
        if not words or not re.fullmatch("-.*|[a-z][a-z-]*", words[0]):
            continue
        _follow(words, f"{path}: {text}")
        seen += 1
    assert seen > 30


def test_every_module_that_a_document_runs_exists() -> None:
    for path, text in _commands("python", ".venv/bin/python"):
        found = re.search(r"-m ([\w.]+)", text)
        if found is not None:
            assert importlib.util.find_spec(found[1]) is not None, f"{path}: {text}"


def test_every_link_and_every_path_in_a_document_leads_somewhere() -> None:
    known = set(tracked()) | {str(p) for path in tracked() for p in Path(path).parents}
    lost = []
    for path in DOCUMENTS:
        for link in LINK.findall(text_of(path)):
            target = os.path.normpath(Path(path).parent / link)
            if target not in known:
                lost.append(f"{path}: {link}")
        for span in SPAN.findall(text_of(path)):
            name = span.split("::")[0].rstrip("/")
            is_path = re.fullmatch(ROOM + r"/[\w./-]+", name) and "NNNN" not in name
            if is_path and name not in known | BUILT:
                lost.append(f"{path}: {span}")
    assert not lost, "\n".join(lost)


def _each_command(group: click.Group, before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield before
    for name, command in sorted(group.commands.items()):
        if isinstance(command, click.Group):
            yield from _each_command(command, (*before, name))
        else:
            yield (*before, name)


@pytest.mark.parametrize("names", [*_each_command(main)], ids=" ".join)
def test_every_command_teaches(names: tuple[str, ...]) -> None:
    told = click.testing.CliRunner().invoke(main, [*names, "--help"])
    assert told.exit_code == 0
    command: click.Command = main
    for name in names:
        assert isinstance(command, click.Group)
        command = command.commands[name]
    assert command.help and len(command.help.split()) > 5
    for option in command.params:
        if isinstance(option, click.Option):
            assert option.help, f"{names} {option.name}"
            assert "--why" not in option.opts, "--reason is the one word for it"


def _targets() -> set[str]:
    return {name for name, _ in TARGET.findall((ROOT / "Makefile").read_text())}


def _commands(*programs: str) -> Iterator[tuple[str, str]]:
    """Yield every line of a document that calls one of the programs, in a fence or in a span."""
    for path in DOCUMENTS:
        text = text_of(path)
        fenced = [
            line.strip()
            for block in FENCE.findall(text)
            for line in block.replace("\\\n", " ").splitlines()
        ]
        for line in [*fenced, *SPAN.findall(FENCE.sub("", text))]:
            if line.split(" ")[0] in programs:
                yield path, line


def _follow(words: list[str], where: str) -> None:
    command: click.Command = main
    while isinstance(command, click.Group) and words:
        known = [word for word in words if word in command.commands]
        if not known:
            assert words[0].startswith("-") or words[0].isupper(), where
            break
        command, words = command.commands[known[0]], words[words.index(known[0]) + 1 :]
    options = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
    asked = {word.partition("=")[0] for word in words if word.startswith("--")}
    assert asked <= options | {"--help", "--version"}, where
