"""The jars of HAPI FHIR's validator, next to the pom that names them: `make fhir`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from ops.kit import brought_jars, tell

HERE: Final = Path(__file__).resolve().parent
JUDGE: Final = HERE / "JudgeBundles.java"
PROFILES: Final = HERE / "profiles"


def resolve() -> Path:
    """Return the folder of jars, complete for the present pom.

    Raises:
        KitMissing: Java or Maven is missing, or Maven could not resolve them.
    """
    return brought_jars(
        HERE / "pom.xml", HERE / "jars", of="HAPI FHIR", main_jar="hapi-fhir-validation-8*.jar"
    )


if __name__ == "__main__":
    sys.exit(tell("fhir", resolve, "*.jar"))
