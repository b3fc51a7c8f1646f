"""ER7 to reports: the French profile, the dialects, the bounds."""

from __future__ import annotations

import pytest

from ingest import reading
from ingest.bounds import MAX_FINDINGS
from ingest.er7 import read
from ingest.mapping import map_message, map_raw
from ingest.numbers import commune_of, finess_of, ins_key_is_right, luhn_holds, realm_of, rpps_of
from ingest.profile import version_is_known, version_is_listed
from ingest.separators import Separators
from ingest.times import date_of, timestamp
from schemas.decision import Realm
from schemas.finding import Finding, Level
from schemas.patient import Traits
from schemas.place import Place
from schemas.report import Coded, LabReport, MappedMessage, Observation, ResultStatus

NIR, NIA = "1.2.250.1.213.1.4.8", "1.2.250.1.213.1.4.9"
TEST_NIR = "1.2.250.1.213.1.4.10"
MSH = "MSH|^~\\&|SGL-LABX|300017985|HUB|NATIONAL|20260306101502+0100||ORU^R01^ORU_R01|C1|T|2.5.1"
PID = (
    f"PID|1||P000123^^^LABX&1.2.250.1.999.1&ISO^PI~279035121518989^^^ASIP-SANTE-INS-NIR&{TEST_NIR}"
    "&ISO^INS^^20200101||PAT-TROIS^DOMINIQUE^DOMINIQUE MARIE-LOUISE^^^^L~DUPONT^DOMI^^^^^D||"
    "19790328|f|||28 AV DE BRETEUIL^BAT B^PARIS^^75007^FRA^H^^75107~^^^^^^BDL^^63220||"
    "0639980001^PRN^CP~^NET^Internet^dominique.test@example.org|0199000001^WPN^PH||||||||||||||||"
    "|N|VALI"
)
OBR = (
    "OBR|1|ORD-1^LABX|LAB-1^LABX|94500-6^ARN^LN|||202603060745|||||||||||||||"
    "20260306101000+0100|||F"
)
OBX = "OBX|1|NM|94745-7^Ct^LN||24.6||||||F"

RIGHT = [
    "255081416802538",
    "294037512000591",
    "153124500723160",
    "284052A32102552",
    "284052B32102579",
    "284058832102532",
    "284202B32102528",
    "284992B32102531",
    "295109912611193",
    "253072B07300470",
    "253072A07300443",
    "186022A21532523",
    "279035121518989",
    "160059932710027",
    "139061305567914",
    "274075176079430",
    "277076322082910",
    "146026322000196",
    "185057512345673",
    "223115935012322",
    "284057505601697",
    "284057505600709",
    "284057505601501",
    "100012000400181",
    "179069935204566",
    "291089720912340",
    "142507505600130",
    "231977510799904",
    "185057505600116",
    "268129910012382",
]
WRONG = [
    "255081416802500",
    "295109912611199",
    "253072C07300443",
    "186139881801277",
    "2550814168025",
    "2790351215189890",
    "276037510669380",
    "284058832102530",
    "285033155504217",
    "288091234567823",
    "201035467892345",
    "271113412389756",
    "27707279035121518989",
    "2A4052A32102552",
    "27903512151898a",
    "28405SA32102552",
]


def message(*segments: str) -> bytes:
    return "\r".join((MSH, *segments)).encode() + b"\r"


def mapped(*segments: str) -> MappedMessage:
    found = map_raw(message(*segments))
    assert isinstance(found, MappedMessage), found
    return found


def refused(*segments: str) -> Finding:
    found = map_raw(message(*segments))
    assert isinstance(found, Finding)
    assert found.level is Level.ERROR and found.text
    return found


def findings(*segments: str) -> dict[str, Finding]:
    return {found.code: found for found in map_message(read(message(*segments)))[1]}


def traits(pid: str) -> Traits:
    return mapped(pid, OBR, OBX).traits


