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
    (dial,) = ET.fromstring(twiml.dial("+14155550100", after_url="https://h/twilio/after"))
    assert dial.tag == "Dial"
    assert dial.attrib["action"] == "https://h/twilio/after"
    assert [(node.tag, node.text) for node in dial] == [("Number", "+14155550100")]


def test_hanging_up_may_have_last_words():
    assert [node.tag for node in ET.fromstring(twiml.hang_up())] == ["Hangup"]
    said, hangup = ET.fromstring(twiml.hang_up("Good bye & thank you."))
    assert (said.tag, said.text, hangup.tag) == ("Say", "Good bye & thank you.", "Hangup")


def test_a_rejection_gives_its_reason():
    (verb,) = ET.fromstring(twiml.reject("rejected"))
    assert (verb.tag, verb.attrib) == ("Reject", {"reason": "rejected"})
