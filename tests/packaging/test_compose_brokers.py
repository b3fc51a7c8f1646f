"""A broker's health check of the compose file, natively: its own line, against a real broker.

No container runs here. The image's program is the same class out of Kafka's own jar of the release
that the file names; the image's place of it, and the broker's address, are ours.
"""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from ops.kafka.resolve import HERE, LOG_CONFIG, resolve
from ops.kit import java
from tests.support.kafka import free_ports

from .tree import ROOT

SERVICES: Final[dict[str, Any]] = yaml.safe_load(
    (ROOT / "ops" / "compose" / "compose.yaml").read_text("utf-8")
)["services"]
BROKERS: Final = ("kafka-1", "kafka-2", "kafka-3")
PROGRAM: Final = "/opt/kafka/bin/kafka-broker-api-versions.sh"
PORT: Final = ":19092"
"""Of the listener INTERNAL, over which brokers speak with each other."""


class Image:
    """The programs that the line calls, where the line finds them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        jars = os.pathsep.join(sorted(str(jar) for jar in resolve().glob("*.jar")))
        self.stub("hostname", "echo 127.0.0.1")
        self.stub(
            "kafka-broker-api-versions.sh",
            f"exec {java()} -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xmx128m"
            f" -Dlog4j2.configurationFile={LOG_CONFIG} -cp '{jars}'"
            ' org.apache.kafka.tools.BrokerApiVersionsCommand "$@"',
        )

    def stub(self, name: str, line: str) -> None:
        (self.folder / name).write_text(f"#!/bin/sh\n{line}\n")
        (self.folder / name).chmod(0o755)

    def is_healthy(self, port: int, seconds: float = 120.0) -> bool | None:
        """Ask as the file does; None: nothing was said within the seconds, which is no answer."""
        kind, line = SERVICES["kafka-1"]["healthcheck"]["test"]
        assert kind == "CMD-SHELL"
        assert PROGRAM in line and PORT in line
        # Compose reads two dollars as one.
        line = line.replace("$$", "$").replace(PORT, f":{port}")
        line = line.replace(PROGRAM, str(self.folder / Path(PROGRAM).name))
        path = f"{self.folder}:/usr/bin:/bin"
        with subprocess.Popen(
            ["/bin/sh", "-c", line], env={"PATH": path}, process_group=0
        ) as asked:
            try:
                return asked.wait(seconds) == 0
            except subprocess.TimeoutExpired:
                os.killpg(asked.pid, signal.SIGKILL)
                return None


@pytest.fixture
def image(tmp_path: Path) -> Image:
    return Image(tmp_path)


def test_a_broker_that_answers_is_well_and_one_that_is_away_is_not(
    image: Image, kafka_bootstrap: str
) -> None:
    assert image.is_healthy(int(kafka_bootstrap.rpartition(":")[2])) is True
    (nobody,) = free_ports(1)
    assert image.is_healthy(nobody, seconds=limit("kafka-1")) in {False, None}


def test_each_broker_is_asked_the_same_at_its_own_listener() -> None:
    """And of the release whose class is asked here."""
    pom = (HERE / "pom.xml").read_text("utf-8")
    for name in BROKERS:
        service = SERVICES[name]
        assert service["healthcheck"] == SERVICES["kafka-1"]["healthcheck"]
        assert f"INTERNAL://{PORT}" in service["environment"]["KAFKA_LISTENERS"]
        assert service["hostname"] == name
        version = service["image"].rpartition(":")[2]
        assert f"<kafka.version>{version}</kafka.version>" in pom


def limit(service: str) -> float:
    """Seconds after which compose takes no answer for a bad one."""
    said: str = SERVICES[service]["healthcheck"]["timeout"]
    return float(said.removesuffix("s"))