def only(*segments: str) -> LabReport:
    (report,) = mapped(PID, *segments).reports
    return report


def observed(obx: str) -> Observation:
    (observation,) = only(OBR, obx).observations
    return observation


# ---------------------------------------------------------------------- French numbers


@pytest.mark.parametrize("matricule", RIGHT)
def test_right_ins_keys(matricule: str) -> None:
    assert ins_key_is_right(matricule, NIR) and ins_key_is_right(matricule, NIA)
    assert ins_key_is_right(matricule, TEST_NIR)
    assert not ins_key_is_right(matricule, "1.2.250.1.213.1.4.2")


@pytest.mark.parametrize("matricule", WRONG)
def test_wrong_ins(matricule: str) -> None:
    assert not ins_key_is_right(matricule, NIR)
    assert not ins_key_is_right(matricule, NIA)


@pytest.mark.parametrize("matricule", ["885997512345663", "781102A12500908", "884058832102523"])
def test_first_digit_beyond_two_is_a_nia_only(matricule: str) -> None:
    assert ins_key_is_right(matricule, NIA)
    assert not ins_key_is_right(matricule, NIR) and not ins_key_is_right(matricule, TEST_NIR)


def test_other_scripts_have_no_digits() -> None:
    assert not ins_key_is_right("٢79035121518989", TEST_NIR)
    assert not luhn_holds("٧50712184") and not luhn_holds("") and date_of("١٩٧٩") is None


@pytest.mark.parametrize("finess", ["750712184", "750803447", "300017985", "1300017985"])
def test_finess(finess: str) -> None:
    assert finess_of(finess) == finess[-9:]


def test_numbers_whose_luhn_key_is_wrong() -> None:
    assert finess_of("120459876") == "" and finess_of("75071218") == ""
    assert rpps_of("10000023085") == "" and rpps_of("901234567897") == ""


@pytest.mark.parametrize("rpps", ["10000023084", "01234567897", "801234567897"])
def test_rpps(rpps: str) -> None:
    assert rpps_of(rpps) == rpps[-11:]


def test_realms_communes_and_versions() -> None:
    assert realm_of(NIR) is Realm.PRODUCTION and realm_of(TEST_NIR) is Realm.TEST
    assert realm_of("1.2.250.1.213.1.4.6") is None
    assert commune_of("2A004") and commune_of("99327") and not commune_of("7500")
    assert not commune_of("2C004")
    assert version_is_known("2.3.z") and not version_is_listed("2.3.z")
    assert not any(map(version_is_known, ("", "2", "2.9", "2.10", "3.0", "12.5")))


# ---------------------------------------------------------------------- times


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("20260306101502+0100", "2026-03-06T10:15:02+01:00"),
        ("20260306101502", "2026-03-06T10:15:02+01:00"),
        ("20260706101502", "2026-07-06T10:15:02+02:00"),
        ("202603061015", "2026-03-06T10:15:00+01:00"),
        ("2026030610", "2026-03-06T10:00:00+01:00"),
        ("20260306101502.1234567-0430", "2026-03-06T10:15:02.123456-04:30"),
        ("20260306", "2026-03-06"),
        ("20260306+0100", "2026-03-06"),
        ("202603", "2026-03"),
        ("2026", "2026"),
        ("20261306", None),
        ("20260230101502", None),
        ("202603062560", None),
        ("20260306101502+9900", None),
        ("20260306101502+0099", None),
        ("06/03/2026", None),
        ("00000000", None),
    ],
)
def test_times(raw: str, expected: str | None) -> None:
    assert timestamp(raw, "Europe/Paris") == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("19790328", "1979-03-28"),
        ("19790328000000", "1979-03-28"),
        ("197903", "1979-03"),
        ("19790300", "1979-03"),
        ("1979", "1979"),
        ("19790000", "1979"),
        ("19790028", None),
        ("19790229", None),
        ("28031979", None),
        ("1979-03-28", None),
    ],
)
def test_birth_dates(raw: str, expected: str | None) -> None:
    assert date_of(raw) == expected


