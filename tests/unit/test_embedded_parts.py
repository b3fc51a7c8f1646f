from __future__ import annotations

from pathlib import Path

import pytest

from ops.runtime.embedded import binaries, cluster, home, leftovers, tuning
from ops.runtime.embedded.account import Account
from ops.runtime.embedded.home import Connection, Home
from schemas.errors import FatalError

ROOT = Account(name="labdispatch", uid=990, gid=990, lent=True)
USER = Account(name="someone", uid=1000, gid=1000, lent=False)
HOME = Home(path=Path("/s/home"), socket=Path("/s/home/socket"), name="labdispatch-x")


def silent(_: str) -> None:
    """Take progress and say nothing."""


def given(extra: dict[str, str], *, allow_unsafe: bool = False, listen: bool = False) -> list[str]:
    arguments = tuning.arguments(
        home=HOME.path,
        socket=HOME.socket,
        name=HOME.name,
        port=5432,
        listen=listen,
        shared_buffers_mb=64,
        extra=extra,
        allow_unsafe=allow_unsafe,
    )
    assert arguments[::2] == ["-c"] * (len(arguments) // 2)
    return arguments[1::2]


@pytest.mark.parametrize("name", ["fsync", "synchronous_commit", "full_page_writes"])
def test_durability_cannot_be_switched_off(name: str) -> None:
    assert f"{name}=on" in given({})
    with pytest.raises(FatalError, match="unsafe_setting"):
        given({name: "off"})
    assert f"{name}=off" in given({name: "off"}, allow_unsafe=True)


def test_settings_of_the_caller_win_except_over_who_may_connect() -> None:
    settings = given({"max_wal_size": "8GB", "listen_addresses": "*", "hba_file": "/open"})
    assert "max_wal_size=8GB" in settings
    assert "listen_addresses=" in settings
    assert "hba_file=/s/home/pg_hba.conf" in settings
    assert "listen_addresses=127.0.0.1" in given({}, listen=True)


def test_the_server_log_quotes_no_value() -> None:
    settings = given({})
    for setting in (
        "log_min_messages=log",
        "log_min_error_statement=panic",
        "log_error_verbosity=terse",
        "log_statement=none",
        "log_parameter_max_length=0",
        "log_parameter_max_length_on_error=0",
        "log_min_duration_statement=-1",
    ):
        assert setting in settings


def test_nobody_is_trusted() -> None:
    rules = [line.split() for line in tuning.HBA.splitlines() if line and line[0] != "#"]
    assert {rule[-1] for rule in rules} == {"scram-sha-256"}


def test_the_cluster_lies_in_the_data_folder_or_keyed_by_it() -> None:
    data, state = Path("/var/tmp/d"), Path("/var/lib/labdispatch")
    assert home.locate(data, state, USER).path == data / "postgres"
    lent = home.locate(data, state, ROOT)
    assert lent.path.parent == state and len(lent.path.name) == 16
    assert home.locate(data / "other", state, ROOT).path != lent.path


def test_a_socket_path_fits_the_kernel_however_long_the_folder() -> None:
    for depth in (1, 40, 400):
        data = Path("/" + "/".join(["deep"] * depth))
        socket = home.locate(data, Path("/s"), USER).socket
        assert len(str(socket / ".s.PGSQL.65535.lock")) <= 107


def connection() -> Connection:
    return Connection(
        token="t",
        home="/h",
        socket="/h/socket",
        port=5432,
        password="canary-one",
        superuser_password="canary-two",
        ready=True,
    )


def test_a_connection_shows_no_password() -> None:
    assert "canary" not in repr(connection())
    assert "canary" not in f"{connection()}"


def made(tmp_path: Path) -> tuple[Path, Home]:
    place = Home(path=tmp_path / "postgres", socket=tmp_path / "postgres/socket", name="n")
    place.cluster.mkdir(parents=True)
    return tmp_path, place


def test_a_data_folder_made_anew_sets_the_old_cluster_aside_and_destroys_nothing(
    tmp_path: Path,
) -> None:
    data, place = made(tmp_path)
    (place.cluster / "kept").touch()
    told: list[str] = []
    found = home.settle(data, place, told.append)
    assert not found.ready and not place.cluster.exists()
    assert [path.name for path in place.path.glob("abandoned-*/*")] == ["kept"]
    assert len(told) == 1


def test_half_of_the_files_of_a_data_folder_is_a_loss_that_is_told(tmp_path: Path) -> None:
    data, place = made(tmp_path)
    found = home.settle(data, place, silent)
    (data / "postgres.json").unlink()
    with pytest.raises(FatalError, match="postgres_file_missing"):
        home.settle(data, place, silent)
    home.write_file(data, found)
    assert home.settle(data, place, silent) == found
    (data / "cluster.id").write_text("another")
    with pytest.raises(FatalError, match="postgres_file_missing"):
        home.settle(data, place, silent)


def test_a_cluster_that_is_gone_is_never_made_anew_in_silence(tmp_path: Path) -> None:
    data, place = made(tmp_path)
    found = home.settle(data, place, silent)
    ready = Connection(**{**{f: getattr(found, f) for f in found.__struct_fields__}, "ready": True})
    home.write_file(data, ready)
    with pytest.raises(FatalError, match="cluster_missing"):
        home.settle(data, place, silent)


def test_a_cluster_inside_its_data_folder_moves_with_it(tmp_path: Path) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    place = Home(path=before / "postgres", socket=before / "postgres/socket", name="n")
    before.mkdir()
    home.settle(before, place, silent)
    place.cluster.mkdir(parents=True)
    before.rename(after)
    moved = Home(path=after / "postgres", socket=after / "postgres/socket", name="n")
    assert home.settle(after, moved, silent).home == str(moved.path)
    elsewhere = Home(path=tmp_path / "state/key", socket=tmp_path / "state/key/socket", name="n")
    with pytest.raises(FatalError, match="cluster_elsewhere"):
        home.settle(after, elsewhere, silent)


def test_a_cluster_of_another_major_version_is_refused_with_a_remedy(tmp_path: Path) -> None:
    _, place = made(tmp_path)
    (place.cluster / "PG_VERSION").write_text("17\n")
    with pytest.raises(FatalError, match="dump there and restore here"):
        cluster.check_major(place)
    (place.cluster / "PG_VERSION").write_text(f"{binaries.major_version()}\n")
    cluster.check_major(place)


def test_only_the_newest_logs_are_kept(tmp_path: Path) -> None:
    _, place = made(tmp_path)
    place.log.mkdir()
    for day in range(1, 6):
        (place.log / f"postgres-2026010{day}-000000.log").write_bytes(b"x" * 100)
    assert cluster.trim_log(place, 250) == 3
    assert [path.name[13:17] for path in sorted(place.log.iterdir())] == ["0104", "0105"]
    assert cluster.trim_log(place, 0) == 1


def test_why_a_server_died_is_told_without_its_words(tmp_path: Path) -> None:
    _, place = made(tmp_path)
    place.log.mkdir()
    place.start_log.write_text('FATAL: canary: could not write "x": No space left on device\n')
    problem = cluster.died(place)
    assert "free space" in problem.remedy and str(place.start_log) in problem.remedy
    assert "canary" not in str(problem)


def test_a_pid_file_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("1\n")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    assert leftovers.read_lines(tmp_path / "link") == []
    assert leftovers.read_lines(tmp_path / "target") == ["1"]
