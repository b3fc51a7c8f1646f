"""Prometheus and Alertmanager for tests: the machine's, Debian's, or what to install; no skip."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Final

import pytest

from ops.kit import TRIES

from .kits import Kit
from .tree import text_of

NEW: Final = "echo 'prometheus, version 2.53.1 (branch: x)'"
OLD: Final = "echo 'prometheus, version 2.15.2 (branch: x)'"
ANCIENT: Final = "echo 'alertmanager, version 0.15.3 (branch: x)'"
PROMETHEUS: Final = {"prometheus": NEW, "promtool": NEW}


@pytest.fixture
def kit(tmp_path: Path) -> Kit:
    return Kit("prometheus", tmp_path)


@pytest.mark.parametrize("alertmanager", ["alertmanager", "prometheus_alertmanager"])
def test_programs_of_the_machine_are_used_and_asked_for_once(kit: Kit, alertmanager: str) -> None:
    newer = "echo 'version 0.28.1'"
    done = kit.resolved(**PROMETHEUS, **{alertmanager: newer, "amtool": newer})
    assert (done.returncode, done.stderr) == (0, "")
    folder = kit.folder / "programs"
    links = {each.name: each.resolve() for each in folder.glob("*m*") if each.name != ".stamp"}
    assert links == {
        "prometheus": kit.path / "prometheus",
        "promtool": kit.path / "promtool",
        "alertmanager": kit.path / alertmanager.replace("_", "-"),
        "amtool": kit.path / "amtool",
    }
    assert kit.resolved().returncode == 0
    kit.forget()
    assert kit.resolved().returncode == 2, "links to programs that went are no programs"


@pytest.mark.parametrize(
    ("tools", "wanted"),
    [
        ({}, "Prometheus 2.42"),
        ({"prometheus": OLD, "promtool": OLD}, "Prometheus 2.42"),
        ({"prometheus": NEW}, "Prometheus 2.42"),
        (PROMETHEUS, "Alertmanager 0.25"),
        ({**PROMETHEUS, "alertmanager": ANCIENT, "amtool": ANCIENT}, "Alertmanager 0.25"),
    ],
)
def test_what_is_missing_is_told_with_the_command_that_installs_it(
    kit: Kit, tools: dict[str, str], wanted: str
) -> None:
    done = kit.resolved(**tools)
    assert done.returncode == 2
    assert done.stderr.startswith(f"prometheus: {wanted} or newer is needed")
    for way in ("apt-get install prometheus", "dnf install prometheus", "brew install prometheus"):
        assert way in done.stderr
    assert "Traceback" not in done.stderr
    assert not (kit.folder / "programs").exists()


def test_an_apt_without_lists_reads_them_into_a_folder_of_its_own(kit: Kit) -> None:
    calls = kit.tree / "calls"
    done = kit.resolved(apt_get=f'echo "$*" >> {calls}; exit 1', dpkg_deb="exit 1")
    assert done.returncode == 2
    assert "network" in done.stderr and "sources.list" in done.stderr
    said = calls.read_text().splitlines()
    assert [line.split()[-1] for line in said] == ["prometheus"] + ["update"] * TRIES
    (room,) = {found[1] for line in said[1:] if (found := re.search(r"lists=(\S+)", line))}
    assert not Path(room).exists(), "thrown away"
    assert list(kit.folder.glob("programs*")) == []
    for line in said:
        assert "AllowInsecureRepositories=false" in line, "no list without a signature"


@pytest.mark.parametrize("told", ["another digest", "MD5 alone", "nothing of it"])
def test_what_is_not_what_the_signed_list_says_is_refused_by_name(kit: Kit, told: str) -> None:
    name = "prometheus_2.42_amd64.deb"
    ours, other = (hashlib.sha256(each).hexdigest() for each in (b"ours", b"other"))
    lines = {
        "another digest": f"'http://m/{name}' {name} 5 SHA256:{ours}",
        "MD5 alone": f"'http://m/{name}' {name} 5 MD5Sum:{hashlib.md5(b'other').hexdigest()}",
        "nothing of it": f"'http://m/x.deb' x.deb 5 SHA256:{other}",
    }
    unpacked = kit.tree / "unpacked"
    done = kit.resolved(
        apt_get=f'case "$*" in *--print-uris*) echo "{lines[told]}";;'
        f" *) printf other > {name};; esac",
        dpkg_deb=f"echo >> {unpacked}",
    )
    assert done.returncode == 2
    assert f"{name} is not what the distribution's signed list says" in done.stderr
    assert "apt-get install prometheus" in done.stderr
    assert not unpacked.exists()
    assert list(kit.folder.glob("programs*")) == []


def test_what_the_signed_list_says_is_unpacked(kit: Kit) -> None:
    name = "prometheus_2.42_amd64.deb"
    line = f"'http://m/{name}' {name} 5 SHA256:{hashlib.sha256(b'ours').hexdigest()}"
    done = kit.resolved(
        apt_get=f'case "$*" in *--print-uris*) echo "{line}";; *) printf ours > {name};; esac',
        dpkg_deb='echo > "$3/something"',
    )
    assert "The package prometheus holds no prometheus" in done.stderr, "it was looked into"


def test_the_tests_stand_behind_it() -> None:
    (test,) = re.findall(r"^test:(.*)$", text_of("Makefile"), re.MULTILINE)
    assert "prometheus" in test.partition("##")[0].split()