def test_an_unreadable_time_is_empty_and_a_finding() -> None:
    obr = OBR.replace("202603060745", "yesterday")
    assert only(obr, OBX).collected_at == ""
    found = findings(PID, obr, OBX)["time_unreadable"]
    assert found.place == Place("OBR", 1, 7) and "yesterday" not in found.text


# ---------------------------------------------------------------------- traits


def test_french_traits() -> None:
    found = traits(PID)
    (ins,) = found.ins
    assert (ins.matricule, ins.oid, ins.effective_on) == ("279035121518989", TEST_NIR, "2020-01-01")
    first, second = found.identifiers
    assert (first.value, first.namespace, first.oid) == ("P000123", "LABX", "1.2.250.1.999.1")
    assert (first.type, second.type) == ("PI", "INS")
    assert (found.birth_family, found.birth_given) == ("PAT-TROIS", "DOMINIQUE")
    assert found.birth_givens == ("DOMINIQUE", "MARIE-LOUISE")
    assert (found.used_family, found.used_given) == ("DUPONT", "DOMI")
    assert (found.birth_date, found.sex, found.birth_place) == ("1979-03-28", "F", "63220")
    assert found.identity_status == "VALI"
    assert found.address is not None
    assert found.address.lines == ("28 AV DE BRETEUIL", "BAT B")
    assert (found.address.city, found.address.postcode) == ("PARIS", "75007")
    assert (found.address.country, found.address.commune) == ("FRA", "75107")
    assert found.phones == ("0639980001", "0199000001")
    assert found.emails == ("dominique.test@example.org",)


@pytest.mark.parametrize(
    ("cx", "code"),
    [
        (f"279035121518988^^^X&{TEST_NIR}&ISO^INS", "ins_key_wrong"),
        (f"2790351215189^^^X&{TEST_NIR}&ISO^INS", "ins_length_wrong"),
        ("279035121518989^^^X&1.2.3&ISO^INS", "ins_oid_unknown"),
        ("279035121518989^^^ASIP-SANTE-INS-NIR^INS", "ins_oid_unknown"),
        (f"279035121518989^^^X&{TEST_NIR}&ISO^NH", "ins_type_missing"),
        (f"279035121518989^^^X&{TEST_NIR}&ISO", "ins_type_missing"),
        ("279035121518989^^^X&1.2.250.1.213.1.4.2&ISO^INS", "ins_c_not_identity"),
    ],
)
def test_what_is_no_ins_is_an_identifier_and_a_finding(cx: str, code: str) -> None:
    pid = f"PID|1||{cx}||A^B^^^^^L||1979|F"
    assert traits(pid).ins == ()
    assert len(traits(pid).identifiers) == 1
    found = findings(pid, OBR, OBX)[code]
    assert found.place == Place("PID", 1, 3, 1) and found.level is Level.WARNING


def test_nh_and_ins_c_are_identifiers_without_a_finding() -> None:
    pid = "PID|1||279035121518989^^^CNAM&1.2.250.1.213.1.4.2&ISO^NH||A^B"
    assert traits(pid).ins == () and traits(pid).identifiers[0].type == "NH"
    assert not findings(pid, OBR, OBX)


