"""A set of rules as a file: read, checked, and its examples run, before anything is judged by it.

A set with one fault does not load. Each fault names the line of the rule or example, what is wrong,
and what is wanted, so that whoever writes rules needs nobody who reads code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Final, NamedTuple

import msgspec

from schemas.codes import CONDITIONS
from schemas.decision import ProjectionName
from schemas.errors import FatalError

from .ages import OLDEST
from .doubts import Doubt
from .explaining import OPPOSED_RULE, SAYS
from .facts import WHOLE, Facts, parts_of
from .rule_lines import Located, Path, line_of_byte, locate, path_in, without_path
from .rules import NO_RULE, Rule, Rules, rule_on

MAX_FILE_BYTES: Final = 1 << 20
MAX_RULES: Final = 500
MAX_EXAMPLES: Final = 500
"""Of one rule, of each sort."""
MAX_DOUBTS: Final = 100

_VERSION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
_ID: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,59}")
_DEPARTMENT: Final = re.compile(r"\d{2}|2[AB]|9[78]\d")
_TAKEN: Final = frozenset({NO_RULE, OPPOSED_RULE})
_NAMES_PERSONS: Final = frozenset({ProjectionName.TRACING, ProjectionName.PUBLIC_HEALTH})
_DOUBTS: Final = frozenset(each.value for each in Doubt)
_OWN: Final = FilePath(__file__).with_name("rules.json")


class Fault(NamedTuple):
    """What is wrong with a file of rules, and in which line."""

    line: int
    what: str

    def __str__(self) -> str:
        """Say it as compilers do, behind the file's name."""
        return f"{self.line}: {self.what}"


class Read(NamedTuple):
    """A file of rules as it was read: the rules, where it has no fault."""

    rules: Rules | None
    faults: tuple[Fault, ...]


def load_own_rules() -> Rules:
    """Return the rules that this release ships, once their examples hold.

    Raises:
        FatalError: `rules_invalid`.
    """
    return load_rules(own_source(), "routing/rules.json")


def own_source() -> bytes:
    """Return the file of the rules that this release ships."""
    return _OWN.read_bytes()


def load_rules(source: bytes, name: str = "rules") -> Rules:
    """Return the rules of a file, once every example of every rule holds.

    Args:
        source: The file, in JSON.
        name: Its name, for the error.

    Raises:
        FatalError: `rules_invalid`: unreadable, incomplete, or an example that fails; line and why.
    """
    read = read_rules(source)
    if read.rules is None:
        more = len(read.faults) - 1
        rest = f" ({more} more)" if more else ""
        raise FatalError("rules_invalid", f"{name}:{read.faults[0]}{rest}: correct the file")
    return read.rules


def read_rules(source: bytes) -> Read:
    """Return the rules of a file, or everything that is wrong with it, by line; never raises."""
    if len(source) > MAX_FILE_BYTES:
        return _refused(1, f"the file is larger than {MAX_FILE_BYTES} bytes: cut the rules shorter")
    try:
        msgspec.json.decode(source)
        located = locate(source.decode())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return _refused(line_of_byte(source, str(error)), "this is no JSON from here on")
    if located.twice:
        return Read(None, tuple(_at(located, path, "stands twice") for path in located.twice))
    try:
        rules = msgspec.json.decode(source, type=Rules)
    except msgspec.MsgspecError as error:
        told = str(error)
        return _refused(located.line(path_in(told)), without_path(told))
    faults = sorted(_faults(rules, located))
    return Read(None, tuple(faults)) if faults else Read(rules, ())


def _refused(line: int, what: str) -> Read:
    return Read(None, (Fault(line, what),))


def _at(located: Located, path: Path, what: str) -> Fault:
    return Fault(located.line(path), f"{path[-1]} {what}" if path else what)


