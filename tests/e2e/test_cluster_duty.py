"""What the person on call types at night, on a real cluster: looking, pausing, mending, purging.

One database, one broker and the stations of the unit files serve the whole file. Commands run in
this process, as `labdispatch` would. The last test purges all there is, and looks for a name in
every file of database, broker, data folder, watched folder and logs.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from click.testing import CliRunner, Result

from ops.bootstrap import connection_of, open_hub
from ops.cli import main
from ops.client import MllpClient
from ops.runtime.postgres import connected
from ops.runtime.settings import Settings, load_settings
from schemas.topics import NOMINATIVE_STREAMS, STREAMS
from tests.e2e.test_bad_days import CANARY, _canary
from tests.gameday.receiver import Receiver
from tests.support.cluster import BESIDE, Cluster, read_service
from tests.support.files import answer_to, open_lab_folder, put
from tests.support.in_kafka import in_kafka_once
from tests.support.kafka import KafkaCluster, free_ports
from tests.support.purging import ASKER, Ahead, nothing_is_held_back, purger_on

pytestmark = pytest.mark.timeout(900)

LABORATORY: Final = "990010001"
WHY: Final = ("--reason", "a test of the night", "--actor", "on call")
SECONDS: Final = 240.0


class SoonForgetting(KafkaCluster):
    """Looks every second for what its topics need not keep; as long as they say, it keeps it."""

    def _properties(self, node: int) -> str:
        return super()._properties(node) + (
            "log.retention.check.interval.ms=1000\nlog.initial.task.delay.ms=1000\n"
        )


class Duty(Cluster):
    """A cluster whose commands run in this process, and whose processes give figures."""

    def settings(self) -> dict[str, str]:
        ports = free_ports(4)
        roles = ("ingest", "dispatch", "relay", "api")
        self.extra = {
            role: {"LABDISPATCH_METRICS_PORT": str(port)}
            for role, port in zip(roles, ports, strict=True)
        }
        self.batch_dir = self.folder / "files"
        self.batch_dir.mkdir()
        self.extra["api"]["LABDISPATCH_BATCH_DIR"] = str(self.batch_dir)
        return {
            **super().settings(),
            "LABDISPATCH_FIGURES_ADDRESSES": ",".join(f"127.0.0.1:{port}" for port in ports),
            "LABDISPATCH_PAUSE_REFRESH_SECONDS": "0.2",
            "LABDISPATCH_RELAY_NOTE_SECONDS": "0.5",
            # What is in a segment can be read there.
            "LABDISPATCH_RELAY_COMPRESSION": "none",
        }

    def typed(self, *words: str) -> Result:
        """What a command says."""
        done = CliRunner().invoke(main, [*words], env=self.env)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done

    def said(self, *words: str) -> str:
        """What a command says that ends well."""
        done = self.typed(*words)
        assert done.exit_code == 0, (words, done.exit_code, done.output)
        return done.stdout

    def sees(self) -> tuple[int, dict[str, dict[str, str]]]:
        """The exit code of `status`, and what it says of each thing by its name."""
        done = self.typed("status", "--json")
        return done.exit_code, {each["name"]: each for each in json.loads(done.stdout)}

    def noted(self) -> bool:
        """Whether the relay has noted all that it has published."""
        return all("0 not noted" in self.sees()[1][each.value]["said"] for each in STREAMS)

    def settled(self) -> dict[str, Any]:
        """The account, once nothing is in flight."""
        found: dict[str, Any] = {}

        def closes() -> bool:
            done = self.typed("account", "--json")
            found.update(json.loads(done.stdout or "{}"))
            return done.exit_code == 0 and found["in_flight"] == 0

        self.until("the account", closes)
        return found

    def until(self, what: str, holds: Callable[[], object]) -> None:
        limit = time.monotonic() + SECONDS
        while not holds():
            assert time.monotonic() < limit, f"{what}\n{self.last_words()}"
            time.sleep(0.1)

    def send(self, *messages: bytes) -> list[str]:
        """The door's answers; sent again after AR, as laboratories do: nothing was taken."""

        async def sending() -> list[str]:
            async with MllpClient("127.0.0.1", self.mllp_port, timeout_seconds=60) as client:
                codes = []
                for raw in messages:
                    limit = time.monotonic() + SECONDS
                    while (code := (await client.send(raw)).code) == "AR":
                        assert time.monotonic() < limit, self.last_words()
                        await asyncio.sleep(0.5)
                    codes.append(code)
                return codes

        return asyncio.run(sending())


