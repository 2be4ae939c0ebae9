from __future__ import annotations

from voice_server.testing.progress import Party

PARTY = Party("CA" + "1" * 32, "AC" + "2" * 32, "+12025550143", "+12025550100")


def test_the_ids_of_a_call_are_well_formed_and_depend_on_the_call_alone():
    sids = {PARTY.sid(prefix, number) for prefix in ("MZ", "CA") for number in range(3)}
    assert len(sids) == 6
    assert all(len(sid) == 34 and set(sid[2:]) <= set("0123456789abcdef") for sid in sids)
    twin = Party(PARTY.call_sid, PARTY.account_sid, "+1", "+2")
    other = Party("CA" + "3" * 32, PARTY.account_sid, "+1", "+2")
    assert twin.sid("MZ") == PARTY.sid("MZ") != other.sid("MZ")


def test_the_form_names_both_parties_twice_as_carriers_do():
    form = PARTY.form("ringing")
    assert form["From"] == form["Caller"] == "+12025550143"
    assert form["To"] == form["Called"] == "+12025550100"
    assert form["ApiVersion"] == "2010-04-01"


def test_more_fields_may_be_added_and_replaced():
    party = Party("CA1", "AC1", "+1", "+2", extra={"StirVerstat": "A", "FromCity": "ROME"})
    assert PARTY.form("ringing").keys() < party.form("ringing").keys()
    assert party.form("ringing")["FromCity"] == "ROME"
