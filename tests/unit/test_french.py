"""The French profile: each rule on a right and on a wrong message; every vector of the INS."""

from __future__ import annotations

import pytest

from ingest.catalogue import RULES
from ingest.french import is_later
from ingest.header import Header, read_header
from ingest.judge import Judgement, LabProfile, Ruling, judge
from ingest.names import name_fault
from ingest.numbers import OID_NIA, OID_NIR, ins_key_is_right
from ingest.profile import PROFILES
from ingest.rules.rule import FRANCE
from ops.simulate.sample import sample_message
from schemas.decision import Realm

TEST_NIR = "1.2.250.1.213.1.4.10"
CANARY = "CANARYNAME"
RIGHT = sample_message().decode()


def ruled(text: str, realm: Realm = Realm.TEST, profile: str = "fr") -> Judgement:
    raw = text.encode()
    header = read_header(raw)
    assert isinstance(header, Header)
    return judge(raw, header, LabProfile(name=profile), realm)


def found(text: str, realm: Realm = Realm.TEST, profile: str = "fr") -> dict[str, str]:
    judgement = ruled(text, realm, profile)
    assert judgement.ruling is Ruling.ACCEPT
    return {finding.code: str(finding.place) for finding in judgement.findings}


def changed(old: str, new: str) -> str:
    assert old in RIGHT
    return RIGHT.replace(old, new)


def test_a_right_message_has_no_finding() -> None:
    judgement = ruled(RIGHT)
    assert judgement.ruling is Ruling.ACCEPT and judgement.findings == ()


# ---------------------------------------------------------------------- the INS

GOOD_NIR = [
    "255081416802538", "294037512000591", "153124500723160", "284052A32102552", "284052B32102579",
    "284058832102532", "284202B32102528", "284992B32102531", "295109912611193", "253072B07300470",
    "253072A07300443", "186022A21532523", "279035121518989", "160059932710027", "139061305567914",
    "274075176079430", "277076322082910", "146026322000196", "185057512345673", "223115935012322",
    "284057505601697", "284057505600709", "284057505601501", "100012000400181", "179069935204566",
    "291089720912340", "142507505600130", "231977510799904", "185057505600116", "268129910012382",
]  # fmt: skip
"""Published, or made here for an edge: Corsica, months 20 to 99, keys 01, 09 and 97, abroad."""
GOOD_NIA_ONLY = ["885997512345663", "781102A12500908", "884058832102523"]
BAD = [
    "255081416802500", "295109912611199", "253072C07300443", "186139881801277", "2550814168025",
    "276037510669380", "284058832102530", "285033155504217", "288091234567823", "201035467892345",
    "271113412389756", "27707279035121518989", "279035121518900", "279035121518998",
    "2790351215189 9", "27903512151898\u0669", "284002B32102579", "\u0662" * 15, "",
]  # fmt: skip
"""Wrong key, letter, month, length; among them published samples that are wrong and stay wrong."""


@pytest.mark.parametrize("matricule", GOOD_NIR)
def test_a_right_nir_is_one_under_each_oid(matricule: str) -> None:
    for oid in (OID_NIR, OID_NIA, TEST_NIR, "1.2.250.1.213.1.4.11"):
        assert ins_key_is_right(matricule, oid)
    assert not ins_key_is_right(matricule, "1.2.250.1.213.1.4.2")


@pytest.mark.parametrize("matricule", GOOD_NIA_ONLY)
def test_other_first_digits_are_right_under_the_oid_of_the_nia_alone(matricule: str) -> None:
    assert ins_key_is_right(matricule, OID_NIA)
    for oid in (OID_NIR, TEST_NIR, "1.2.250.1.213.1.4.11"):
        assert not ins_key_is_right(matricule, oid)


@pytest.mark.parametrize("matricule", BAD)
@pytest.mark.parametrize("oid", [OID_NIR, OID_NIA, TEST_NIR])
def test_what_is_wrong_stays_wrong(matricule: str, oid: str) -> None:
    assert not ins_key_is_right(matricule, oid)


