"""A file of anybody's through the real resolver: figures, decisions, and nothing left behind."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from ops.cli import main
from ops.evaluating.command import Asked, evaluate
from ops.evaluating.run import WORDS
from ops.simulate.desk import TEST
from ops.simulate.population import Population
from ops.simulate.stream import IdentityStream
from schemas.errors import PermanentError

FRENCH = (
    "id", "who", "surname", "given_name", "used_name", "date_of_birth", "sex", "birth_place",
    "street", "postcode", "city", "phone", "ins", "identity_status", "shoe_size",
)  # fmt: skip


def write(path: Path, header: tuple[str, ...], rows: list[list[object]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def french(path: Path, persons: int = 150) -> Path:
    stream = IdentityStream(Population(3, persons, date(2026, 1, 1)), TEST, 2 * persons, 4)
    rows: list[list[object]] = []
    for number, record in enumerate(stream):
        traits, home = record.traits, record.traits.address
        assert home is not None
        ins = traits.ins[0].matricule if traits.ins else ""
        rows.append([
            f"r{number}", record.person, traits.birth_family, traits.birth_given,
            traits.used_family, traits.birth_date, traits.sex, traits.birth_place,
            " ".join(home.lines), home.postcode, home.city, " ".join(traits.phones[:1]), ins,
            traits.identity_status, "42",
        ])  # fmt: skip
    return write(path, FRENCH, rows)


async def test_the_resolver_and_the_engine_in_memory_decide_the_same(tmp_path: Path) -> None:
    """The benchmark's short cut is worth what the product is worth."""
    file = french(tmp_path / "fr.csv")
    said = []
    for in_memory in (False, True):
        out = tmp_path / f"decisions-{in_memory}.csv"
        figures = await evaluate(
            Asked(file=file, truth="who", id="id", decisions=out, in_memory=in_memory)
        )
        assert figures.model.startswith("fr-")
        assert figures.ignored_columns == ("shoe_size",)
        assert figures.pair_precision == 1
        assert figures.pair_recall > 0.9
        rows = read(out)
        assert [row["id"] for row in rows] == [f"r{n}" for n in range(300)]
        assert {row["decision"] for row in rows} <= set(WORDS)
        together: dict[str, int] = {}
        persons = [together.setdefault(row["person"], len(together)) for row in rows]
        said.append((persons, [row["decision"] for row in rows]))
    assert said[0] == said[1]


async def test_a_file_without_french_columns_is_matched_by_generic(tmp_path: Path) -> None:
    """And a later record may show that two persons are one."""
    header = ("who", "given_name", "surname", "date_of_birth", "address_1", "suburb", "postcode")
    rows: list[list[object]] = [
        [1, "mitchell", "green", "19560409", "wallaby place", "cleveland", "2119"],
        [1, "", "", "19560409", "wallaby place", "cleveland", "2119"],
        [2, "sarah", "bruhn", "19300213", "forbes street", "kellerberrin", "4510"],
        [1, "green", "mitchell", "19560409", "wallabyplace", "cleveland", "2119"],
        [2, "sarrah", "bruhn", "19300213", "", "", "4510"],
        [3, "", "", "", "", "", ""],
    ]
    file = write(tmp_path / "au.csv", header, rows)
    out = tmp_path / "decisions.csv"
    figures = await evaluate(Asked(file=file, truth="who", decisions=out, population=20))
    assert figures.model.startswith("generic-")
    assert figures.pair_precision == 1
    assert figures.pair_f1 == 1
    persons = [row["person"] for row in read(out)]
    assert persons[0] == persons[1] == persons[3]
    assert persons[2] == persons[4]
    assert len(set(persons)) == 3


def test_the_command_prints_figures_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = Path(tempfile.mkdtemp(prefix="ld-"))
    scratch.chmod(0o711)
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    file = french(tmp_path / "fr.csv", 20)
    done = CliRunner().invoke(
        main, ["identity", "evaluate", str(file), "--truth", "who", "--json"], env={}
    )
    assert done.exit_code == 0, done.output
    said = msgspec.json.decode(done.stdout)
    assert said["records"] == 40
    for name in (
        "pair_precision", "pair_recall", "pair_f1", "cluster_f1", "false_links_per_million",
        "review_share", "records_per_second",
    ):  # fmt: skip
        assert isinstance(said[name], (int, float))
    assert list(scratch.iterdir()) == []
    scratch.rmdir()


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_ended_leaves_nothing_behind(tmp_path: Path, end: signal.Signals) -> None:
    scratch = Path(tempfile.mkdtemp(prefix="ld-"))
    scratch.chmod(0o711)
    file = french(tmp_path / "fr.csv", 2_000)
    command = [sys.executable, "-m", "ops.cli", "identity", "evaluate", str(file), "--truth", "who"]
    with subprocess.Popen(
        command, env={**os.environ, "TMPDIR": str(scratch)}, stdout=subprocess.DEVNULL
    ) as run:
        while run.poll() is None and not list(scratch.glob("ld-evaluate-*/keys")):
            time.sleep(0.05)
        run.send_signal(end)
        assert run.wait(timeout=120) == 130
    assert list(scratch.iterdir()) == []
    scratch.rmdir()


HOSTILE = [
    ["1", "", "", "", "", "", "", "", "", "", "", "", "", "", ""],
    ["2", "b", "A", "B", "", "2999-01-01", "?", "0", "", "", "", "1", "1", "VALI", ""],
    ["3", "c", "X" * 10_000, "J" * 10_000, "", "1800-02-30", "", "", "", "", "", "", "", "", ""],
    [
        "4",
        "d",
        "😀",
        "\u202eabc\u202c",
        "",
        "00000000",
        "M",
        "99999",
        "",
        "",
        "",
        "",
        "",
        "DOUT",
        "",
    ],
    ["5", "e", "李", "小龙", "Öz", "1940-11-27", "", "", "", "", "", "", "", "FICT", ""],
    [
        "6",
        "f",
        "O'\x07Neil",
        " ".join(["ANNE"] * 40),
        "",
        "soon",
        "F",
        "",
        "",
        "",
        "",
        "",
        "",
        "",
        "",
    ],
]


@pytest.mark.parametrize("in_memory", [True, False])
async def test_whatever_stands_in_a_file_gives_figures(tmp_path: Path, in_memory: bool) -> None:
    rows: list[list[object]] = [[*row] for row in HOSTILE]
    rows[0][1] = "a"
    file = write(tmp_path / "hostile.csv", FRENCH, rows + rows)
    figures = await evaluate(Asked(file=file, truth="who", in_memory=in_memory))
    assert figures.records == 2 * len(HOSTILE)
    assert figures.pair_precision == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("who,surname\n1,a\n,b\n", "truth_missing"),
        ("who,surname\n", "file_empty"),
        ("surname\na\n", "column_missing"),
        ("who,shoe\n1,2\n", "no_known_column"),
        ("who,surname\n1\n", "row_width_wrong"),
    ],
)
async def test_a_bad_file_is_an_error_with_a_remedy(tmp_path: Path, text: str, reason: str) -> None:
    file = tmp_path / "bad.csv"
    file.write_text(text)
    with pytest.raises(PermanentError) as caught:
        await evaluate(Asked(file=file, truth="who", in_memory=True))
    assert caught.value.reason == reason
    assert caught.value.remedy
