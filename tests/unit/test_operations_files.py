"""What operators get as files says what the program does: units, compose, alerts, pages."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml

from ops import settings_page
from ops.cli import main
from ops.compose.healthy import healthy
from ops.grafana import dashboard
from ops.grafana.drawing import SOURCE
from ops.runtime.settings import PREFIX, Settings, load_settings
from ops.stations import ROLES

OPS = Path(settings_page.__file__).parent
UNITS = sorted((OPS / "systemd").glob("*.service"))
SETTINGS = {PREFIX + name.upper() for name in Settings.model_fields}
_UNKNOWN_TO_OLDER = re.compile(r"Unknown key (name )?'Restart(Steps|MaxDelaySec)'")
"""Of systemd before 254, which goes on without them."""
SECRET = PREFIX + "POSTGRES_DSN"
COMMAND = "/opt/labdispatch/.venv/bin/labdispatch"
OURS = (
    "migrate",
    "ingest",
    "inbound",
    "dispatch-1",
    "dispatch-2",
    "relay",
    "push",
    "indicators",
    "api",
)

# ---------------------------------------------------------------------------- systemd


class Unit(configparser.RawConfigParser):
    """A unit file; a key that comes more than once keeps all its values, one a line."""

    def __init__(self, path: Path) -> None:
        super().__init__(delimiters=("=",), comment_prefixes=("#", ";"), strict=False)
        self.optionxform = str  # type: ignore[assignment,method-assign]
        seen: dict[tuple[str, str], int] = {}
        section, lines = "", []
        for line in path.read_text().splitlines():
            key, found, value = line.partition("=")
            if line.startswith("["):
                section = line
            elif found and not line.startswith("#"):
                seen[section, key] = seen.get((section, key), 0) + 1
                if seen[section, key] > 1:
                    line = f"{key}.{seen[section, key]}={value}"  # noqa: PLW2901
            lines.append(line)
        self.read_string("\n".join(lines))

    def all(self, section: str, key: str) -> list[str]:
        return [v for k, v in self.items(section) if k.split(".")[0] == key]

    def environment(self, instance: str = "1") -> dict[str, str]:
        pairs = (each.partition("=") for each in self.all("Service", "Environment"))
        return {name: value.replace("%i", instance) for name, _, value in pairs}


def test_there_is_a_unit_for_each_role_and_one_to_migrate() -> None:
    names = {unit.name.removeprefix("labdispatch-").removesuffix(".service") for unit in UNITS}
    assert {name.rstrip("@") for name in names} == {*ROLES, "migrate"}
    assert "dispatch@" in names


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_unit_starts_an_existing_command_with_existing_settings(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unit = Unit(path)
    program, command = unit["Service"]["ExecStart"].split()
    assert program == COMMAND
    assert command in main.commands
    assert path.name.startswith(f"labdispatch-{command}")
    environment = unit.environment()
    assert set(environment) <= SETTINGS
    assert SECRET not in environment, "the address of the database holds a password"
    assert unit.all("Service", "EnvironmentFile") == [
        "/etc/labdispatch/secrets.env",
        "-/etc/labdispatch/tls.env",
    ]
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    for name, value in {**environment, SECRET: "postgresql://nobody@127.0.0.1/none"}.items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert settings.engine.value == "cluster"
    assert settings.realm.value == "test"


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_unit_is_hardened_and_stops_in_order(path: Path) -> None:
    service = Unit(path)["Service"]
    assert service["KillSignal"] == "SIGTERM"
    assert service["TimeoutStopSec"] == "15"
    assert service["User"] == service["StateDirectory"] == "labdispatch"
    assert service["ProtectSystem"] == "strict"
    assert service["LimitCORE"] == "0", "a core dump holds results in the clear"
    assert service["UMask"] == "0077"
    for switch in ("NoNewPrivileges", "PrivateTmp", "PrivateDevices", "ProtectHome"):
        assert service[switch] == "yes"
    if "migrate" in path.name:
        assert (service["Type"], service["Restart"]) == ("oneshot", "on-failure")
    else:
        assert (service["Type"], service["Restart"]) == ("exec", "always")
        assert float(service["RestartSec"]) > 0
        assert int(service["LimitNOFILE"]) >= 2 * 6_000, "a socket for each laboratory"
    # Slower each time: what cannot start must not fill the log of the machine.
    assert int(service["RestartSteps"]) > 1
    assert float(service["RestartMaxDelaySec"]) > float(service["RestartSec"])


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_unit_leaves_a_process_nothing_that_it_does_not_need(path: Path) -> None:
    unit = Unit(path)
    service = unit["Service"]
    assert service["CapabilityBoundingSet"] == service["AmbientCapabilities"] == ""
    assert service["RestrictAddressFamilies"].split() == ["AF_INET", "AF_INET6", "AF_UNIX"]
    assert unit.all("Service", "SystemCallFilter") == ["@system-service", "~@privileged"]
    assert service["ProtectProc"] == "invisible"
    assert service["KeyringMode"] == "private"
    for name in ("Clock", "Hostname", "KernelTunables", "KernelModules", "KernelLogs"):
        assert service[f"Protect{name}"] == "yes"
    assert service["ProtectControlGroups"] == "yes"
    for name in ("Namespaces", "Realtime", "SUIDSGID"):
        assert service[f"Restrict{name}"] == "yes"
    # Nothing is written but the state folder: no path is opened again.
    assert not {key for key in service if key.startswith(("ReadWritePaths", "BindPaths"))}
    assert service["StateDirectoryMode"] == "0700"


def test_a_unit_has_more_time_to_stop_than_the_hub_takes() -> None:
    assert Settings.model_fields["shutdown_seconds"].default + 5 < 15


def test_each_process_has_a_metrics_port_of_its_own() -> None:
    ports = [
        Unit(path).environment(instance)[PREFIX + "METRICS_PORT"]
        for path in UNITS
        if "migrate" not in path.name
        for instance in (("1", "2", "9") if "@" in path.name else ("",))
    ]
    assert len(ports) == len(set(ports)) == 9
    assert all(1_024 < int(port) < 65_536 for port in ports)


def test_the_target_wants_every_service() -> None:
    target = Unit(OPS / "systemd" / "labdispatch.target")
    wanted = {name for line in target.all("Unit", "Wants") for name in line.split()}
    assert {re.sub(r"@\d", "@", name) for name in wanted} == {path.name for path in UNITS}


def test_the_example_of_secrets_names_what_the_units_leave_out() -> None:
    lines = (OPS / "systemd" / "secrets.env.example").read_text().splitlines()
    names = {line.partition("=")[0] for line in lines if line and not line.startswith("#")}
    assert names == {SECRET}


TLS = {
    name
    for name in SETTINGS
    if re.search(r"_TLS_(CERT|KEY|CLIENT_CA|CRL)$|_KAFKA_(PROTOCOL|CA|CERT|KEY|SASL_\w+)$", name)
}
"""Of doors and brokers: where it lies is a matter of the place."""


def test_units_and_compose_carry_the_tls_of_doors_and_brokers(
    compose: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(TLS) == 15
    text = (OPS / "systemd" / "tls.env.example").read_text()
    given = dict(re.findall(r"(?m)^#(LABDISPATCH_\w+)=(.+)$", text))
    assert set(given) == TLS
    for name in OURS:
        environment = compose["services"][name]["environment"]
        assert {each: environment[each] for each in TLS} == {each: f"${{{each}:-}}" for each in TLS}
        assert "./tls:/etc/labdispatch/tls:ro" in compose["services"][name]["volumes"]
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(PREFIX + "ENGINE", "cluster")
    monkeypatch.setenv(SECRET, "postgresql://nobody@127.0.0.1/none")
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert settings.mllp_tls_crl == Path("/etc/labdispatch/tls/lab-ca.crl.pem")
    assert settings.kafka_security.user == "labdispatch"


def test_systemd_itself_takes_the_units(tmp_path: Path) -> None:
    """Where systemd is; elsewhere the tests above have read the same files."""
    program = shutil.which("systemd-analyze")
    if program is None:
        return
    for path in [*UNITS, OPS / "systemd" / "labdispatch.target"]:
        # Our program is not installed at its place here, and verify looks for it.
        text = re.sub(r"(?m)^ExecStart=\S+", "ExecStart=/bin/true", path.read_text())
        for name in [path.name.replace("@", f"@{n}") for n in (1, 2)] if "@" in path.name else []:
            (tmp_path / name).write_text(text)
        (tmp_path / path.name).write_text(text)
    units = [str(path) for path in tmp_path.iterdir() if "@." not in path.name]
    done = subprocess.run(
        [program, "verify", "--man=no", *units],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    said = [
        line
        for line in done.stderr.splitlines()
        if "labdispatch" in line and not _UNKNOWN_TO_OLDER.search(line)
    ]
    assert (done.returncode, said) == (0, [])


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_systemd_itself_finds_the_units_closed(path: Path) -> None:
    """Its own measure, where it is: from 0, closed, to 10; what is left are the network's."""
    program = shutil.which("systemd-analyze")
    if program is None:
        return
    done = subprocess.run(
        [program, "security", "--offline=true", "--threshold=16", "--no-pager", str(path)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-300:]


# ---------------------------------------------------------------------------- compose


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded = yaml.safe_load((OPS / "compose" / "compose.yaml").read_text())
    assert isinstance(loaded, dict)
    return loaded


def test_compose_has_every_service(compose: dict[str, Any]) -> None:
    kafka = {f"kafka-{n}" for n in (1, 2, 3)}
    others = {"postgres", "postgres-standby", "prometheus", "alertmanager", "grafana"}
    assert set(compose["services"]) == {*OURS, *kafka, *others}


def test_every_image_has_a_tag_every_service_a_restart_and_a_health(
    compose: dict[str, Any],
) -> None:
    for name, service in compose["services"].items():
        assert re.fullmatch(r"[a-z/]+:[\w.-]+", service["image"]), name
        assert not service["image"].endswith(":latest")
        assert service["restart"] == ("on-failure" if name == "migrate" else "unless-stopped")
        assert name == "migrate" or service["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}


def test_what_a_container_says_is_kept_within_a_bound(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert set(service["logging"]["options"]) == {"max-size", "max-file"}, name


def test_named_volumes_are_declared_and_mounted_files_exist(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (OPS / "compose" / source).exists(), source
            else:
                assert source in compose["volumes"]


def test_brokers_keep_what_they_acknowledge(compose: dict[str, Any]) -> None:
    brokers = [compose["services"][f"kafka-{n}"] for n in (1, 2, 3)]
    for number, (broker, port) in enumerate(zip(brokers, (9092, 9094, 9096), strict=True), 1):
        environment = broker["environment"]
        assert environment["KAFKA_NODE_ID"] == str(number)
        assert environment["KAFKA_DEFAULT_REPLICATION_FACTOR"] == "3"
        assert environment["KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR"] == "3"
        assert environment["KAFKA_MIN_INSYNC_REPLICAS"] == "2"
        assert environment["KAFKA_TRANSACTION_STATE_LOG_MIN_ISR"] == "2"
        assert environment["KAFKA_UNCLEAN_LEADER_ELECTION_ENABLE"] == "false"
        assert f"HOST://127.0.0.1:{port}" in environment["KAFKA_ADVERTISED_LISTENERS"]
        assert broker["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert len({broker["environment"]["CLUSTER_ID"] for broker in brokers}) == 1
    assert len({broker["volumes"][0].split(":")[0] for broker in brokers}) == 3


def test_nothing_is_published_beyond_loopback(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


@pytest.mark.parametrize("name", OURS)
def test_our_process_in_compose(
    name: str, compose: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    service = compose["services"][name]
    assert service["command"][0] in main.commands
    assert service["network_mode"] == "host"
    assert service["cap_drop"] == ["ALL"]
    environment: dict[str, str] = service["environment"]
    assert all(isinstance(value, str) for value in environment.values())
    assert set(environment) <= SETTINGS
    for setting in SETTINGS:
        monkeypatch.delenv(setting, raising=False)
    for setting, value in environment.items():
        given = re.sub(r"\$\{\w+:-\}", "", value)
        monkeypatch.setenv(setting, re.sub(r"\$\{[^}]*\}", "x", given))
    settings = load_settings()
    assert settings.require_standby
    assert settings.mllp_tls_cert is None
    assert (settings.replication_factor, settings.min_insync_replicas) == (3, 2)
    assert settings.kafka_bootstrap == "127.0.0.1:9092,127.0.0.1:9094,127.0.0.1:9096"


def test_passwords_come_from_outside(compose: dict[str, Any]) -> None:
    text = (OPS / "compose" / "compose.yaml").read_text()
    used = set(re.findall(r"\$\{(\w+):\?", text))
    lines = (OPS / "compose" / "env.example").read_text().splitlines()
    assert used == {line.rstrip("=") for line in lines if line and not line.startswith("#")}
    for service in compose["services"].values():
        for name, value in service.get("environment", {}).items():
            assert "PASSWORD" not in name or value.startswith("${"), name


def test_standby_has_the_name_the_primary_waits_for() -> None:
    primary = (OPS / "compose" / "postgres-init.sh").read_text()
    waits_for = re.search(r"synchronous_standby_names = 'FIRST 1 \((\w+)\)'", primary)
    assert waits_for is not None
    standby = (OPS / "compose" / "postgres-standby.sh").read_text()
    assert f"cluster_name={waits_for[1]}" in standby


@pytest.mark.parametrize("script", ["postgres-init.sh", "postgres-standby.sh"])
def test_scripts_are_bash(script: str) -> None:
    bash = shutil.which("bash")
    assert bash is not None
    subprocess.run([bash, "-n", str(OPS / "compose" / script)], check=True, timeout=20)


def test_image_is_built_from_the_hashed_lock_and_copies_what_exists() -> None:
    text = (OPS / "compose" / "Dockerfile").read_text()
    assert "--require-hashes -r requirements.lock" in text
    assert "--no-deps" in text
    allowed = (OPS / "compose" / "Dockerfile.dockerignore").read_text().splitlines()
    for line in re.findall(r"(?m)^COPY (?!--from)(.*)$", text):
        for source in line.split()[:-1]:
            assert f"!{source.split('/')[0]}" in allowed, source


def test_healthy_tells_an_answer_from_none() -> None:
    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/readyz" else 503)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        port = server.server_address[1]
        there = f"http://127.0.0.1:{port}"
        assert healthy(f"{there}/readyz")
        assert healthy(f"{there}/readyz", f"127.0.0.1:{port}")
        assert not healthy(f"{there}/else")
        assert not healthy(f"{there}/readyz", "127.0.0.1:1")
        server.shutdown()
        thread.join(5)
    assert not healthy(f"{there}/readyz")


# ---------------------------------------------------------------------------- docs/operate.md

OPERATE = (Path(__file__).parents[2] / "docs" / "operate.md").read_text("utf-8")


def table(title: str) -> dict[str, list[str]]:
    """First cell -> the others, of the table below a title."""
    _, _, section = OPERATE.partition(f"\n## {title}\n")
    rows = [line.strip("| ").split(" | ") for line in section.partition("\n## ")[0].splitlines()
            if line.startswith("|")][2:]  # fmt: skip
    return {first: rest for first, *rest in rows}


def test_the_page_names_each_role_that_units_and_compose_start(compose: dict[str, Any]) -> None:
    told = {name.strip("`") for name in table("What runs")}
    assert told == set(ROLES)
    assert told == {compose["services"][name]["command"][0] for name in OURS} - {"migrate"}
    # What one is told to be alone is started once.
    alone = {
        name.strip("`")
        for name, cells in table("What runs").items()
        if cells[1].startswith("**one")
    }
    assert alone == {"relay"}
    assert [compose["services"][name]["command"][0] for name in OURS].count("relay") == 1


def test_the_page_names_each_port_that_units_and_compose_open(compose: dict[str, Any]) -> None:
    told: set[int] = set()
    for cell in table("Ports"):
        numbers = [int(each) for each in re.findall(r"\d{4}", cell)]
        for first, last in re.findall(r"(\d{4}) to (\d{4})", cell):
            told.update(range(int(first), int(last) + 1))
        told.update(numbers)
    opened = {
        int(port.split(":")[1])
        for service in compose["services"].values()
        for port in service.get("ports", [])
    }
    for environment in (
        *(compose["services"][name]["environment"] for name in OURS),
        *(Unit(path).environment() for path in UNITS),
    ):
        opened |= {int(v) for k, v in environment.items() if k.endswith("_PORT")}
    web = compose["services"]["prometheus"]["command"][-1].rpartition(":")[2]
    (pager,) = re.findall(
        r"--web.listen-address=127.0.0.1:(\d+)",
        " ".join(compose["services"]["alertmanager"]["command"]),
    )
    opened |= {
        int(web),
        int(pager),
        int(compose["services"]["grafana"]["environment"]["GF_SERVER_HTTP_PORT"]),
    }
    assert opened <= told
    assert told - opened <= set(range(9601, 9610)), "of more dispatch processes"


def test_status_looks_where_units_and_compose_have_figures(compose: dict[str, Any]) -> None:
    key = PREFIX + "METRICS_PORT"
    given = {compose["services"][name]["environment"].get(key) for name in OURS} - {None}
    given |= {Unit(path).environment().get(key) for path in UNITS} - {None}
    looked = Settings.model_fields["figures_addresses"].default.split(",")
    assert {f"127.0.0.1:{port}" for port in given} <= set(looked)


def test_settings_that_the_page_names_exist() -> None:
    _, _, told = OPERATE.partition("\n## What runs\n")
    names = {
        name.removeprefix(PREFIX)
        for name in re.findall(r"`([A-Z][A-Z0-9]+(?:_[A-Z0-9]+)+)(?:=\w+)?`", told)
    }
    assert len(names) >= 12
    assert {PREFIX + name for name in names} <= SETTINGS


# ---------------------------------------------------------------------------- figures


def test_prometheus_scrapes_the_ports_that_units_and_compose_give(compose: dict[str, Any]) -> None:
    config = yaml.safe_load((OPS / "prometheus" / "prometheus.yml").read_text())
    scraped = {
        job["job_name"]: {each for part in job["static_configs"] for each in part["targets"]}
        for job in config["scrape_configs"]
    }
    assert set(scraped) == set(ROLES)
    by_role: dict[str, set[str]] = {}
    for name in OURS[1:]:
        service = compose["services"][name]
        role = service["command"][0]
        key = "HTTP_PORT" if role == "api" else "METRICS_PORT"
        by_role.setdefault(role, set()).add(f"127.0.0.1:{service['environment'][PREFIX + key]}")
    assert scraped == by_role
    for path in UNITS:
        role = Unit(path)["Service"]["ExecStart"].split()[1]
        if role == "migrate":
            continue
        for instance in ("1", "2"):
            key = "HTTP_PORT" if role == "api" else "METRICS_PORT"
            port = Unit(path).environment(instance)[PREFIX + key]
            assert f"127.0.0.1:{port}" in scraped[role]


# ---------------------------------------------------------------------------- pages that are made


def test_grafana_finds_source_and_dashboard(compose: dict[str, Any]) -> None:
    folder = OPS / "grafana" / "provisioning"
    (source,) = yaml.safe_load((folder / "datasources" / "prometheus.yaml").read_text())[
        "datasources"
    ]
    assert source["uid"] == SOURCE.uid
    (provider,) = yaml.safe_load((folder / "dashboards" / "labdispatch.yaml").read_text())[
        "providers"
    ]
    service = compose["services"]["grafana"]
    mounted = dict(volume.split(":")[:2] for volume in service["volumes"])
    path = provider["options"]["path"]
    assert (OPS / "compose" / "../grafana/dashboards").resolve() == dashboard.FOLDER
    assert mounted["../grafana/dashboards"] == path
    home = service["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{path}/{dashboard.output('national').name}"


def test_settings_page_is_what_the_model_says() -> None:
    assert settings_page.OUTPUT.read_text() == settings_page.page(), (
        "write it anew: python -m ops.settings_page"
    )


def test_settings_page_has_each_setting_once() -> None:
    text = settings_page.page()
    for name in SETTINGS:
        assert text.count(f"| `{name}` |") == 1


def test_the_role_of_the_shipped_cluster_is_shown_how_standbys_fare() -> None:
    """Else alerts on the standby and on old transactions see nothing; embedded grants the same."""
    assert "\nGRANT pg_monitor TO labdispatch;\n" in (OPS / "compose/postgres-init.sh").read_text()