@pytest.mark.parametrize(
    ("names", "birth", "used"),
    [
        ("A^B^C D^^^^L", ("A", "B", ("B", "C", "D")), ("", "")),
        ("A^B^B C^^^^L~E^F^^^^^U", ("A", "B", ("B", "C")), ("E", "F")),
        ("A^B~E^F^^^^^D", ("A", "B", ("B",)), ("E", "F")),
        ("E^F^^^^^D~A^B^^^^^L", ("A", "B", ("B",)), ("E", "F")),
        ("E^F~A^B^^^^^L", ("A", "B", ("B",)), ("E", "F")),
        ("E^F^^^^^D", ("", "", ()), ("E", "F")),
        ("A&de&A^B^^^Dr^^CURRENT", ("A", "B", ("B",)), ("", "")),
        ("^^^^^^S", ("", "", ()), ("", "")),
        ("X^Y^^^^^S~A^B", ("A", "B", ("B",)), ("", "")),
        ("A^^JEAN,PAUL^^^^L", ("A", "JEAN", ("JEAN", "PAUL")), ("", "")),
        ("A^JEAN^JEANNE^^^^L", ("A", "JEAN", ("JEAN", "JEANNE")), ("", "")),
        ('""', ("", "", ()), ("", "")),
    ],
)
def test_names(names: str, birth: tuple[str, str, tuple[str, ...]], used: tuple[str, str]) -> None:
    found = traits(f"PID|1||1||{names}")
    assert (found.birth_family, found.birth_given, found.birth_givens) == birth
    assert (found.used_family, found.used_given) == used


def test_the_home_address_is_never_the_birth_place() -> None:
    found = traits("PID|1||1||A||||||1 rue X^^PARIS^^75001^FRA^H^^63220~2 rue Y^^LYON^^69001")
    assert found.birth_place == ""
    assert found.address is not None and found.address.city == "PARIS"


@pytest.mark.parametrize(
    ("bdl", "code"),
    [
        ("^^PORTO NUEVO^^99327^BEN^BDL^^99327", "99327"),
        ("^^^^^^BDL^^^2b033", "2B033"),
        ("^^^^63000^^BDL", ""),
        ("^^^^^^BDL^^6322", ""),
    ],
)
def test_birth_places(bdl: str, code: str) -> None:
    pid = f"PID|1||1||A||||||{bdl}"
    assert traits(pid).birth_place == code and traits(pid).address is None
    assert ("birth_place_unreadable" in findings(pid, OBR, OBX)) == (not code)


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        ("VALI", "VALI"),
        ("vali~HOMD", "VALI"),
        ("VALI~DOUT", "DOUT"),
        ("PROV~VALI", "PROV"),
        ("", ""),
    ],
)
def test_of_several_identity_statuses_the_most_cautious(raw: str, status: str) -> None:
    assert traits("PID|1||1||A" + "|" * 27 + raw).identity_status == status


def test_phones_of_other_shapes() -> None:
    pid = "PID|1||1||A||||||||^PRN^PH^^^6^39980001~x@example.org~^PRN^PH^^^^^^^^^0639980002"
    found = traits(pid)
    assert found.phones == ("639980001", "0639980002") and found.emails == ("x@example.org",)


def test_an_unreadable_birth_date_is_a_finding() -> None:
    pid = "PID|1||1||A||28/03/1979"
    assert traits(pid).birth_date == ""
    assert findings(pid, OBR, OBX)["birth_date_unreadable"].place == Place("PID", 1, 7)


def test_a_too_long_local_identifier_is_left_out() -> None:
    pid = f"PID|1||{'é' * 101}^^^L^PI~OK||A"
    assert [each.value for each in traits(pid).identifiers] == ["OK"]
    assert findings(pid, OBR, OBX)["identifier_too_long"].place == Place("PID", 1, 3, 1)


def test_old_messages_have_their_number_in_pid_2() -> None:
    assert traits("PID|1|X1|||A").identifiers[0].value == "X1"


# ---------------------------------------------------------------------- reports