@pytest.mark.parametrize("matricule", GOOD_NIR)
def test_each_key_but_the_right_one_is_wrong(matricule: str) -> None:
    right = [key for key in range(100) if ins_key_is_right(f"{matricule[:13]}{key:02}", OID_NIR)]
    assert right == [int(matricule[13:])]


@pytest.mark.parametrize(
    ("realm", "oid", "is_used"),
    [
        (Realm.TEST, "10", True),
        (Realm.TEST, "11", True),
        (Realm.TEST, "8", False),
        (Realm.TEST, "9", False),
        (Realm.PRODUCTION, "8", True),
        (Realm.PRODUCTION, "9", True),
        (Realm.PRODUCTION, "10", False),
        (Realm.PRODUCTION, "11", False),
    ],
)
def test_the_realms_stay_apart(realm: Realm, oid: str, is_used: bool) -> None:
    text = changed(TEST_NIR, f"1.2.250.1.213.1.4.{oid}").replace("|T|2.5.1|", "|P|2.5.1|")
    codes = found(text, realm)
    assert codes == ({} if is_used else {"ins_of_other_realm": "PID[1]-3(2).4.2"})


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (f"2790351215189^^^X&{TEST_NIR}&ISO^INS", "ins_length_wrong"),
        (f"279035121518988^^^X&{TEST_NIR}&ISO^INS", "ins_key_wrong"),
        ("0123456789012345678912^^^X&1.2.250.1.213.1.4.2&ISO^INS", "ins_c_not_identity"),
        ("279035121518989^^^X&1.2.250.1.213.1.4.6&ISO^INS", "ins_c_not_identity"),
        (f"279035121518989^^^X&{TEST_NIR}&ISO^NH", "ins_type_missing"),
        ("279035121518989^^^ASIP-SANTE-INS-NIR^INS", "ins_oid_unknown"),
    ],
)
def test_what_is_no_ins_is_told_and_not_used(number: str, code: str) -> None:
    whole = f"279035121518989^^^ASIP-SANTE-INS-NIR&{TEST_NIR}&ISO^INS"
    text = changed(whole, number)
    assert found(text) == {code: "PID[1]-3(2)"}
    mapped = ruled(text).mapped
    assert mapped is not None and mapped.traits.ins == ()


def test_nh_is_never_an_identity_and_no_finding() -> None:
    whole = f"279035121518989^^^ASIP-SANTE-INS-NIR&{TEST_NIR}&ISO^INS"
    text = changed(whole, "279035121518989^^^CNAM&1.2.250.1.213.1.4.1&ISO^NH")
    mapped = ruled(text).mapped
    assert found(text) == {} and mapped is not None and mapped.traits.ins == ()


@pytest.mark.parametrize("namespace", ["ASIP-SATE-INS-NIR", "ASIP-SANTE-INS-NIA", "", "X Y"])
def test_namespaces_say_nothing(namespace: str) -> None:
    assert found(changed("ASIP-SANTE-INS-NIR", namespace)) == {}


