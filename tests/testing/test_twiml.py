from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.twiml.voice_response import Connect, VoiceResponse

from voice_server.testing import twiml
from voice_server.testing.twiml import TwimlError

BASE = "https://h.example/twilio/voice?x=1"


def verbs(xml: str) -> tuple[twiml.Verb, ...]:
    return twiml.parse(f"<Response>{xml}</Response>".encode(), BASE).verbs


def test_the_sdk_s_own_output_is_understood():
    response = VoiceResponse()
    connect = Connect(action="/after")
    stream = connect.stream(url="wss://h.example/m", status_callback="https://h.example/s")
    stream.parameter(name="tenant", value='<a&"b">')
    response.append(connect)
    response.redirect("/next", method="GET")
    response.hangup()
    assert twiml.parse(str(response).encode(), BASE).verbs == (
        twiml.Stream(
            url="wss://h.example/m",
            parameters={"tenant": '<a&"b">'},
            status_callback="https://h.example/s",
            action="https://h.example/after",
            method="POST",
        ),
        twiml.Redirect("https://h.example/next", "GET"),
        twiml.Hangup(),
    )


@pytest.mark.parametrize(
    ("xml", "verb"),
    [
        ("<Say voice='x'> Hello </Say>", twiml.Say("Hello")),
        ("<Play>/a.wav</Play>", twiml.Play("https://h.example/a.wav")),
        ("<Pause/>", twiml.Pause(1.0)),
        ("<Pause length='7'/>", twiml.Pause(7.0)),
        ("<Pause length='soon'/>", twiml.Pause(1.0)),
        ("<Reject/>", twiml.Reject("rejected")),
        ("<Reject reason='busy'/>", twiml.Reject("busy")),
        ("<Dial>+15550001</Dial>", twiml.Dial(("+15550001",), "", "POST")),
        (
            "<Dial action='done' method='GET'><Number>+1</Number><Conference>c</Conference></Dial>",
            twiml.Dial(
                ("+1", "c"),
                "https://h.example/twilio/done",
                "GET",
                twiml.Conference("c", starts=True, ends=False),
            ),
        ),
    ],
)
def test_each_verb_is_read(xml, verb):
    assert verbs(xml) == (verb,)


def test_names_are_case_sensitive_and_unknown_verbs_are_skipped():
    document = twiml.parse(b"<Response><say>x</say><Dance/><Hangup/></Response>", BASE)
    assert document.verbs == (twiml.Hangup(),)
    assert [warning.split(":")[0] for warning in document.warnings] == ["12200", "12200"]


@pytest.mark.parametrize(
    ("stream", "url", "code"),
    [
        ("url='wss://h.example/m'", "wss://h.example/m", None),
        ("url='/m'", "wss://h.example/m", None),
        ("url='m'", "wss://h.example/twilio/m", None),
        ("url='ws://127.0.0.1:8080/m'", "ws://127.0.0.1:8080/m", None),
        ("url='ws://h.example/m'", "ws://h.example/m", 31922),
        ("url='https://h.example/m'", "https://h.example/m", 31922),
        ("url='wss://h.example/m?a=b'", "wss://h.example/m?a=b", 31920),
        ("url='wss:///m'", "wss:///m", 31923),
        ("url='wss://h.example:99999/m'", "wss://h.example:99999/m", 31923),
        ("url='wss://h.example:x/m'", "wss://h.example:x/m", 31923),
        ("url='wss://h.example/m' track='both_tracks'", "wss://h.example/m", 31941),
    ],
)
def test_stream_urls_follow_the_rules(stream, url, code):
    (verb,) = verbs(f"<Connect><Stream {stream}/></Connect>")
    assert verb.url == url
    assert (verb.complaint[0] if verb.complaint else None) == code


def test_a_parameter_must_be_shorter_than_500_characters():
    def complaint(size):
        (verb,) = verbs(
            "<Connect><Stream url='wss://h.example/m'>"
            f"<Parameter name='abcd' value='{'x' * size}'/></Stream></Connect>"
        )
        return verb.complaint

    assert complaint(495) is None
    assert complaint(496) is not None


def test_connect_without_a_stream_is_not_known():
    assert twiml.parse(b"<Response><Connect><Room/></Connect></Response>", BASE).verbs == ()


@pytest.mark.parametrize(
    ("body", "kind", "code"),
    [
        (b"<Response>", "text/xml", 12100),
        (b"<Answer/>", "text/xml", 12100),
        (b"", "application/xml", 12100),
        (b"{}", "application/json", 12300),
        (b"<Response/>", "", 12300),
        (b"<Response><Redirect>http://[</Redirect></Response>", "text/xml", 11100),
        (b"<Response>" + b" " * 65536 + b"</Response>", "text/xml", 11750),
    ],
)
def test_answers_that_are_not_twiml_are_refused_with_the_carrier_s_code(body, kind, code):
    with pytest.raises(TwimlError) as refused:
        twiml.parse_answer(body, kind, BASE)
    assert refused.value.code == code
    assert str(refused.value).startswith(str(code))


@pytest.mark.parametrize(
    ("body", "kind", "expected"),
    [
        (b"<Response/>", "text/xml; charset=utf-8", ()),
        (b"<Response><Hangup/></Response>", "text/html", (twiml.Hangup(),)),
        (b"<Response><Hangup/></Response>", "text/plain", (twiml.Hangup(),)),
        (b"We are closed.", "text/plain", (twiml.Say("We are closed."),)),
        (b"RIFF", "audio/wav", (twiml.Play(BASE), twiml.Hangup())),
    ],
)
def test_other_content_types_are_run_as_documented(body, kind, expected):
    assert twiml.parse_answer(body, kind, BASE).verbs == expected


@given(st.binary(max_size=60), st.sampled_from(["text/xml", "text/plain", "audio/x", "x"]))
def test_no_answer_makes_the_parser_fail_otherwise(body, kind):
    with suppress(TwimlError):
        twiml.parse_answer(body, kind, BASE)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.8.8", "::1"])
def test_loopback_hosts_are_known(host):
    assert twiml.is_loopback(host)
    assert not twiml.is_loopback(host + ".example.com") or host.startswith("127.")