def test_a_report_with_everything() -> None:
    orc = "ORC|NW|ORD-889^LABX|LAB-5567^LABX|||||||||10000023084^TEST^MEDECIN^^^^^^P&1&ISO^D^^^RPPS"
    spm = (
        "SPM|1|PLACER&L^LAB-S1&LABX||258500001^Ecouvillon^SCT|||||||||||||20260306074500+0100"
        "|20260306083000+0100"
    )
    obx = (
        "OBX|1|CWE|94500-6^ARN^LN|1|260373001^Detecte^SCT|||POS~A^Abnormal|||F|||"
        "20260306074500+0100|||PCR^Methode^L||||||LABORATOIRE X^D^^^^P&1&ISO^FINEG^^^1300017985"
    )
    report = only(orc, OBR, "NTE|1|L|about the report", obx, "NTE|1|L|about~the value", OBX, spm)
    assert report.position == 1 and report.code == Coded(code="94500-6", text="ARN", system="LN")
    assert (report.order_control, report.status) == ("NW", ResultStatus.FINAL)
    assert (report.placer_order_number, report.filler_order_number) == ("ORD-889", "LAB-5567")
    assert report.collected_at == "2026-03-06T07:45:00+01:00"
    assert report.received_at == "2026-03-06T08:30:00+01:00"
    assert report.reported_at == "2026-03-06T10:10:00+01:00"
    assert report.specimen is not None and report.specimen.identifier == "LAB-S1"
    assert report.notes == ("about the report",)
    assert report.prescriber is not None
    assert (report.prescriber.identifier, report.prescriber.identifier_type) == (
        "10000023084",
        "RPPS",
    )
    assert report.performer is not None
    assert (report.performer.name, report.performer.identifier) == ("LABORATOIRE X", "300017985")
    first, second = report.observations
    assert first.coded == Coded(code="260373001", text="Detecte", system="SCT")
    assert (first.value, first.interpretations, first.sub_id) == ("Detecte", ("POS", "A"), "1")
    assert first.notes == ("about\nthe value",) and first.method is not None
    assert (second.number, second.performer, second.notes) == ("24.6", None, ())


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("1 RUE X^^BORDEAUX^^33000^FRA^B^^33063", ("33063", "33000")),
        ("1 RUE X^^BORDEAUX^^33 000^FRA", ("", "33000")),
        ("^^^^SW1A 1AA^GBR^B^^LONDON", ("", "")),
        ("", ("", "")),
    ],
)
def test_where_the_performer_is_comes_with_it(address: str, place: tuple[str, str]) -> None:
    """OBX-24; only what names a place is kept. The same number elsewhere is another place."""
    name = "LABORATOIRE Y^D^^^^ASIP-SANTE-ST^FINEG^^^300017985"
    for told, expected in ((address, place), ("^^^^69000^^^^69123", ("69123", "69000"))):
        performer = only(OBR, f"{OBX}||||||||||||{name}|{told}").performer
        assert performer is not None
        assert performer.name == "LABORATOIRE Y"
        assert (performer.commune, performer.postcode) == expected


def test_the_sender_performs_where_nobody_else_is_named() -> None:
    performer = only(OBR, OBX).performer
    assert performer is not None
    assert (performer.identifier, performer.identifier_type) == ("300017985", "FINESS")


def test_each_obr_is_a_report_with_its_own_numbers() -> None:
    second = OBR.replace("ORD-1", "ORD-2").replace("LAB-1", "LAB-2")
    reports = mapped(PID, "ORC|RE|ORC-1", OBR, OBX, second, OBX, OBX).reports
    assert [report.placer_order_number for report in reports] == ["ORC-1", "ORD-2"]
    assert [report.order_control for report in reports] == ["RE", ""]
    assert [len(report.observations) for report in reports] == [1, 2]
    assert [report.position for report in reports] == [1, 2]


def test_specimens_behind_their_obr() -> None:
    reports = mapped(PID, OBR, OBX, "SPM|1|^S1", OBR, "SPM|1|^S2", OBX).reports
    assert [report.specimen and report.specimen.identifier for report in reports] == ["S1", "S2"]


def test_specimens_before_their_obr() -> None:
    segments = ("SPM|1|^S1", "ORC|RE", OBR, OBX, "ORC|RE", "SPM|1|^S2", OBR, OBX)
    reports = mapped(PID, *segments).reports
    assert [report.specimen and report.specimen.identifier for report in reports] == ["S1", "S2"]
    reports = mapped(PID, "SPM|1|^S1", OBR, OBX, OBR, OBX).reports
    assert [report.specimen and report.specimen.identifier for report in reports] == ["S1", "S1"]


