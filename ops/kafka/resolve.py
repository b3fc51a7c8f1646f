"""Apache Kafka's jars, next to the pom that names them: `make kafka`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from ops.kit import brought_jars, tell

HERE: Final = Path(__file__).resolve().parent
LOG_CONFIG: Final = HERE / "log4j2.properties"


def resolve() -> Path:
    """Return the folder of jars, complete for the present pom.

    Raises:
        KitMissing: Java or Maven is missing, or Maven could not resolve them.
    """
    return brought_jars(HERE / "pom.xml", HERE / "jars", of="Kafka", main_jar="kafka_2.13-*.jar")


if __name__ == "__main__":
    sys.exit(tell("kafka", resolve, "*.jar"))
