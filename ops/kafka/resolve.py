"""Brings Apache Kafka's jars next to the pom that names them, once per content of that pom.

`python -m ops.kafka.resolve` is what `make kafka` runs. Standard library only: it must run
before anything else works.
"""

from __future__ import annotations

import fcntl
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
POM = HERE / "pom.xml"
JARS = HERE / "jars"
LOG_CONFIG = HERE / "log4j2.properties"
MIN_JAVA = 17
TRIES = 3
MAVEN_SECONDS = 300
INSTALL = (
    "Debian, Ubuntu: apt-get install openjdk-17-jre-headless maven"
    " · Fedora: dnf install java-21-openjdk-headless maven"
    " · macOS: brew install openjdk@21 maven"
)


class KitMissing(Exception):
    """Kafka cannot be had on this machine as it is; the text says what to install or do."""


def java() -> str:
    """Return the path of a Java that can run the broker.

    Raises:
        KitMissing: No Java, or one older than 17.
    """
    path = shutil.which("java")
    if path is None:
        raise KitMissing(f"Java {MIN_JAVA} or newer is needed and there is none. {INSTALL}")
    said = _run([path, "-version"], 30)
    found = re.search(r'version "(?:1\.)?(\d+)', said.stderr + said.stdout)
    if said.returncode != 0 or found is None:
        raise KitMissing(f"`java -version` does not answer as Java does. {INSTALL}")
    if int(found[1]) < MIN_JAVA:
        raise KitMissing(f"Java {MIN_JAVA} or newer is needed, this one is {found[1]}. {INSTALL}")
    return path


def resolve() -> Path:
    """Return the folder of jars, complete for the present pom; idempotent, safe beside itself.

    The jars are made in a folder of their own and put in place by one rename, so that a broken
    download never looks like a finished one.

    Raises:
        KitMissing: Java or Maven is missing, or Maven could not resolve after three tries.
    """
    wanted = hashlib.sha256(POM.read_bytes()).hexdigest()
    if _stamp() == wanted:
        return JARS
    java()
    maven = shutil.which("mvn")
    if maven is None:
        raise KitMissing(f"Maven is needed to resolve Kafka's jars and there is none. {INSTALL}")
    with (HERE / ".resolve.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _stamp() == wanted:  # another process was faster
            return JARS
        fresh = Path(tempfile.mkdtemp(prefix="jars.", dir=HERE))
        try:
            fresh.chmod(0o755)
            _copy_dependencies(maven, fresh)
            (fresh / ".stamp").write_text(wanted)
            shutil.rmtree(JARS, ignore_errors=True)
            fresh.rename(JARS)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    return JARS


def _stamp() -> str:
    try:
        return (JARS / ".stamp").read_text()
    except OSError:
        return ""


def _copy_dependencies(maven: str, target: Path) -> None:
    command = [
        maven, "-q", "-B", "-f", str(POM), "dependency:copy-dependencies",
        "-DincludeScope=runtime", f"-DoutputDirectory={target}",
    ]  # fmt: skip
    said = ""
    for _ in range(TRIES):
        try:
            done = _run(command, MAVEN_SECONDS)
        except subprocess.TimeoutExpired:
            said = f"no answer within {MAVEN_SECONDS} seconds"
            continue
        if done.returncode == 0 and any(target.glob("kafka_2.13-*.jar")):
            return
        said = "\n".join((done.stdout + done.stderr).splitlines()[-6:])
    raise KitMissing(
        f"Maven could not resolve Kafka's jars in {TRIES} tries: is the network or a mirror"
        f" (~/.m2/settings.xml) there? Its last words:\n{said}"
    )


def _run(command: list[str], seconds: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - the program's path comes from PATH, its arguments from here
        command, capture_output=True, text=True, timeout=seconds, check=False
    )


def main() -> int:
    """Resolve and say where; exit code 0, or 2 with the remedy when something is missing."""
    try:
        jars = resolve()
    except KitMissing as missing:
        sys.stderr.write(f"kafka: {missing}\n")
        return 2
    sys.stdout.write(f"kafka: {len(list(jars.glob('*.jar')))} jars in {jars}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