@pytest.fixture(scope="module")
def duty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Duty]:
    kafka = SoonForgetting(tmp_path_factory.mktemp("kafka"))
    made = Duty(kafka, "duty.")
    try:
        kafka.start()
        made.start()
        for port in (made.mllp_port, made.http_port):
            made.until("a door is closed", partial(opens, port))
        yield made
    finally:
        made.remove()
        kafka.stop()


async def test_a_night(duty: Duty, tmp_path: Path) -> None:
    """One after the other: the last step leaves nothing to look at."""
    for step in (
        one_look_says_what_runs_and_what_is_away,
        what_was_away_starts_by_its_own_lines_and_works,
        what_belongs_to_others_is_refused_with_the_next_step,
        a_stream_waits_and_goes_on_with_nothing_lost,
        a_parked_message_is_mended_and_ranges_are_done_again,
        after_its_day_a_name_is_in_no_file_of_any_part,
    ):
        await asyncio.to_thread(step, duty, tmp_path)


def one_look_says_what_runs_and_what_is_away(duty: Duty, _: Path) -> None:
    assert duty.send(told("D-1"), told("D-2", ("\rPID|", "\rZID|"))) == ["AA", "AE"]
    duty.settled()
    found = json.loads(duty.said("doctor", "--json"))
    assert {each["state"] for each in found if each["area"] == "broker"} == {"good"}
    said = {each["name"]: each["said"] for each in found if each["area"] == "processes"}
    assert said["figures"] == "4 processes give them here"
    code, seen = duty.sees()
    processes = {name: each["state"] for name, each in seen.items() if each["area"] == "processes"}
    assert (code, processes) == (
        1,
        dict.fromkeys(("ingest", "dispatch", "relay", "api"), "good")
        | dict.fromkeys(("push", "indicators"), "wrong"),
    )
    assert seen["backup"]["state"] == "not used"
    # What waits is counted in the log: whoever dispatches says nothing while it hangs.
    duty.kill("dispatch", signal.SIGSTOP)
    try:
        duty.send(told("D-3"))
        assert duty.sees()[1]["intake log"]["said"].startswith("1 in flight")
        assert "in flight 1," in duty.said("top")
    finally:
        duty.kill("dispatch", signal.SIGCONT)
    duty.settled()
    assert "reports" in duty.said("trace", "D-1")


def what_was_away_starts_by_its_own_lines_and_works(duty: Duty, _: Path) -> None:
    """By the units' lines, which name no inbound topic; well by the compose file's own checks."""
    ports = dict(zip(BESIDE, free_ports(len(BESIDE)), strict=True))
    for role, port in ports.items():
        assert not is_healthy(role, port)
        duty.extra[role] = {"LABDISPATCH_METRICS_PORT": str(port)}
        duty.start_station(role)
    for role, port in ports.items():
        duty.until(f"{role} is healthy", partial(is_healthy, role, port))
    duty.env["LABDISPATCH_FIGURES_ADDRESSES"] += "".join(f",127.0.0.1:{p}" for p in ports.values())
    duty.until("status sees them", lambda: {"good"} == seen_states(duty, BESIDE))
    receiver = Receiver()
    try:
        where = ("--kind", "webhook", "--stream", "public-health", "--url", receiver.url)
        duty.said("receivers", "add", "ward", *where, *WHY)
        assert duty.send(told("B-1")) == ["AA"]
        duty.until("it is pushed", lambda: receiver.taken)
        counted = "labdispatch_indicator_events_total"
        duty.until("it is counted", lambda: figure(ports["indicators"], counted) > 0)
        duty.said("receivers", "remove", "ward", *WHY)
    finally:
        receiver.stop()
    for role in BESIDE:
        duty.kill(role, signal.SIGTERM)
    duty.until("they end in order", lambda: all(duty.ended[role] == [0] for role in BESIDE))