def _faults(rules: Rules, located: Located) -> Iterator[Fault]:
    if not _VERSION.fullmatch(rules.version):
        yield _at(located, ("version",), "is 1 to 40 of A-Z a-z 0-9 . _ -")
    if not 1 <= len(rules.rules) <= MAX_RULES:
        yield _at(located, ("rules",), f"holds 1 to {MAX_RULES} rules")
    seen: set[str] = set()
    for number, rule in enumerate(rules.rules):
        path: Path = ("rules", number)
        if not _ID.fullmatch(rule.id) or rule.id in _TAKEN:
            yield _at(located, (*path, "id"), "is 1 to 60 of a-z 0-9 - and no word of ours")
        if rule.id in seen:
            yield _at(located, (*path, "id"), f"{rule.id} stands twice: each rule has its own")
        seen.add(rule.id)
        for key, what in _of_rule(rule):
            yield Fault(located.line((*path, key)), f"{rule.id}: {what}")
        yield from _examples(rule, path, located)


def _of_rule(rule: Rule) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with a rule by itself: the key, and why."""
    if not rule.why.strip():
        yield "why", "why says in one sentence what the rule is for"
    if rule.projection.stream is not rule.stream:
        yield "projection", f"{rule.projection} belongs to the stream {rule.projection.stream}"
    if rule.projection is ProjectionName.DOSSIER:
        if not rule.needs_qualified:
            yield "projection", "a dossier needs needs_qualified: true"
    elif not rule.results:
        yield "projection", f"{rule.projection} needs conditions, kinds and results"
    asked = (rule.conditions, rule.kinds, rule.results)
    if any(asked) and not all(asked):
        yield "id", "conditions, kinds and results go together"
    for unknown in sorted(rule.conditions - CONDITIONS.keys()):
        yield "conditions", f"{unknown} is no condition that schemas/codes holds"
    if rule.projection in _NAMES_PERSONS:
        for code in sorted(rule.conditions & CONDITIONS.keys()):
            if CONDITIONS[code].anonymous:
                anonymous = ProjectionName.PUBLIC_HEALTH_ANONYMOUS
                yield "conditions", f"{code} is declared anonymously: it goes as {anonymous} only"
    for wrong in sorted(each for each in rule.departments if not _DEPARTMENT.fullmatch(each)):
        yield "departments", f"{wrong} is no department: 01, 2A, 974"
    if "" in rule.laboratories:
        yield "laboratories", "a laboratory is named by its number in the register"
    if rule.ages is not None and not 0 <= rule.ages.first <= rule.ages.last <= OLDEST:
        yield "ages", f"[first, last] of completed years, 0 to {OLDEST}"
    for wrong in sorted(rule.holds_on - _DOUBTS):
        yield "holds_on", f"{wrong} is no doubt: docs/holds.md lists them"
    if rule.once_an_episode and not rule.results:
        yield "once_an_episode", "once_an_episode needs conditions, kinds and results"


def _examples(rule: Rule, path: Path, located: Located) -> Iterator[Fault]:
    for name, wanted in (("must", True), ("must_not", False)):
        examples: tuple[Facts, ...] = getattr(rule, name)
        if not 1 <= len(examples) <= MAX_EXAMPLES:
            line = located.line((*path, name))
            yield Fault(line, f"{rule.id}: {name} holds 1 to {MAX_EXAMPLES} examples")
        for number, example in enumerate(examples):
            why = _why_it_fails(rule, example, wanted=wanted)
            if why:
                line = located.line((*path, name, number))
                yield Fault(line, f"{rule.id}: {name} {number + 1} {why}")


def _why_it_fails(rule: Rule, example: Facts, *, wanted: bool) -> str:
    for condition, _, _ in example.findings:
        if condition not in CONDITIONS:
            return f"names {condition}, which is no condition that schemas/codes holds"
    if len(example.doubts) > MAX_DOUBTS:
        return f"holds more than {MAX_DOUBTS} doubts"
    parts = parts_of(rule.stream, example) or (WHOLE,)
    rulings = [rule_on(rule, example, part) for part in parts]
    if any(ruling.due for ruling in rulings) is wanted:
        return ""
    if not wanted:
        return "does not hold: the rule says that it is due"
    return f"does not hold: {SAYS[rulings[0].because]}"
