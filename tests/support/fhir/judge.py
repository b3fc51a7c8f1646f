"""HAPI's validator as the judge of Bundles: one Java a session, a resource a line.

Every error is a fault, and so is every warning that is not accepted here by name, with its reason.
"""

from __future__ import annotations

import queue
import re
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Iterator
from typing import IO, Final, Self

import msgspec
import pytest

from ops.kit import java

from .resolve import JUDGE, PROFILES, resolve

_SECONDS: Final = 200
"""For a cold start on a slow disk, or one resource; far more than either takes."""


class Issue(msgspec.Struct, frozen=True):
    """What the judge says of a place in a resource."""

    severity: str
    id: str
    place: str
    message: str


class Accepted(msgspec.Struct, frozen=True):
    """A warning that is known and stands, and why."""

    id: str
    place: str
    message: str
    reason: str

    def fits(self, issue: Issue) -> bool:
        """Say whether an issue is this one; an error never is."""
        return (
            issue.severity in {"warning", "information"}
            and issue.id == self.id
            and re.search(self.place, issue.place) is not None
            and re.search(self.message, issue.message) is not None
        )


_UNKNOWN: Final = "^CodeSystem is unknown and can't be validated: "
ACCEPTED: Final = (
    Accepted(
        "http://hl7.org/fhir/StructureDefinition/DomainResource#dom-6",
        "",
        "narrative",
        "no narrative is sent: it would say everything of the patient a second time",
    ),
    Accepted(
        "Terminology_PassThrough_TX_Message",
        "",
        _UNKNOWN + r"http://(loinc\.org|snomed\.info/sct) ",
        "LOINC and SNOMED CT may not be passed on: their codes are not checked",
    ),
    Accepted(
        "Terminology_PassThrough_TX_Message",
        "",
        _UNKNOWN + r"https://mos\.esante\.gouv\.fr/NOS/TRE_R13",
        "the French nomenclature of communes states no licence and is published without its codes",
    ),
    Accepted(
        "Terminology_PassThrough_TX_Message",
        "",
        _UNKNOWN + r"urn:oid:",
        "a laboratory's own coding system is known to it alone",
    ),
    Accepted(
        "Terminology_PassThrough_TX_Message",
        r"\.meta\.tag",
        _UNKNOWN + r"urn:labdispatch:dmp-mss ",
        "the closed list of what a sender asks of the national services is ours (docs/dossier.md)",
    ),
    Accepted(
        "",
        "",
        "^Coding has no system",
        "a laboratory's local code belongs to no system that a URI names; none is made up",
    ),
    Accepted(
        "SECURITY_STRING_CONTENT_WARNING",
        "",
        "HTML",
        "a laboratory's text is handed on as it wrote it; who shows it must escape it, as all text",
    ),
    Accepted(
        "Terminology_TX_NoValid_2_CC",
        r"\.identifier\[\d+\]\.type",
        "'IdentifierType'",
        "FR Core asks for its own identifier types (INS-NIR, IDNST, IDNPS)",
    ),
    Accepted(
        "Terminology_TX_NoValid_2_CC",
        r"Patient/.*\.identifier\[\d+\]\.type",
        "'FR Core ValueSet Patient identifier type'.*#INS-NI[RA]",
        "fr-core-patient lists no INS type; its child fr-core-patient-ins asks for them",
    ),
    Accepted(
        "Terminology_TX_NoValid_3_CC",
        r"DiagnosticReport/.*\.code$",
        "'LOINC Diagnostic Report Codes'",
        "a preferred binding to LOINC, which is not loaded; laboratories have their own codes too",
    ),
    Accepted(
        "Terminology_TX_Code_ValueSet_Ext",
        r"\.interpretation\[\d+\]$",
        "^No code provided",
        "a flag that is not of table 0078 is told as the text that it is",
    ),
    Accepted(
        "TYPE_SPECIFIC_CHECKS_DT_QTY_UCUM_ANNOTATIONS",
        "",
        "human readable annotations",
        "cycles, copies and ratios have no unit of UCUM but an annotation",
    ),
    Accepted(
        "TYPE_SPECIFIC_CHECKS_DT_QTY_UCUM_ANNOTATIONS_NOT_IN_UNIT",
        "",
        "human readable annotations",
        "the unit is shown as the laboratory wrote it",
    ),
    Accepted(
        "All_observations_should_have_an_effectiveDateTime_or_an_effectivePeriod",
        "",
        "",
        "a time that the sender did not give is not made up",
    ),
    Accepted(
        "All_observations_should_have_a_performer",
        "",
        "",
        "a sender whose name cannot be read (MSH-4 of control characters) is no organisation",
    ),
    Accepted(
        "TYPE_SPECIFIC_CHECKS_DT_MARKDOWN_HTML",
        r"\.note\[\d+\]\.text$",
        "",
        "a laboratory's comment is told as it was written; who shows it escapes it",
    ),
    Accepted(
        "Details_for__matching_against_Profile_",
        "",
        "^This element does not match any known slice",
        "a slice of another profile takes it: FR Core describes a name twice",
    ),
)


@pytest.fixture(scope="session")
def fhir_judge() -> Iterator[Judge]:
    """A judge for all tests of a session."""
    with Judge() as found:
        yield found


def faults(issues: Iterable[Issue]) -> list[Issue]:
    """Return the issues that nobody has accepted: errors, and warnings without a reason here."""
    return [each for each in issues if not any(one.fits(each) for one in ACCEPTED)]


class Judge:
    """A Java that judges, from `with` to its end.

    Args:
        at_length: For thousands of resources: compiled with more care, which pays after minutes.
    """

    def __init__(self, *, at_length: bool = False) -> None:
        self._words: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed in __exit__
        self._java = subprocess.Popen(
            [
                java(),
                "-Xmx1g",
                "-XX:+UseSerialGC",
                f"-XX:TieredStopAtLevel={4 if at_length else 1}",
                "-cp",
                f"{resolve()}/*",
                str(JUDGE),
                str(PROFILES),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._words,
        )
        self._lines: queue.Queue[bytes] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self) -> Self:
        assert self._line() == b"ready\n", self._last_words()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._java.stdin is not None and self._java.stdout is not None
        self._java.stdin.close()
        try:
            self._java.wait(timeout=30)
        finally:
            self._java.kill()
            self._java.wait()
            self._java.stdout.close()
            self._words.close()

    def judge(self, resource: bytes) -> list[Issue]:
        """Return everything that is said of a resource."""
        assert b"\n" not in resource, "one line a resource"
        assert self._java.stdin is not None
        self._java.stdin.write(resource + b"\n")
        self._java.stdin.flush()
        line = self._line()
        assert line.startswith(b"["), self._last_words()
        return msgspec.json.decode(line, type=list[Issue])

    def faults(self, resource: bytes) -> list[Issue]:
        """Return what is wrong with a resource; empty where nothing is."""
        return faults(self.judge(resource))

    def _read(self) -> None:
        assert self._java.stdout is not None
        for line in self._java.stdout:
            self._lines.put(line)
        self._lines.put(b"")

    def _line(self) -> bytes:
        try:
            return self._lines.get(timeout=_SECONDS)
        except queue.Empty:
            return b""

    def _last_words(self) -> str:
        self._words.seek(0)
        return self._words.read()[-2_000:].decode(errors="replace")
