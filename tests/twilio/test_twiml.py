from __future__ import annotations

import xml.etree.ElementTree as ET

from voice_server.twilio import twiml


def test_connecting_a_stream_names_all_three_urls_and_both_parameters():
    document = twiml.connect_stream(
        media_url="wss://h/twilio/media",
        status_url="https://h/twilio/status",
        after_url="https://h/twilio/after",
        call_id="call-1",
        token='<a&"b">',
    )
    assert document == (
        '<?xml version="1.0" encoding="UTF-8"?><Response>'
        '<Connect action="https://h/twilio/after" method="POST">'
        '<Stream statusCallback="https://h/twilio/status" url="wss://h/twilio/media">'
        '<Parameter name="call" value="call-1" />'
        '<Parameter name="token" value="&lt;a&amp;&quot;b&quot;&gt;" />'
        "</Stream></Connect></Response>"
    )


def test_a_handover_rings_the_human_and_comes_back_to_us():
    document = twiml.dial(
        "+14155550100", after_url="https://h/twilio/after", status_url="https://h/s"
    )
    (dial,) = ET.fromstring(document)
    assert dial.tag == "Dial"
    assert dial.attrib["action"] == "https://h/twilio/after"
    (number,) = dial
    assert (number.tag, number.text) == ("Number", "+14155550100")
    assert number.attrib["statusCallback"] == "https://h/s"
    assert number.attrib["statusCallbackEvent"] == "answered completed"


def test_who_is_on_hold_waits_for_the_host_whose_leaving_ends_it():
    (waiting,) = ET.fromstring(twiml.hold("room", after_url="https://h/twilio/after"))
    assert waiting.attrib["action"] == "https://h/twilio/after"
    (joining,) = ET.fromstring(twiml.join("room", after_url="https://h/twilio/human"))
    assert joining.attrib["action"] == "https://h/twilio/human"
    for dial, starts in ((waiting, "false"), (joining, "true")):
        (conference,) = dial
        assert (conference.tag, conference.text) == ("Conference", "room")
        assert conference.attrib["startConferenceOnEnter"] == starts
        assert conference.attrib["endConferenceOnExit"] == "true"
        assert "waitUrl" not in conference.attrib  # the carrier's own music


def test_a_whisper_asks_for_a_key_and_hangs_up_without_one():
    gather, hangup = ET.fromstring(
        twiml.whisper("A leak & more.", accept_url="https://h/twilio/human")
    )
    assert (gather.attrib["numDigits"], gather.attrib["action"]) == ("1", "https://h/twilio/human")
    assert gather.findtext("Say") == "A leak & more."
    assert hangup.tag == "Hangup"


def test_hanging_up_may_have_last_words():
    assert [node.tag for node in ET.fromstring(twiml.hang_up())] == ["Hangup"]
    said, hangup = ET.fromstring(twiml.hang_up("Good bye & thank you."))
    assert (said.tag, said.text, hangup.tag) == ("Say", "Good bye & thank you.", "Hangup")


def test_a_rejection_gives_its_reason():
    (verb,) = ET.fromstring(twiml.reject("rejected"))
    assert (verb.tag, verb.attrib) == ("Reject", {"reason": "rejected"})
