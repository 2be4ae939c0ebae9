from __future__ import annotations

import httpx
import pytest
from starlette.responses import RedirectResponse, Response
from twilio.request_validator import RequestValidator

from tests.testing.network import PUBLIC, TOKEN, Network
from voice_server.testing import run, sign
from voice_server.testing.webhook import Route, Signing, WebhookClient, signature_header


@pytest.mark.parametrize(
    ("url", "form", "signature"),
    [
        (
            "https://mycompany.com/myapp.php?foo=1&bar=2",
            {
                "CallSid": "CA1234567890ABCDE",
                "Caller": "+14158675310",
                "Digits": "1234",
                "From": "+14158675310",
                "To": "+18005551212",
            },
            "GvWf1cFY/Q7PnoempGyD5oXAezc=",
        ),
        ("https://h/x?CallSid=CA1&From=%2B1", {}, "RiIzraGB7iN7Gu+OyIyfnQGzIYo="),
        ("wss://voice.example.com/twilio/media", {}, "PGLrn08/Ba1sEIuSwPQRBPD54PA="),
    ],
)
def test_signatures_are_those_of_the_carrier_s_own_library(url, form, signature):
    assert sign("12345", url, form) == signature
    assert RequestValidator("12345").validate(url, form, signature)


def test_a_wrong_signature_is_wrong_and_a_missing_one_is_missing():
    right = signature_header(TOKEN, "https://h/x", {}, Signing.CORRECT)
    wrong = signature_header(TOKEN, "https://h/x", {}, Signing.WRONG)
    assert right.keys() == wrong.keys()
    assert right != wrong
    assert signature_header(TOKEN, "https://h/x", {}, Signing.MISSING) == {}


def test_only_routed_hosts_are_routed():
    route = Route({"a.example": "127.0.0.1:8080"})
    assert route.http("https://a.example/x?y=1") == "http://127.0.0.1:8080/x?y=1"
    assert route.http("https://a.example") == "http://127.0.0.1:8080/"
    assert route.http("https://b.example/x") == "https://b.example/x"


def exchange(pages, *sends):
    """Send requests to a server with the given pages."""

    async def main():
        async with Network(**pages).up() as network:
            route = Route({"voice.example.com": network.address})
            async with WebhookClient(TOKEN, route) as client:
                answers = [
                    await client.send(PUBLIC + path, form, **how) for path, form, how in sends
                ]
        return network, answers

    return run(main())


def test_posts_are_form_encoded_and_signed_over_the_public_url():
    form = {"From": "+1 202", "Odd": "ä&="}
    network, (answer,) = exchange({}, ("/voice?a=%20b", form, {}))
    assert network.requests == [("voice", form)]
    assert not network.forged
    assert (answer.status, answer.url) == (200, PUBLIC + "/voice?a=%20b")


def test_gets_carry_the_form_in_the_query():
    network, (answer,) = exchange({}, ("/voice", {"From": "+1"}, {"method": "GET"}))
    assert not network.forged
    assert answer.url == PUBLIC + "/voice?From=%2B1"


@pytest.mark.parametrize("signing", [Signing.WRONG, Signing.MISSING])
def test_badly_signed_requests_reach_the_server_and_are_refused(signing):
    network, (answer,) = exchange({}, ("/voice", {}, {"signing": signing}))
    assert answer.status == 403
    assert network.forged == ["voice"]


@pytest.mark.parametrize(("status", "kept"), [(302, {}), (303, {}), (307, {"From": "+1"})])
def test_redirects_are_followed_and_signed_anew(status, kept):
    moved = RedirectResponse("/there", status)
    network, (answer,) = exchange({"voice": moved}, ("/voice#rc=2", {"From": "+1"}, {}))
    assert network.requests == [("voice", {"From": "+1"}), ("there", kept)]
    assert answer.url == PUBLIC + "/there"


def test_redirects_in_a_circle_end():
    with pytest.raises(httpx.TooManyRedirects, match="11215"):
        exchange({"voice": RedirectResponse("/voice", 307)}, ("/voice", {}, {}))


def test_cookies_are_kept_for_the_call():
    page = Response("<Response/>", media_type="text/xml")
    page.set_cookie("call", "7", domain=None)
    _, answers = exchange({"voice": page}, ("/voice", {}, {}), ("/voice", {}, {}))
    assert [answer.status for answer in answers] == [200, 200]


@pytest.mark.parametrize("url", ["http://[", "http://h:port/x", "ftp://h/x", "nonsense"])
def test_urls_that_cannot_be_requested_are_http_errors(url):
    async def main():
        async with WebhookClient(TOKEN, Route()) as client:
            await client.send(url, {})

    with pytest.raises(httpx.HTTPError):
        run(main())
