"""What stands around: brokers, certificates of the doors, ports, and the processes that run."""

from __future__ import annotations

import socket
import time
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Final

from ops.bootstrap import kafka_settings
from ops.figures import Figures, figures_of, read_figures
from ops.lone_thread import in_thread
from ops.runtime.certificates import read_certificate
from ops.runtime.data_folder import DataFolder, ProcessLedger
from ops.runtime.kafka_topics import TopicState, topics_as_they_are
from ops.runtime.settings import Engine, Settings
from ops.station_relay import stream_topics
from schemas.errors import HubError
from schemas.topics import intake_topic

from .checks import Check, advice, good, not_used, wrong

_SOON: Final = timedelta(days=30)


async def look_at_brokers(settings: Settings) -> list[Check]:
    """Look whether the brokers answer and the topics are as they must be."""
    if settings.engine is Engine.EMBEDDED:
        return [not_used("broker", "Apache Kafka", "the embedded engine needs none")]
    wanted = stream_topics(settings, settings.partition_count)
    names = [intake_topic(settings.kafka_topic_prefix), *wanted]
    found = await topics_as_they_are(kafka_settings(settings, "doctor"), names)
    checks = [good("broker", "Apache Kafka", f"answers, {settings.kafka_bootstrap.count(',') + 1}"
                   " addresses")]  # fmt: skip
    return checks + [_topic(name, found.get(name), settings) for name in names]


def _topic(name: str, found: TopicState | None, settings: Settings) -> Check:
    if found is None:
        return not_used("broker", name, "not made yet: the first start makes it")
    said = f"{found.partitions} partitions, min.insync.replicas {found.min_insync}"
    if found.without_leader:
        return wrong(
            "broker", name, f"{found.without_leader} partitions have no leader",
            "start the brokers that are away: docs/runbooks/door-closed.md",
        )  # fmt: skip
    if found.min_insync < settings.min_insync_replicas:
        return wrong(
            "broker", name, said,
            f"raise it to {settings.min_insync_replicas}: an acknowledgement must be on two disks",
        )  # fmt: skip
    if settings.partitions is not None and found.partitions != settings.partitions:
        return wrong("broker", name, said, "it is another instance's: mend prefix or addresses")
    return good("broker", name, said)


async def look_at_certificates(settings: Settings) -> list[Check]:
    """Look when the certificates of the doors and of the brokers' client end."""
    files = (
        ("mllp", settings.mllp_tls_cert),
        ("http", settings.http_tls_cert),
        ("kafka", settings.kafka_cert),
    )
    return await in_thread(lambda: [_certificate(name, path) for name, path in files])


def _certificate(name: str, path: Path | None) -> Check:
    area = "certificates"
    if path is None:
        return not_used(area, name, "none is set")
    try:
        ends = read_certificate(path.read_bytes()).not_after
    except (OSError, HubError):
        return wrong(area, name, f"{path} cannot be read", "mend the file or its permissions")
    left = ends - datetime.now(UTC)
    said = f"ends {ends.date().isoformat()}, in {left.days} days"
    if left <= timedelta():
        return wrong(area, name, said, "put a new one in its place: docs/runbooks/certificates.md")
    if left < _SOON:
        return advice(area, name, said, "put a new one in its place: docs/runbooks/certificates.md")
    return good(area, name, said)


async def look_at_processes(settings: Settings) -> list[Check]:
    """Look which processes of a run there are, of which release, and whether ports are free."""
    area = "processes"
    owner = DataFolder(settings.data_dir).owner()
    if owner is None and settings.engine is Engine.CLUSTER:
        figures = await figures_of(f"http://{settings.http_host}:{settings.http_port}", settings)
        if figures is not None:
            count = figures.total("labdispatch_processes")
            return [
                good(area, "figures", f"{count:.0f} processes give them here"),
                _releases(figures),
            ]
    if owner is None:
        ports = (
            ("mllp", settings.mllp_host, settings.mllp_port),
            ("http", settings.http_host, settings.http_port),
        )
        return [
            not_used(area, "run", "nobody runs on this data folder"),
            *(_port(name, host, port) for name, host, port in ports),
        ]
    children = ProcessLedger(settings.data_dir).children()
    names = ", ".join(sorted(child.role for child in children))
    found = [good(area, "run", f"pid {owner.process.pid}: {names}")]
    address = owner.addresses.get("http", "")
    if not address:
        return [*found, not_used(area, "releases", "the run tells no HTTP address yet")]
    figures = await read_figures(address, settings)
    if figures is None:
        return [
            *found,
            wrong(area, "HTTP", f"{address} does not answer", "docs/runbooks/process-down.md"),
        ]
    return [*found, _releases(figures)]


def _releases(figures: Figures) -> Check:
    area = "processes"
    builds = {
        labels.get("version", "?") for labels, n in figures.of("labdispatch_build_processes") if n
    }
    here = version("labdispatch")
    if builds - {here}:
        others = ", ".join(sorted(builds))
        return advice(
            area, "releases", f"{others}; this command is {here}",
            "an upgrade is under way, or was left half done: restart what is old",
        )  # fmt: skip
    youngest = figures.largest("labdispatch_youngest_start_timestamp_seconds")
    up = f", the youngest up {time.time() - youngest:,.0f} s" if youngest else ""
    return good(area, "releases", f"all {here}{up}")


def _port(name: str, host: str, port: int) -> Check:
    if port == 0:
        return good("processes", f"{name} port", "any free one")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return advice(
                "processes", f"{name} port", f"{host}:{port} is taken",
                f"end what listens there (ss -ltnp), or set {name}_port",
            )  # fmt: skip
    return good("processes", f"{name} port", f"{host}:{port} is free")