def what_belongs_to_others_is_refused_with_the_next_step(duty: Duty, _: Path) -> None:
    for words, step in (
        (("drain", "dispatch"), "systemctl restart labdispatch-ROLE"),
        (("backup",), "docs/backup.md#cluster"),
        (("backup", "list"), "docs/backup.md#cluster"),
        (("backup", "verify"), "docs/backup.md#cluster"),
        (("restore", "--from", str(duty.folder)), "docs/backup.md#cluster"),
    ):
        done = duty.typed(*words)
        assert (done.exit_code, step in done.output) == (1, True), (words, done.output)
    # The next step, as systemd and docker do it.
    before = len(duty.ended["api"])
    duty.kill("api", signal.SIGTERM)
    duty.until("it is drained", lambda: duty.ended["api"][before:] == [0])


def a_stream_waits_and_goes_on_with_nothing_lost(duty: Duty, _: Path) -> None:
    duty.said("pause", "stream", "dossier", *WHY)
    assert "stream dossier" in duty.said("pauses")
    time.sleep(2)  # the relay has looked
    held = len(asyncio.run(duty.topic("dossier")))
    duty.send(told("S-1"))
    account = duty.settled()
    assert account["events"]["dossier"] > held
    assert len(asyncio.run(duty.topic("dossier"))) == held
    duty.said("resume", "stream", "dossier", *WHY)
    asyncio.run(in_kafka_once(duty, "dossier", duty.stream("dossier")))


def a_parked_message_is_mended_and_ranges_are_done_again(duty: Duty, tmp_path: Path) -> None:
    long_code = ("|94500-6^", f"|{CANARY * 30}^")
    assert duty.send(told("P-1", long_code), told("P-2", long_code)) == ["AA", "AA"]
    assert duty.settled()["parked"] == 2
    parked = json.loads(duty.said("parked", "list", "--json"))
    first, second = (each["message_id"] for each in parked)
    assert "key_too_long" in duty.said("parked", "show", first)
    raw = tmp_path / "raw.hl7"
    duty.said("parked", "raw", first, "--show-identity", "--to", str(raw), *WHY)
    raw.write_bytes(raw.read_bytes().replace((CANARY * 30).encode(), b"94500-6"))
    duty.said("parked", "fix", first, "--file", str(raw), *WHY)
    duty.said("parked", "assign", "--to", "laboratory desk", second, *WHY)
    duty.said("parked", "discard", second, *WHY)
    account = duty.settled()
    assert (account["parked"], account["replays"]) == (1, 1)
    assert json.loads(duty.said("parked", "list", "--json")) == []
    now = datetime.now(UTC)
    since, until = (f"{t:%Y-%m-%dT%H:%M:%S}" for t in (now - timedelta(1), now + timedelta(1)))
    assert "0  of them differ" in duty.said("replay", "--from", since, "--to", until, "--dry-run")
    duty.said("replay", "--from", since, "--to", until, *WHY)
    assert "done" in duty.said("replay", "--list")
    assert duty.settled()["events"] == account["events"]
    asked = duty.said("streams", "reconcile", "--all", "--dry-run", *WHY)
    assert re.search(r"dossier +\d+ +0 +0 +0 +0\n", asked), asked
    assert "holds what it should" in duty.said("streams", "verify")


