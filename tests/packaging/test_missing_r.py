"""R for the tests: the machine's own, Debian's packages, or what to install; never a skip."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ops.kit import TRIES

from .kits import Kit
from .tree import text_of


@pytest.fixture
def kit(tmp_path: Path) -> Kit:
    return Kit("r", tmp_path)


def test_the_machines_own_is_used(kit: Kit) -> None:
    done = kit.resolved(Rscript='echo "4.3.1"')
    assert (done.returncode, done.stderr) == (0, "")
    assert "Rscript --vanilla" in (kit.folder / "programs" / "R").read_text()


@pytest.mark.parametrize("tools", [{}, {"Rscript": 'echo "3.6.3"'}, {"apt_get": "exit 0"}])
def test_what_is_missing_is_told_with_the_command_that_installs_it(
    kit: Kit, tools: dict[str, str]
) -> None:
    done = kit.resolved(**tools)
    assert done.returncode == 2
    assert "apt-get install r-base-core" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (kit.folder / "programs").exists()


def test_an_apt_without_lists_reads_them_into_a_folder_of_its_own(kit: Kit) -> None:
    calls = kit.tree / "calls"
    done = kit.resolved(apt_get=f'echo "$*" >> {calls}; exit 1', dpkg_deb="exit 1")
    assert done.returncode == 2
    assert "sources.list" in done.stderr
    said = calls.read_text().splitlines()
    assert [line.split()[-1] for line in said] == ["r-base-core"] + ["update"] * TRIES
    (room,) = {found[1] for line in said[1:] if (found := re.search(r"lists=(\S+)", line))}
    assert not Path(room).exists(), "thrown away"
    assert list(kit.folder.glob("programs*")) == []
    for line in said:
        assert "AllowInsecureRepositories=false" in line, "no list without a signature"


def test_the_tests_stand_behind_it() -> None:
    (test,) = re.findall(r"^test:(.*)$", text_of("Makefile"), re.MULTILINE)
    assert "r" in test.partition("##")[0].split()
