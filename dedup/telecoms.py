"""Folding of phones and mail addresses; what stands for none gives nothing. Pure."""

from __future__ import annotations

import re
from typing import Final

MAX_NUMBERS: Final = 4
"""Phones (and mail addresses) of one identity that are kept."""

_NOT_DIGITS: Final = re.compile(r"[^0-9]")
_NO_PHONES: Final = frozenset(
    {"33102030405", "33123456789", "33606060606", "33612345678", "33601020304", "123456", "1234567"}
)
_NO_MAIL: Final = frozenset(
    {"noreply", "no-reply", "aucun", "inconnu", "nc", "none", "xxx", "test"}
)


def fold_phones(phones: tuple[str, ...]) -> tuple[str, ...]:
    """Return digits as in E.164, French ones with 33, each once and sorted."""
    if len(phones) == 1:
        digits = fold_phone(phones[0])
        return (digits,) if digits else ()
    found = {fold_phone(phone) for phone in phones[: 2 * MAX_NUMBERS]}
    found.discard("")
    return tuple(sorted(found)[:MAX_NUMBERS])


def fold_phone(phone: str) -> str:
    """Return the digits of a phone; nothing for one of six equal digits, or a known placeholder."""
    digits = phone[:40]
    if not (digits.isascii() and digits.isdigit()):
        digits = _NOT_DIGITS.sub("", digits)
    while digits.startswith("00"):
        digits = digits[2:]
    if len(digits) == 12 and digits.startswith("330"):
        digits = f"33{digits[3:]}"
    elif len(digits) == 10 and digits.startswith("0"):
        digits = f"33{digits[1:]}"
    if not 6 <= len(digits) <= 15 or digits in _NO_PHONES or len(set(digits[-6:])) == 1:
        return ""
    return digits


def fold_emails(emails: tuple[str, ...]) -> tuple[str, ...]:
    """Return mail addresses in lower case, each once and sorted."""
    found = {_fold_email(mail) for mail in emails[: 2 * MAX_NUMBERS]}
    found.discard("")
    return tuple(sorted(found)[:MAX_NUMBERS])


def _fold_email(mail: str) -> str:
    text = mail.strip()[:200].lower().strip()
    name, at, domain = text.partition("@")
    if not at or not name or not domain or name in _NO_MAIL or not text.isprintable():
        return ""
    return text[:200]
