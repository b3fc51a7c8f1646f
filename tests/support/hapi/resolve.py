"""HAPI HL7v2's jars, next to the pom that names them: `make hapi`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from ops.kit import brought_jars, tell

HERE: Final = Path(__file__).resolve().parent
READER: Final = HERE / "ReadAcks.java"


def resolve() -> Path:
    """Return the folder of jars, complete for the present pom.

    Raises:
        KitMissing: Java or Maven is missing, or Maven could not resolve them.
    """
    return brought_jars(HERE / "pom.xml", HERE / "jars", of="HAPI", main_jar="hapi-base-*.jar")


if __name__ == "__main__":
    sys.exit(tell("hapi", resolve, "*.jar"))