def after_its_day_a_name_is_in_no_file_of_any_part(duty: Duty, _: Path) -> None:
    folder = open_lab_folder(duty.batch_dir, LABORATORY)
    put(folder, "day.hl7", told("F-1"))
    put(folder, "bad.hl7", b"no message of " + CANARY.encode())
    assert b"|AA|" in answer_to(folder, "day.hl7")
    answer_to(folder, "bad.hl7")
    duty.settled()
    for stream in STREAMS:
        asyncio.run(in_kafka_once(duty, stream.value, duty.stream(stream.value)))
    # In clear it lies where the page on retention says, and nowhere else.
    named = {f"{duty.prefix}{stream.value}" for stream in NOMINATIVE_STREAMS}
    found = holding(duty)
    topics = {path.parent.name.rpartition("-")[0] for path in found if path.suffix == ".log"}
    assert topics == named
    assert {path.name for path in found if path.suffix != ".log"} == {"day.hl7", "bad.hl7"}

    duty.until("the relay has noted it", duty.noted)
    asyncio.run(purged(duty))
    for words in (("audit", "verify"), ("retention", "status"), ("retention", "certificates")):
        assert CANARY not in duty.said(*words)
    # Days later, as brokers and the watched folder see it: their own ages are over.
    asyncio.run(aged(duty, named))
    for path in found:
        if path.suffix != ".log":
            os.utime(path, (0, 0))
    duty.kill("api", signal.SIGTERM)  # a folder is tidied at the start, then by the hour
    duty.until("names are left", lambda: not holding(duty))
    duty.stop()
    duty.server.stop()
    assert holding(duty) == []


def is_healthy(service: str, port: int) -> bool:
    """Ask as the compose file does, at a port of ours."""
    _, _, check = read_service(service)
    asked = [re.sub(r":\d+/metrics$", f":{port}/metrics", word) for word in check]
    assert asked != check
    return subprocess.run(asked, check=False, timeout=60).returncode == 0


def seen_states(duty: Duty, roles: Iterable[str]) -> set[str]:
    """What `status` says of processes."""
    seen = duty.sees()[1]
    return {seen[role]["state"] if role in seen else "" for role in roles}


def figure(port: int, name: str) -> float:
    """A figure without labels of the process at a port."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
        found = re.search(rf"^{name} (\S+)$", answer.read().decode(), re.MULTILINE)
    return float(found[1]) if found else 0.0


def opens(port: int) -> bool:
    """Whether somebody listens."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def told(number: str, *changes: tuple[str, str]) -> bytes:
    """A message with a report of its own, whose patient bears the name."""
    return _canary(number, ("LAB-5567", f"LAB-{number}"), *changes)


def holding(duty: Duty) -> list[Path]:
    """Every file of any part that holds the name, in clear or as UTF-16."""
    forms = (CANARY.encode(), CANARY.encode("utf-16-le"))
    found = []
    for root in (duty.folder, duty.kafka.base_dir):
        for path in root.rglob("*"):
            try:
                content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
            except FileNotFoundError:  # gone between the look and the reading
                continue
            if any(form in content for form in forms):
                found.append(path)
    return found


async def purged(duty: Duty) -> None:
    settings = settings_of(duty)
    async with (
        open_hub(settings, "looking", connections=2) as hub,
        connected(connection_of(settings), "retention") as connection,
    ):
        purger = purger_on(connection, hub, Ahead(900))
        await nothing_is_held_back(purger)
        (certificate,) = await purger.purge(ASKER)
    assert len(certificate.keys_destroyed) >= 4


def settings_of(duty: Duty) -> Settings:
    with pytest.MonkeyPatch.context() as patched:
        for name, value in duty.env.items():
            patched.setenv(name, value)
        return load_settings(data_dir=duty.data_dir)


async def aged(duty: Duty, topics: set[str]) -> None:
    """Let a topic's retention be over for all that it has."""
    admin: Any = AIOKafkaAdminClient(bootstrap_servers=duty.kafka.bootstrap)
    await admin.start()
    try:
        over = {"retention.ms": "1", "file.delete.delay.ms": "1"}
        kinds = [ConfigResource(ConfigResourceType.TOPIC, each, over) for each in topics]
        await admin.alter_configs(kinds)
    finally:
        await admin.close()
