"""The locks pin everything by digest, name no index, and hold what the project asks for."""

from __future__ import annotations

import re
import tomllib
from typing import Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from .tree import ROOT

RUN: Final = "requirements.lock"
DEV: Final = "requirements-dev.lock"
LINKAGE: Final = "requirements-linkage.lock"
DIGEST: Final = re.compile(r"--hash=sha256:[0-9a-f]{64}")


@pytest.mark.parametrize("lock", [RUN, DEV, LINKAGE])
def test_every_requirement_is_pinned_and_hashed(lock: str) -> None:
    entries = _entries(lock)
    assert len(entries) > 20
    for entry in entries:
        requirement, *digests = entry.split(" --hash=")
        pins = list(Requirement(requirement).specifier)
        assert [pin.operator for pin in pins] == ["=="], requirement
        assert digests, requirement
        assert all(DIGEST.fullmatch(f"--hash={digest}") for digest in digests), requirement


@pytest.mark.parametrize("lock", [RUN, DEV, LINKAGE])
def test_no_lock_names_an_index_or_a_place(lock: str) -> None:
    for entry in _entries(lock):
        assert not entry.startswith("-"), entry
        assert "://" not in entry, entry
        assert Requirement(entry.split(" --hash=")[0]).url is None


def test_what_the_project_asks_for_is_locked_within_its_range() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    for asked, lock in (
        (project["dependencies"], RUN),
        (project["dependencies"] + extras["dev"], DEV),
        (project["dependencies"] + extras["linkage"], LINKAGE),
    ):
        pinned = _pinned(lock)
        wanted = [Requirement(text) for text in asked]
        # What an extra of ours asks for is asked for too.
        own = [each for each in wanted if each.name == project["name"]]
        wanted += [
            Requirement(text) for each in own for name in each.extras for text in extras[name]
        ]
        for each in wanted:
            if each.name == project["name"]:
                continue
            held = pinned.get(canonicalize_name(each.name))
            assert held is not None, f"{each.name} is not in {lock}"
            assert each.specifier.contains(held, prereleases=True), f"{each}: {lock} has {held}"


def test_both_locks_agree() -> None:
    run, dev = _pinned(RUN), _pinned(DEV)
    assert {name: dev.get(name) for name in run} == run


def test_the_build_asks_for_nothing_that_is_not_locked() -> None:
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    pinned = _pinned(RUN)
    for text in asked:
        wanted = Requirement(text)
        assert wanted.specifier.contains(pinned[canonicalize_name(wanted.name)])


def _entries(lock: str) -> list[str]:
    """Return the entries of a lock, each on one line, without comments."""
    text = (ROOT / lock).read_text().replace("\\\n", " ")
    lines = (re.sub(r"(^|\s)#.*", "", line) for line in text.splitlines())
    return [" ".join(line.split()) for line in lines if line.strip()]


def _pinned(lock: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for entry in _entries(lock):
        requirement = Requirement(entry.split(" --hash=")[0])
        (pin,) = requirement.specifier
        found[canonicalize_name(requirement.name)] = pin.version
    return found