def test_notes_stay_with_what_they_comment() -> None:
    segments = ("NTE|1||patient", "ORC|RE", OBR, OBX, "NTE|1||value", "ORC|RE", "NTE|1||order", OBR)
    first, second = mapped(PID, *segments).reports
    assert first.notes == () and first.observations[0].notes == ("value",)
    assert second.notes == ("order",)


def test_an_old_specimen_source() -> None:
    report = only(
        OBR.replace("|" * 15, "|" * 7 + "20260306083000|BLD&Blood&HL70070" + "|" * 7), OBX
    )
    assert report.specimen is not None
    assert report.specimen.type == Coded(code="BLD", text="Blood", system="HL70070")
    assert report.received_at == "2026-03-06T08:30:00+01:00"


@pytest.mark.parametrize(
    ("obr_status", "obx_statuses", "report_status", "first_status"),
    [
        ("F", ["F"], "F", "F"),
        ("C", [""], "C", "C"),
        ("", ["P", "F"], "P", "P"),
        ("", ["C", "F"], "C", "C"),
        ("", ["X"], "X", "X"),
        ("", ["D", "F"], "C", "D"),
        ("?", ["?"], "F", "F"),
        ("f^text", ["w"], "F", "W"),
    ],
)
def test_statuses(
    obr_status: str, obx_statuses: list[str], report_status: str, first_status: str
) -> None:
    obr = OBR.removesuffix("F") + obr_status
    obxs = [OBX.removesuffix("F") + status for status in obx_statuses]
    report = only(obr, *obxs)
    assert report.status == report_status and report.observations[0].status == first_status


@pytest.mark.parametrize("letter", ["A", "B", "a", "B^text"])
@pytest.mark.parametrize(("said", "status"), [("C", "C"), ("F", "F"), ("M", "C"), ("", "C")])
def test_an_amended_result_is_corrected_and_says_so(letter: str, said: str, status: str) -> None:
    segments = (OBR.removesuffix("F") + said, OBX.removesuffix("F") + letter)
    found = only(*segments)
    (seen,) = found.observations
    assert (found.status, seen.status, seen.amended) == (status, "C", True)
    assert "status_contradicts" not in findings(PID, *segments)


@pytest.mark.parametrize("letter", ["C", "F", "D", "S", "", "?", "AB"])
def test_no_other_letter_amends(letter: str) -> None:
    # A of OBR-25 is partial, and what has no status of its own takes that of its report.
    for said in "AC":
        found = only(OBR.removesuffix("F") + said, OBX.removesuffix("F") + letter)
        assert found.status == said and not found.observations[0].amended


def test_a_missing_status_is_a_finding() -> None:
    found = findings(PID, OBR.removesuffix("F"), OBX.removesuffix("F"))
    assert found["report_status_missing"].place == Place("OBR", 1, 25)
    assert found["observation_status_missing"].place == Place("OBX", 1, 11)