# ---------------------------------------------------------------------- each rule


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("|FRA|", "||", {"country_not_fra": "MSH[1]-17"}),
        ("|UNICODE UTF-8", "|UTF-8", {"charset_not_french": "MSH[1]-18"}),
        ("|20260306101502+0100||ORU", "|||ORU", {"sent_at_missing": "MSH[1]-7"}),
        ("&ISO^INS", "^INS", {"ins_oid_type_missing": "PID[1]-3(2).4.2"}),
        ("|19790328|F|", "|19790328|M|", {"ins_disagrees_with_sex": "PID[1]-8"}),
        ("|19790328|F|", "|19800328|F|", {"ins_disagrees_with_birth_date": "PID[1]-7"}),
        ("|19790328|F|", "|19790428|F|", {"ins_disagrees_with_birth_date": "PID[1]-7"}),
        ("|19790328|F|", "|197903|F|", {}),
        ("|19790328|F|", "|19791231|F|", {"birth_date_default": "PID[1]-7"}),
        ("|19790328|F|", "|19790101|F|", {"birth_date_default": "PID[1]-7"}),
        ("|19790328|F|", "||F|", {"birth_date_missing": "PID[1]-7"}),
        ("|19790328|F|", "|19790328|U|", {"sex_not_m_or_f": "PID[1]-8"}),
        ("|19790328|F|", "|19790328||", {"sex_not_m_or_f": "PID[1]-8"}),
        ("^^^^L~", "^^^^~", {"birth_name_untyped": "PID[1]-5"}),
        ("~PAT-TROIS^DOM", "~DUPONT2^DOM", {"name_characters_wrong": "PID[1]-5(2).1"}),
        ("~PAT-TROIS^DOM", "~LE  GUEN^DOM", {"name_form_wrong": "PID[1]-5(2).1"}),
        ("~PAT-TROIS^DOMINIQUE", "~PAT^Am\u00e9lie", {"name_letters_not_plain": "PID[1]-5(2).2"}),
        ("^^^^^^BDL^^63220", "^^^^^^BDL^^", {"birth_place_unreadable": "PID[1]-11(2).9"}),
        ("~^^^^^^BDL^^63220", "", {"birth_place_missing": "PID[1]-11"}),
        ("^^^^^^BDL^^63220", "^^PORTO NUEVO^^99327^BEN^BDL^^99327", {}),
        ("|N|VALI", "|N|", {"ins_of_provisional_identity": "PID[1]-32",
                            "identity_status_missing": "PID[1]-32"}),
        ("|N|VALI", "|N|PROV", {"ins_of_provisional_identity": "PID[1]-32"}),
        ("|N|VALI", "|N|QUAL", {"identity_status_not_sent": "PID[1]-32"}),
        ("|N|VALI", "|N|RECUP", {"ins_of_provisional_identity": "PID[1]-32",
                                 "identity_status_not_sent": "PID[1]-32"}),
        ("|N|VALI", "|N|FICT", {"ins_of_provisional_identity": "PID[1]-32",
                                "identity_status_isolates": "PID[1]-32"}),
        ("|N|VALI", "|N|FICTI", {"ins_of_provisional_identity": "PID[1]-32",
                                 "identity_status_unknown": "PID[1]-32"}),
        ("|||20260306074500+0100|||||||||99", "||||||||||||99", {}),
        ("ORC|NW|", "ORC|RO|", {"order_control_disagrees": "OBX[2]-11"}),
        ("ORC|NW|", "ORC|CA|",
         {"order_control_disagrees": "OBX[2]-11", "status_contradicts": "OBR[1]-25"}),
        ("ORC|NW|", "ORC|SC|", {}),
        ("20260306074500+0100", "20270306074500+0100",
         {"collected_in_the_future": "OBR[1]-7", "received_before_collected": "SPM[1]-18"}),
        ("|20260306083000+0100", "|20260306073000+0100",
         {"received_before_collected": "SPM[1]-18"}),
        ("^1990010001", "^1990010002", {"finess_key_wrong": "OBX[1]-23.10"}),
        ("|94500-6^SARS-CoV-2 ARN [Pr\u00e9sence] Respiratoire ; PCR^LN|||2026",
         "|PCRCOV^PCR^L|||2026", {"service_without_loinc": "OBR[1]-4"}),
        ("|94745-7^SARS-CoV-2 Ct [#] Respiratoire ; PCR^LN|", "|CT^Ct^L|",
         {"observation_without_loinc": "OBX[2]-3", "unit_missing": "OBX[2]-6"}),
        ("|94745-7^", "|2345-7^", {"unit_missing": "OBX[2]-6"}),
        ("|POS|||F", "|++|||F", {"interpretation_unknown": "OBX[1]-8"}),
        ("99000000010^MOREAU", "99000000011^MOREAU", {"rpps_key_wrong": "OBR[1]-16"}),
        ("99000000010^MOREAU", "899000000010^MOREAU", {}),
    ],
)  # fmt: skip
def test_a_rule(old: str, new: str, expected: dict[str, str]) -> None:
    if old not in RIGHT:
        pytest.fail("the sample does not hold what is changed")
    text = RIGHT.replace(old, new)
    told = found(text)
    assert told == expected
    # HL7's own tables speak where no rule of the profile has said more of the same field.
    generic = {code for code in found(text, profile="generic") if not code.startswith("hl7_")}
    assert generic <= {code for code in told if RULES[code].profiles != FRANCE}


