"""Numbers with a check digit, and numbers nobody owns.

Everything made here is safe to print: INS of the test authority, phones of the ranges reserved for
fiction (ARCEP: 06 39 98, 01 99 00), FINESS and RPPS of a prefix that was never given out.
"""

from __future__ import annotations

INS_TEST_OID = "1.2.250.1.213.1.4.10"
"""Authority of INS-NIR test numbers (ANS, list of INS OIDs): the only one a simulated INS has."""

MOBILE_PREFIX = "063998"
LANDLINE_PREFIX = "019900"


def nir_key(digits: str) -> str:
    """Return the two-digit key of a 13-character NIR, Corsica's letters included.

    Source: CNAM nir-validation (97 minus n modulo 97, 2A read as 19 and 2B as 18), for positions
    6 and 7 alone, where the letters are legal.
    """
    place = {"2A": "19", "2B": "18"}.get(digits[5:7], digits[5:7])
    return f"{97 - int(digits[:5] + place + digits[7:]) % 97:02d}"


def luhn_digit(digits: str) -> str:
    """Return the Luhn check digit to append to a row of digits."""
    total = 0
    for place, character in enumerate(reversed(digits)):
        digit = int(character)
        if place % 2 == 0:
            digit = digit * 2 - 9 if digit > 4 else digit * 2
        total += digit
    return str(-total % 10)


def finess(number: int) -> str:
    """Return a FINESS (9 digits, Luhn right) that no establishment has: no department is 99."""
    digits = f"99{number % 1_000_000:06d}"
    return digits + luhn_digit(digits)


def rpps(number: int) -> str:
    """Return an RPPS (11 digits, Luhn right) that no professional has: none begins with 99."""
    digits = f"99{number % 100_000_000:08d}"
    return digits + luhn_digit(digits)


def mobile(number: int) -> str:
    """Return a mobile number of the range reserved for fiction."""
    return f"{MOBILE_PREFIX}{number % 10_000:04d}"


def landline(number: int) -> str:
    """Return a landline number of the range reserved for fiction."""
    return f"{LANDLINE_PREFIX}{number % 10_000:04d}"
