"""Who is not as he should be: a laboratory, a certificate, a receiver, a second relay, a clock."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import subprocess
import threading
from datetime import timedelta
from typing import Final

from tests.support.certificates import DAY, Authority
from tests.support.cluster import read_unit
from tests.support.postgres import connected

from .clock import OFF_SECONDS, set_clock
from .fault import Fault, Panel, Step
from .stage import RECEIVER, Stage

# ------------------------------------------------------------------ the silent laboratory

_SILENT: Final = 0
"""Number of the laboratory that falls silent."""
_PAST: Final = """
INSERT INTO lab_hour (lab_id, hour, received, last_at)
SELECT lab.lab_id, h, $2, h + interval '59 minutes 59 seconds'
FROM lab, generate_series(date_trunc('hour', now()) - interval '63 days',
                          date_trunc('hour', now()) - interval '1 hour', interval '1 hour') AS h
WHERE lab.registry_id = $1
ON CONFLICT (lab_id, hour) DO UPDATE SET received = EXCLUDED.received
"""
"""Nine weeks in which it has always sent as it sends today, until the hour was over: with a minute
left its messages would count as sent fifty together, and ten quiet minutes as no wonder."""


def _hourly(stage: Stage) -> int:
    """How many messages a laboratory of the load sends in an hour."""
    return round(3_600 * stage.rate / len(stage.laboratories.finess))


def _has_a_past(stage: Stage) -> None:
    lab = stage.laboratories.finess[_SILENT]

    async def remember() -> None:
        async with connected(stage.server.connect_kwargs()) as session:
            await session.execute(_PAST, lab, _hourly(stage))

    asyncio.run(remember())
    # Only then: whoever is live is learned within a minute, and then not before tomorrow.
    stage.command("labs", "state", lab, "live")
    stage.until("its past is learned", lambda: _figure(stage, "laboratories_judged") >= 1)


def _figure(stage: Stage, name: str) -> float:
    """Return the largest figure of a name that Prometheus has now; 0 where there is none."""
    found = stage.prometheus.now(f"max(labdispatch_{name})")
    return float(found[0]["value"][1]) if found else 0.0


def _fall_silent(stage: Stage) -> None:
    _has_a_past(stage)
    stage.laboratories.silent.add(_SILENT)


def _it_is_named(stage: Stage) -> None:
    done = stage.look("labs", "silent")
    assert done.returncode == 1, done.stdout + done.stderr
    assert stage.laboratories.finess[_SILENT] in done.stdout, done.stdout


def _it_sends_again(stage: Stage) -> None:
    stage.laboratories.silent.discard(_SILENT)


SILENT_LABORATORY: Final = Fault(
    name="silent-laboratory",
    says="One of twelve laboratories sends nothing any more, at an hour at which it always sent"
    " (nine weeks of it stand in the tables).",
    alerts=("LabdispatchLaboratorySilent",),
    panels=(
        Panel(
            board="doors", title="Laboratories against their own past", of=(("standing", "silent"),)
        ),
    ),
    inject=_fall_silent,
    steps=(
        Step(runbook="laboratory-silent", says="`labdispatch labs silent`", do=_it_is_named),
        Step(runbook="laboratory-silent", says="Else call it.", do=_it_sends_again),
    ),
    tidy=_it_sends_again,
    # LABDISPATCH_SILENCE_LEAST_SECONDS; the hub looks once a minute: to learn, and to judge.
    builds_seconds=1_800.0,
    notices_seconds=180.0,
)

# ------------------------------------------------------------------ the certificate

_ROTATES: Final = "990019998"
"""A laboratory that sends nothing here and is known by its certificate."""


def _authority(stage: Stage) -> Authority:
    return Authority(stage.folder / "authority")


def _has_a_certificate_that_ends(stage: Stage) -> None:
    ends = _authority(stage).issue("rotates", ends=timedelta(days=3))
    file = stage.folder / "rotates.csv"
    file.write_text(f"registry_id,name,state\n{_ROTATES},Rotates,live\n")
    stage.command("labs", "import", str(file))
    stage.command("labs", "certificate", "add", _ROTATES, str(ends.cert))


def _it_counts_and_ends_soon(stage: Stage) -> None:
    listed = stage.look("labs", "certificate", "list", _ROTATES)
    assert listed.returncode == 0, listed.stderr
    assert "yes" in listed.stdout, listed.stdout


def _add_the_next_one(stage: Stage) -> None:
    follows = _authority(stage).issue("rotates", ends=300 * DAY)
    stage.command("labs", "certificate", "add", _ROTATES, str(follows.cert), reason="rotation 2027")


def _it_is_gone(stage: Stage) -> None:
    stage.look("labs", "suspend", _ROTATES, "--actor", "on-call", "--reason", "a game day is over")


CERTIFICATE_ENDS: Final = Fault(
    name="certificate-ends",
    says="The only certificate of a laboratory, a real one, ends in three days.",
    alerts=("LabdispatchCertificateEnds",),
    panels=(
        Panel(
            board="doors",
            title="Laboratories by when their last certificate ends",
            of=(("ends", "under_7_days"),),
        ),
    ),
    inject=_has_a_certificate_that_ends,
    steps=(
        Step(
            runbook="certificates",
            says="`counts` says yes, later, expired or revoked",
            do=_it_counts_and_ends_soon,
        ),
        Step(
            runbook="certificates",
            says="labdispatch labs certificate add 990010001 next.pem",
            do=_add_the_next_one,
        ),
    ),
    tidy=_it_is_gone,
    notices_seconds=5.0,  # LABDISPATCH_REGISTER_REFRESH_SECONDS
)

# ------------------------------------------------------------------ the receiver


class Deaf:
    """Takes connections at an address, and never answers.

    Args:
        port: Of loopback.
    """

    def __init__(self, port: int) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", port))
        self._socket.listen(256)
        self._held: list[socket.socket] = []
        threading.Thread(target=self._take, daemon=True).start()

    def stop(self) -> None:
        """Be gone."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for each in self._held:
            each.close()

    def _take(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._held.append(self._socket.accept()[0])


_DEAF: Final[list[Deaf]] = []


def _answer_nothing(stage: Stage) -> None:
    port = int(stage.receiver.url.rsplit(":", 1)[1].split("/")[0])
    stage.receiver.stop()
    _DEAF.append(Deaf(port))


def _it_says_timeout(stage: Stage) -> None:
    said = stage.look("receivers", "show", RECEIVER)
    assert "timeout" in said.stdout, said.stdout + said.stderr


def _it_answers_again(stage: Stage) -> None:
    while _DEAF:
        _DEAF.pop().stop()
        stage.receiver.start()


RECEIVER_DEAD: Final = Fault(
    name="receiver-dead",
    says="A receiver takes connections and answers nothing.",
    alerts=("LabdispatchReceiverSilent",),
    panels=(
        Panel(
            board="streams",
            title="For how long: the oldest that waits, and no good answer",
            query=1,
            of=(("receiver", RECEIVER),),
            by=30.0,
        ),
    ),
    inject=_answer_nothing,
    steps=(
        Step(
            runbook="receiver-dead", says="`labdispatch receivers show NAME`", do=_it_says_timeout
        ),
        Step(runbook="receiver-dead", says="ask its operator", do=_it_answers_again),
    ),
    tidy=_it_answers_again,
    builds_seconds=900.0,
    notices_seconds=15.0,  # LABDISPATCH_PUSH_TIMEOUT_SECONDS
)

# ------------------------------------------------------------------ the second relay


class SecondRelay:
    """A relay that somebody started on another machine, and whose unit starts it again.

    Args:
        stage: Whose settings it has; the fence of Kafka is the same.
    """

    def __init__(self, stage: Stage) -> None:
        command, environment = read_unit("labdispatch-relay.service")
        self._command = command
        self._env = {**os.environ, **environment, **stage.env, "LABDISPATCH_METRICS_PORT": "0"}
        self._log = stage.folder / "relay-elsewhere.log"
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._keep, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Somebody has found it."""
        self._stopping.set()
        if self._process is not None:
            self._process.terminate()
        self._thread.join(60)

    def _keep(self) -> None:
        while not self._stopping.is_set():
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(
                    self._command, env=self._env, stdout=log, stderr=log
                )
            self._process.wait()
            self._stopping.wait(2.0)


_SECOND: Final[list[SecondRelay]] = []


def _start_a_second(stage: Stage) -> None:
    _SECOND.append(SecondRelay(stage))


def _the_log_says_fenced(stage: Stage) -> None:
    assert "kafka_fenced" in stage.log("relay")


def _run_one(_: Stage) -> None:
    while _SECOND:
        _SECOND.pop().stop()


RELAY_FENCED: Final = Fault(
    name="relay-fenced",
    says="A second relay is started elsewhere with the same settings: each takes the fence of the"
    " other, in turn.",
    alerts=("LabdispatchRelayFenced",),
    panels=(
        Panel(
            board="infrastructure",
            title="Processes that end for good, and why",
            of=(("reason", "kafka_fenced"),),
        ),
    ),
    inject=_start_a_second,
    steps=(
        Step(
            runbook="relay-lag",
            says="`kafka_fenced`: a second relay was started",
            do=_the_log_says_fenced,
        ),
        Step(runbook="relay-lag", says="Run one", do=_run_one),
    ),
    tidy=_run_one,
    notices_seconds=15.0,  # the second one has to start
)

# ------------------------------------------------------------------ the clock


def _go_wrong(stage: Stage) -> None:
    set_clock(stage.folder, OFF_SECONDS)


def _which_one_is_off(stage: Stage) -> None:
    status, figures = stage.fetch("/metrics")
    assert status == 200
    found = re.search(r"(?m)^labdispatch_database_clock_offset_seconds(?:{.*})? (\S+)", figures)
    assert found is not None
    assert float(found[1]) < -2, "the database is not behind the api"


def _mend_clock(stage: Stage) -> None:
    set_clock(stage.folder, 0)


CLOCK_OFF: Final = Fault(
    name="clock-off",
    says=f"The clock of the api process goes {OFF_SECONDS} s ahead of PostgreSQL's.",
    alerts=("LabdispatchClockOff",),
    panels=(
        Panel(
            board="infrastructure",
            title="Clock of the database against ours",
            by=2.0,
        ),
    ),
    inject=_go_wrong,
    steps=(
        Step(
            runbook="clock",
            says="`labdispatch_database_clock_offset_seconds` (the database's clock, ahead of the"
            " process's)",
            do=_which_one_is_off,
        ),
        Step(
            runbook="clock",
            says="Start or mend the time service on the machine that is off",
            do=_mend_clock,
        ),
    ),
    tidy=_mend_clock,
    notices_seconds=15.0,  # how often the database is looked at
)

FAULTS: Final = (SILENT_LABORATORY, CERTIFICATE_ENDS, RECEIVER_DEAD, RELAY_FENCED, CLOCK_OFF)
