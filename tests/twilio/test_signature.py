from __future__ import annotations

import hashlib
import hmac
import logging
from base64 import b64encode

import pytest
from starlette.datastructures import FormData

from voice_server.twilio.address import Address
from voice_server.twilio.signature import Gate

# Test vectors of Twilio's own documentation and library, made with this token.
TOKEN = "12345"
FORM = FormData(
    {
        "CallSid": "CA1234567890ABCDE",
        "Caller": "+14158675310",
        "Digits": "1234",
        "From": "+14158675310",
        "To": "+18005551212",
    }
)


def gate(public_url: str, *, token: str | None = TOKEN, insecure: bool = False) -> Gate:
    return Gate(Address(public_url), token, insecure=insecure)


def scope(
    signature: str | None = None,
    *,
    query: bytes = b"",
    client: tuple[str, int] | None = ("203.0.113.9", 40000),
    **headers: str,
) -> dict[str, object]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if signature is not None:
        named["x-twilio-signature"] = signature
    return {
        "headers": [(name.encode(), value.encode()) for name, value in named.items()],
        "query_string": query,
        "client": client,
        "server": ("127.0.0.1", 8080),
    }


def test_a_signed_form_is_let_in():
    request = scope("GvWf1cFY/Q7PnoempGyD5oXAezc=", query=b"foo=1&bar=2")
    assert gate("https://mycompany.com").admits_webhook(request, "/myapp.php", FORM)


@pytest.mark.parametrize(
    ("public_url", "query", "form"),
    [
        ("https://mycompany.com", b"foo=1&bar=3", FORM),
        ("https://mycompany.com", b"bar=2&foo=1", FORM),
        ("http://mycompany.com", b"foo=1&bar=2", FORM),
        ("https://other.com", b"foo=1&bar=2", FORM),
        ("https://mycompany.com", b"foo=1&bar=2", FormData({**FORM, "Digits": "1235"})),
        ("https://mycompany.com", b"foo=1&bar=2", FormData({**FORM, "Extra": ""})),
        ("https://mycompany.com", b"foo=1&bar=2", None),
    ],
)
def test_a_signature_over_anything_else_is_refused(public_url, query, form):
    request = scope("GvWf1cFY/Q7PnoempGyD5oXAezc=", query=query)
    assert not gate(public_url).admits_webhook(request, "/myapp.php", form)


@pytest.mark.parametrize("signature", [None, "", "x", "GvWf1cFY/Q7PnoempGyD5oXAezc", "\xe9" * 28])
def test_a_missing_or_mangled_signature_is_refused_without_fuss(signature):
    request = scope(signature, query=b"foo=1&bar=2")
    assert not gate("https://mycompany.com").admits_webhook(request, "/myapp.php", FORM)


def test_a_get_is_signed_over_its_query_as_sent():
    request = scope("RiIzraGB7iN7Gu+OyIyfnQGzIYo=", query=b"CallSid=CA1&From=%2B1")
    assert gate("https://h").admits_webhook(request, "/x", None)
    request["query_string"] = b"CallSid=CA1&From=+1"
    assert not gate("https://h").admits_webhook(request, "/x", None)


def test_a_handshake_is_signed_over_its_wss_url():
    request = scope("PGLrn08/Ba1sEIuSwPQRBPD54PA=")
    assert gate("https://voice.example.com").admits_socket(request, "/twilio/media")
    assert not gate("https://voice.example.com").admits_socket(request, "/twilio/other")
    assert not gate("https://voice.example.com").admits_socket(scope(), "/twilio/media")


def test_repeated_form_fields_are_all_signed():
    form = FormData([("Event", "b"), ("Event", "a"), ("Event", "b")])
    assert gate("https://h").admits_webhook(scope(_sha1("https://h/xEventaEventb")), "/x", form)


def test_a_json_body_is_bound_by_its_hash_in_the_url():
    body = '{"CallSid":"CA1"}'
    query = "bodySHA256=" + hashlib.sha256(body.encode()).hexdigest()
    request = scope(_sha1(f"https://h/x?{query}"), query=query.encode())
    assert gate("https://h").admits_webhook(request, "/x", body)
    assert not gate("https://h").admits_webhook(request, "/x", body + " ")


def test_a_json_body_without_its_hash_in_the_url_is_bound_by_nothing():
    assert not gate("https://h").admits_webhook(scope(_sha1("https://h/x")), "/x", "{}")


def test_a_header_cannot_choose_the_algorithm():
    request = scope(
        "/Px0ZZziCxf9Zt7wehmYS+fbCh+oLQi2VrfCqcV1vPM=",
        query=b"foo=1&bar=2",
        x_twilio_webhooks_signature_settings="key=k,algorithm=HMAC_SHA256",
    )
    assert not gate("https://mycompany.com").admits_webhook(request, "/myapp.php", FORM)


@pytest.mark.parametrize("client", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])
def test_the_development_switch_opens_the_door_to_this_machine(client):
    unsigned = scope(client=(client, 1))
    assert gate("", token=None, insecure=True).admits_webhook(unsigned, "/x", FORM)
    assert gate("", token=None, insecure=True).admits_webhook(unsigned, "/x", "{}")
    assert gate("", token=None, insecure=True).admits_socket(unsigned, "/x")


@pytest.mark.parametrize(
    "request_scope",
    [
        scope(client=("203.0.113.9", 1)),
        scope(client=("::ffff:203.0.113.9", 1)),
        scope(client=("not an address", 1)),
        scope(client=None),
        scope(client=("127.0.0.1", 1), x_forwarded_for="203.0.113.9"),
        scope(client=("127.0.0.1", 1), forwarded="for=203.0.113.9"),
        scope(client=("127.0.0.1", 1), x_real_ip="203.0.113.9"),
    ],
)
def test_the_development_switch_opens_it_to_nobody_else(request_scope):
    for token in (None, TOKEN):
        door = gate("", token=token, insecure=True)
        assert not door.admits_webhook(request_scope, "/x", FORM)
        assert not door.admits_socket(request_scope, "/x")


def test_with_the_switch_on_others_still_get_in_with_a_signature():
    door = gate("https://mycompany.com", insecure=True)
    request = scope("GvWf1cFY/Q7PnoempGyD5oXAezc=", query=b"foo=1&bar=2")
    assert door.admits_webhook(request, "/myapp.php", FORM)


def test_the_switch_is_announced_loudly_and_only_when_on(caplog):
    gate("https://h")
    assert caplog.records == []
    gate("https://h", insecure=True)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def _sha1(text: str) -> str:
    return b64encode(hmac.new(TOKEN.encode(), text.encode(), hashlib.sha1).digest()).decode()
