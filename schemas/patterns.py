"""What each text of a stream's body may look like: the schema's allow-list down to the characters.

Public health has no free text at all. A body that does not fit its patterns is a fault of ours, and
tests ask every body; nobody pays for it while results flow.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_PSEUDONYM: Final = r"^([0-9a-f]{32})?$"
_PERIOD: Final = r"^([0-9]{4}-H[12])?$"
_DAY: Final = r"^([0-9]{4}-[0-9]{2}-[0-9]{2})?$"
_TIME: Final = r"^([0-9]{4}(-[0-9]{2}(-[0-9]{2}(T[0-9:.]{5,15}(Z|[+-][0-9]{2}:[0-9]{2})?)?)?)?)?$"
_COMMUNE: Final = r"^([0-9][0-9AB][0-9]{3})?$"
_DEPARTMENT: Final = r"^([0-9]{2}|2[AB]|97[0-9]|98[0-9])?$"
_FINESS: Final = r"^([0-9][0-9AB][0-9]{7})?$"
_CODE: Final = r"^([a-z][a-z0-9_-]{0,39})?$"
_LOINC: Final = r"^([0-9]{1,7}-[0-9])?$"
_STATUS: Final = r"^[A-Z]$"
_VARIANT: Final = r"^[A-Za-z0-9./: -]{0,60}$"

HEADER: Final[Mapping[str, str]] = {
    "reason": _CODE,
    "realm": r"^(test|production)$",
    "rule": r"^[A-Za-z0-9._-]{0,120}$",
    "rule_version": r"^[A-Za-z0-9._+-]{0,120}$",
    "part": _CODE,
}

PUBLIC_HEALTH: Final[Mapping[str, str]] = {
    "pseudonym": _PSEUDONYM,
    "pseudonym_period": _PERIOD,
    "age_class": r"^([0-8]9|90)?$",
    "sex": r"^[MFU]$",
    "residence_commune": _COMMUNE,
    "residence_department": _DEPARTMENT,
    "laboratory_finess": _FINESS,
    "condition": _CODE,
    "case_id": _PSEUDONYM,
    "line": r"^(first|second)?$",
    "test_code": _LOINC,
    "method": _CODE,
    "result": r"^(positive|negative|indeterminate|unusable)?$",
    "second_line_result": r"^(positive|negative|indeterminate|unusable)?$",
    "status": _STATUS,
    "sampled_on": _DAY,
    "reported_on": _DAY,
    "received_on": _DAY,
    "variant": _VARIANT,
    "laboratory_department": _DEPARTMENT,
    "laboratory_commune": _COMMUNE,
    "pseudonym_next": _PSEUDONYM,
    "pseudonym_next_period": _PERIOD,
    "dates": r"^(day|month)$",
}

PSEUDONYM_REPLACED: Final[Mapping[str, str]] = {
    "old": _PSEUDONYM,
    "new": _PSEUDONYM,
    "period": _PERIOD,
}

CONTACT_TRACING: Final[Mapping[str, str]] = {
    # Names, numbers and addresses are as the laboratory sent them: free text, and not listed here.
    "case_id": _PSEUDONYM,
    "condition": _CODE,
    "result": r"^(positive|negative|indeterminate|unusable)?$",
    "status": _STATUS,
    "birth_date": r"^([0-9]{4}(-[0-9]{2}(-[0-9]{2})?)?)?$",
    "sex": r"^[A-Z]?$",
    "sampled_at": _TIME,
    "reported_at": _TIME,
    "laboratory_finess": _FINESS,
    "prescriber_rpps": r"^([0-9]{11})?$",
    "test_code": _LOINC,
    "method": _CODE,
    "variant": _VARIANT,
}