def test_when_nothing_was_sampled_is_told() -> None:
    bare = RIGHT.replace("|20260306074500+0100", "|")
    assert found(bare) == {"collected_at_missing": "OBR[1]-7"}


def test_a_unit_that_makes_no_sense_for_its_analysis_is_told() -> None:
    number = "OBX|9|NM|94745-7^Ct^LN||24.6|{}|||||F\r"
    assert found(RIGHT + number.format("mg/L")) == {"unit_unexpected": "OBX[3]-6"}
    assert found(RIGHT + number.format("{Ct}")) == {}
    assert found(RIGHT + number.format("mg/L").replace("94745-7", "2345-7")) == {}


def test_a_birth_after_the_sampling_is_told() -> None:
    text = RIGHT.replace("|19790328|F|", "|20790328|F|")
    assert found(text) == {"birth_date_after_sampling": "PID[1]-7"}


def test_a_laboratory_without_finess_is_told() -> None:
    bare = RIGHT.replace("|990010001|", "|MY LAB|").replace("^FINEG^^^1990010001", "^L^^^77")
    assert found(bare) == {"laboratory_without_finess": "OBX[1]-23"}
    wrong = RIGHT.replace("|990010001|", "|990010002|").replace("^FINEG^^^1990010001", "^L^^^77")
    assert found(wrong) == {
        "finess_key_wrong": "MSH[1]-4",
        "laboratory_without_finess": "OBX[1]-23",
    }


def test_a_birth_name_that_is_missing_is_told() -> None:
    text = changed("PAT-TROIS^DOMINIQUE^DOMINIQUE^^^^L~", "^DOMINIQUE^^^^^L~")
    assert found(text) == {"birth_name_missing": "PID[1]-5"}


def test_places_count_the_segments_of_the_whole_message() -> None:
    more = "OBX|9|NM|94745-7^Ct^LN||1||||||F\r"
    orders = "OBR|2|PR-890^L0001P|LAB-5568^L0001|X^Y^L|||20260306074500+0100||||||||||||||||||F\r"
    text = RIGHT + orders + more + "OBX|9|NM|CT^Ct^LN||1||||||F\r"
    assert found(text) == {"service_without_loinc": "OBR[2]-4", "unit_missing": "OBX[4]-6"}


# ---------------------------------------------------------------------- documents

CDA = "OBX|3|ED|11502-2^CR^LN||^TEXT^XML^Base64^PENsaW5pY2FsRG9jdW1lbnQ+||||||{0}\r"


@pytest.mark.parametrize(
    ("control", "status", "ruling"),
    [
        ("NW", "F", Ruling.ACCEPT),
        ("NW", "C", Ruling.REFUSE),
        ("NW", "D", Ruling.REFUSE),
        ("NW", "P", Ruling.ACCEPT),
        ("SC", "D", Ruling.ACCEPT),
    ],
)
def test_the_life_cycle_is_an_error_in_a_document_message_alone(
    control: str, status: str, ruling: Ruling
) -> None:
    text = RIGHT.replace("ORC|NW|", f"ORC|{control}|") + CDA.format(status)
    judgement = ruled(text)
    assert judgement.ruling is ruling
    codes = {finding.code: finding for finding in judgement.findings}
    assert "profile_not_named" in codes
    wrong = codes.get("document_order_control_disagrees")
    assert (wrong is not None) is (ruling is Ruling.REFUSE)
    if wrong is not None:
        assert str(wrong.place) == "OBX[3]-11" and wrong.hl7_code == 103
        assert judgement.mapped is None and judgement.unmappable is None
    assert ruled(text, profile="generic").ruling is Ruling.ACCEPT


