"""The patient as a message describes them: traits as received, not folded, not resolved.

Everything here is personal data: the base class shows no value, whatever prints it.
"""

from __future__ import annotations

import msgspec

INS_PRODUCTION_OIDS = frozenset({"1.2.250.1.213.1.4.8", "1.2.250.1.213.1.4.9"})
INS_TEST_OIDS = frozenset({"1.2.250.1.213.1.4.10", "1.2.250.1.213.1.4.11"})
INS_NIA_OIDS = frozenset({"1.2.250.1.213.1.4.9"})
"""Numbers given while a NIR is awaited; a NIR replaces one."""


class Phi(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Base of what holds personal data: its text form names the type and nothing else."""

    def __repr__(self) -> str:
        """Return the type's name alone, so that no log or traceback shows a value."""
        return f"<{type(self).__name__} withheld>"

    __str__ = __repr__

    def __rich_repr__(self) -> list[tuple[str, str]]:
        """Give nothing to rich either."""
        return []


class Ins(Phi, frozen=True, array_like=True, gc=False):
    """An INS as sent in PID-3 with type INS: 15 characters whose key is right, and its OID.

    Source: french-profile 1.1 to 1.3 (CNAM NirValidator, FR Core). The OID says whether it is a
    NIR, a NIA, a test or a demonstration number; the digits do not.
    """

    matricule: str
    oid: str
    effective_on: str = ""


class Identifier(Phi, frozen=True, array_like=True, gc=False):
    """Any repetition of PID-3 as received: value, assigning authority, type. NH is never used."""

    value: str
    namespace: str = ""
    oid: str = ""
    type: str = ""


class Address(Phi, frozen=True, array_like=True, gc=False):
    """A home address (PID-11 with type H, or the first without type). Never the birth place."""

    lines: tuple[str, ...] = ()
    city: str = ""
    postcode: str = ""
    country: str = ""
    commune: str = ""
    """INSEE code of the commune of residence if the sender gave a plausible one, else empty."""
    state: str = ""
    """State or province, where a country has them."""


class Traits(Phi, frozen=True, array_like=True, gc=False):
    """The demographics of one message, as received (only decoded and trimmed).

    Dates are ISO 8601, shortened when the sender gave less (`1979`, `1979-03`, `1979-03-28`),
    empty when absent or unreadable (then a finding says so).
    """

    ins: tuple[Ins, ...] = ()
    identifiers: tuple[Identifier, ...] = ()
    identity_status: str = ""
    """PID-32, table 0445: VALI, PROV, DOUT, FICT, ...; empty when absent."""
    birth_family: str = ""
    birth_given: str = ""
    birth_givens: tuple[str, ...] = ()
    used_family: str = ""
    used_given: str = ""
    birth_date: str = ""
    sex: str = ""
    """PID-8 as sent, upper case: M, F, U, O, A, N or empty."""
    birth_place: str = ""
    """INSEE code of PID-11 type BDL (2A/2B, 99xxx abroad); empty when absent."""
    address: Address | None = None
    phones: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
