"""Brings HAPI HL7v2's jars next to the pom that names them: `python -m tests.support.hapi.resolve`.

Once per content of that pom, like Kafka's (`ops/kafka/resolve.py`). A missing Java, Maven or
network is a failure that says what to install, never a skip.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from ops.kafka.resolve import INSTALL, MAVEN_SECONDS, TRIES, KitMissing, java

HERE: Final = Path(__file__).resolve().parent
POM: Final = HERE / "pom.xml"
JARS: Final = HERE / "jars"
READER: Final = HERE / "ReadAcks.java"


def resolve() -> Path:
    """Return the folder of jars, complete for the present pom; idempotent, safe beside itself.

    Raises:
        KitMissing: Java or Maven is missing, or Maven could not resolve after three tries.
    """
    wanted = hashlib.sha256(POM.read_bytes()).hexdigest()
    if _stamp() == wanted:
        return JARS
    java()
    maven = shutil.which("mvn")
    if maven is None:
        raise KitMissing(f"Maven is needed to resolve HAPI's jars and there is none. {INSTALL}")
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
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=MAVEN_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            said = f"no answer within {MAVEN_SECONDS} seconds"
            continue
        if done.returncode == 0 and any(target.glob("hapi-base-*.jar")):
            return
        said = "\n".join((done.stdout + done.stderr).splitlines()[-6:])
    raise KitMissing(
        f"Maven could not resolve HAPI's jars in {TRIES} tries: is the network or a mirror"
        f" (~/.m2/settings.xml) there? Its last words:\n{said}"
    )


def main() -> int:
    """Resolve and say where; exit code 0, or 2 with the remedy when something is missing."""
    try:
        jars = resolve()
    except KitMissing as missing:
        sys.stderr.write(f"hapi: {missing}\n")
        return 2
    sys.stdout.write(f"hapi: {len(list(jars.glob('*.jar')))} jars in {jars}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