@pytest.mark.parametrize(
    ("kind", "raw", "value", "number", "comparator"),
    [
        ("NM", "24.6", "24.6", "24.6", ""),
        ("NM", "-0", "-0", "-0", ""),
        ("NM", "24,6", "24,6", "", ""),
        ("NM", "<5", "<5", "5", "<"),
        ("NM", ">= 10.5", ">= 10.5", "10.5", ">="),
        ("NM", "NaN", "NaN", "", ""),
        ("NM", "inf", "inf", "", ""),
        ("NM", "1e5", "1e5", "", ""),
        ("NM", "٢", "٢", "", ""),
        ("NM", "1" * 40, "1" * 40, "1" * 40, ""),
        ("NM", "1" * 41, "1" * 41, "", ""),
        ("SN", "<^5", "<5", "5", "<"),
        ("SN", "^100", "100", "100", ""),
        ("SN", "^1^:^128", "1:128", "", ""),
        ("SN", "^10^-^20", "10-20", "", ""),
        ("ST", r"a\T\b^c", "a&b^c", "", ""),
        ("TX", "one~two", "one\ntwo", "", ""),
        ("FT", r"a\.br\b", "a b", "", ""),
        ("DT", "20210606", "20210606", "", ""),
        ("TS", "20210606101500^S", "20210606101500", "", ""),
        ("ED", "^TEXT^XML^Base64^QUJD", "", "", ""),
        ("RP", "x^y", "", "", ""),
        ("XYZ", "anything", "anything", "", ""),
        ("", "anything", "anything", "", ""),
        ("ST", '""', "", "", ""),
        ("CWE", "^^^^^^^^original", "original", "", ""),
    ],
)
def test_values(kind: str, raw: str, value: str, number: str, comparator: str) -> None:
    found = observed(f"OBX|1|{kind}|1^x^LN||{raw}||||||F")
    assert (found.value, found.number, found.comparator) == (value, number, comparator)
    assert found.coded is None and found.value_type == kind


@pytest.mark.parametrize("kind", ["CE", "CWE", "CNE", "CWE^^HL70125"])
def test_coded_values_and_their_alternates(kind: str) -> None:
    found = observed(f"OBX|1|{kind}|1^x^LN||1^Un^L^2^Deux^M~3^Trois^L||||||F")
    assert found.value == "Un" and found.coded is not None
    assert (found.coded.code, found.coded.alternate_code) == ("1", "2")
    assert observed(f"OBX|1|{kind}|1^x^LN||^^^2^Deux^M||||||F").value == "Deux"
    assert observed(f"OBX|1|{kind}|1^x^LN||POS||||||F").value == "POS"


def test_further_repetitions_of_a_coded_value_are_kept() -> None:
    found = observed("OBX|1|CWE|1^x^LN||A^Un^L~B^Deux^L~~^Trois||||||F")
    assert found.coded == Coded("A", "Un", "L")
    assert found.others == (Coded("B", "Deux", "L"), Coded("", "Trois"))
    assert found.value == "Un"
    late = observed("OBX|1|CWE|1^x^LN||~B^Deux^L||||||F")
    assert (late.coded, late.others) == (None, (Coded("B", "Deux", "L"),))
    assert observed("OBX|1|ST|1^x^LN||A~B||||||F").others == ()


def test_a_novel_in_a_further_repetition_is_text() -> None:
    found = observed(f"OBX|1|CWE|1^x^LN||A~{'w' * 300}||||||F")
    assert found.others == (Coded(text="w" * 300),)


def test_a_coded_value_with_a_novel_in_its_code_is_text() -> None:
    found = observed(f"OBX|1|CWE|1^x^LN||{'w' * 300}||||||F")
    assert found.coded is None and found.value == "w" * 300


def test_unit_range_and_code_missing() -> None:
    found = observed("OBX|1|NM|||5|mmol/L^^UCUM|3.5 - 5.0|||||F")
    assert found.code == Coded() and found.unit == Coded(code="mmol/L", system="UCUM")
    assert found.reference_range == "3.5 - 5.0"
    assert "observation_code_missing" in findings(PID, OBR, "OBX|1|NM|||5||||||F")


def test_prescribers() -> None:
    def prescriber(xcn: str) -> tuple[str, str]:
        obr = OBR.replace("202603060745" + "|" * 15, "202603060745" + "|" * 9 + xcn + "|" * 6)
        found = only(obr, OBX).prescriber
        assert found is not None
        return found.identifier, found.identifier_type

    assert prescriber("810000023084^A^B") == ("10000023084", "RPPS")
    assert prescriber("10000023084^A^B") == ("10000023084", "RPPS")
    assert prescriber("10000023085^A^B^^^^^^^^^^RPPS") == ("10000023085", "")
    assert prescriber("LOCAL^A~10000023084^A^B") == ("10000023084", "RPPS")
    assert prescriber("123^A^B^^^^^^^^^^NPI") == ("123", "NPI")
    assert prescriber("^Nom&de^B") == ("", "")