def test_a_status_that_nobody_sent_contradicts_nothing() -> None:
    text = RIGHT.replace("ORC|NW|", "ORC|RO|") + CDA.format("")
    text = text.replace("|||POS|||F|", "|||POS|||C|").replace("24.6||||||F", "24.6||||||C")
    assert ruled(text).ruling is Ruling.ACCEPT


def test_a_document_message_that_names_its_profile() -> None:
    text = changed("|UNICODE UTF-8", "|UNICODE UTF-8|||2.1^CISIS_CDA_HL7_V2") + CDA.format("F")
    assert found(text) == {}


# ---------------------------------------------------------------------- names, times, profiles


@pytest.mark.parametrize(
    ("name", "family", "given"),
    [
        ("CELINE", "", ""),
        ("D'ARTAGNAN", "", ""),
        ("JEAN-NOEL", "", ""),
        ("'T HOOFT", "", ""),
        ("DUPONT--MARTIN", "", "name_form_wrong"),
        ("JEAN-", "", "name_form_wrong"),
        ("-JEAN", "name_form_wrong", "name_form_wrong"),
        ("LE  GUEN", "name_form_wrong", "name_form_wrong"),
        ("D''ARTAGNAN", "name_form_wrong", "name_form_wrong"),
        ("D 'ARTAGNAN", "name_form_wrong", "name_form_wrong"),
        ("C\u00e9line", "name_letters_not_plain", "name_letters_not_plain"),
        ("L\u0153titia", "name_letters_not_plain", "name_letters_not_plain"),
        ("NU\u00d1EZ", "name_letters_not_plain", "name_letters_not_plain"),
        ("D\u2019ARTAGNAN", "name_letters_not_plain", "name_letters_not_plain"),
        ("DUPONT2", "name_characters_wrong", "name_characters_wrong"),
        ("JEAN*NOEL", "name_characters_wrong", "name_characters_wrong"),
        ("\u0418\u0412\u0410\u041d", "name_characters_wrong", "name_characters_wrong"),
        ("", "", ""),
    ],
)
def test_names_as_the_rniv_wants_them(name: str, family: str, given: str) -> None:
    assert (name_fault(name, is_family=True), name_fault(name, is_family=False)) == (family, given)


@pytest.mark.parametrize(
    ("first", "second", "later"),
    [
        ("2026-03-06T10:00:00+01:00", "2026-03-06T09:30:00+01:00", True),
        ("2026-03-06T10:00:00+01:00", "2026-03-06T09:30:00+00:00", False),
        ("2026-03-06T10:00:00+01:00", "2026-03-06T08:30:00+00:00", True),
        ("2026-03-06T10:00:00.5+01:00", "2026-03-06T10:00:00+00:00", False),
        ("2026-03-07", "2026-03-06T10:00:00+01:00", True),
        ("2026-03-06", "2026-03-06T10:00:00+01:00", False),
        ("2026-03-06T10:00:00+01:00", "2026-03", False),
        ("2026", "2025-03-06T10:00:00+01:00", True),
        ("2026-03-06T10:00:00+01:00", "", False),
    ],
)
def test_later(first: str, second: str, later: bool) -> None:
    assert is_later(first, second) is later


def test_profiles_are_conventions_and_rules() -> None:
    assert set(PROFILES) == {"fr", "generic"}
    assert (PROFILES["generic"].zone, PROFILES["fr"].zone) == ("UTC", "Europe/Paris")
    plain = RIGHT.replace("20260306101502+0100", "20260306101502")
    for profile, offset in (("fr", "+01:00"), ("generic", "+00:00")):
        mapped = ruled(plain, profile=profile).mapped
        assert mapped is not None and mapped.sent_at.endswith(offset)


def test_no_finding_holds_a_value() -> None:
    for old in ("PAT-TROIS", "DOMINIQUE", "279035121518989", "19790328", "|VALI", "|POS|"):
        judgement = ruled(RIGHT.replace(old, f"{CANARY}9" if "|" not in old else f"|{CANARY}9"))
        assert judgement.findings and CANARY not in repr(judgement.findings)