# ---------------------------------------------------------------------- what cannot be mapped


def test_two_patients_in_one_message() -> None:
    other = PID.replace("P000123", "P999")
    found = refused(PID, OBR, OBX, other, OBR, OBX)
    assert (found.code, found.place) == ("several_patients", Place("PID", 2))
    assert len(mapped(PID, OBR, OBX, PID.replace("PID|1", "PID|2"), OBR, OBX).reports) == 2


@pytest.mark.parametrize("obr", ["OBR|1|A|B", "OBR|1", "OBR|1|A|B|^^LN", 'OBR|1|A|B|""'])
def test_an_obr_without_a_code(obr: str) -> None:
    found = refused(PID, OBR, OBX, obr, OBX)
    assert (found.code, found.place) == ("service_code_missing", Place("OBR", 2, 4))


def test_an_alternate_code_is_a_code() -> None:
    report = only(OBR.replace("94500-6^ARN^LN", "^^^3556190^Coronavirus^L"), OBX)
    assert report.code.alternate_code == "3556190"


@pytest.mark.parametrize(
    ("old", "place"),
    [
        ("94500-6", Place("OBR", 1, 4)),
        ("ORD-1", Place("OBR", 1, 2)),
        ("LAB-1", Place("OBR", 1, 3)),
        ("94745-7", Place("OBX", 1, 3)),
    ],
)
def test_what_is_indexed_is_bounded(old: str, place: Place) -> None:
    long = "é" * 101
    found = refused(PID, OBR.replace(old, long), OBX.replace(old, long))
    assert (found.code, found.place) == ("key_too_long", place)
    edge = "é" * 100
    assert mapped(PID, OBR.replace(old, edge), OBX.replace(old, edge))


def test_counts_are_bounded() -> None:
    assert refused(PID, *[OBR] * 2_001).place == Place("OBR", 2_001)
    found = refused(PID, OBR, *[OBX] * 10_001)
    assert (found.code, found.place) == ("too_many_observations", Place("OBX", 10_001))


def test_a_raw_message_that_cannot_be_read_is_a_finding() -> None:
    found = map_raw(b"not hl7")
    assert isinstance(found, Finding) and found.code == "not_hl7"
    assert refused(OBR, OBX).code == "pid_missing" and refused(PID).code == "obr_missing"


def test_an_observation_before_any_obr_is_a_finding() -> None:
    assert "observation_outside_group" in findings(PID, OBX, OBR, OBX)
    assert len(only(OBX, OBR, OBX).observations) == 1


def test_findings_are_bounded() -> None:
    obx = OBX.removesuffix("F")
    _, found = map_message(read(message(PID, OBR, *[obx] * 500)))
    assert len(found) == MAX_FINDINGS


def test_five_thousand_observations_are_mapped() -> None:
    found = map_raw(message(PID, OBR, *[OBX] * 5_000))
    assert isinstance(found, MappedMessage)
    assert len(found.reports[0].observations) == 5_000


def test_no_value_in_any_text_form() -> None:
    shown = repr(mapped(PID, OBR, OBX)) + str(traits(PID))
    assert "PAT-TROIS" not in shown and "279035121518989" not in shown


def test_what_is_kept_between_messages_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading._kept, "characters", 0)
    largest = 0
    for number in range(60):
        obxs = [OBX.replace("94745-7", f"{number}-{place:0150d}") for place in range(1_000)]
        map_raw(message(PID, OBR, *obxs))
        largest = max(largest, reading._kept.characters)
    assert 3_000_000 < largest <= 4_000_000
    assert 0 < len(reading._catalogue(Separators(), "ascii").codes) < 30_000
