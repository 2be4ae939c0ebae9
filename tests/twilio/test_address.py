from __future__ import annotations

import pytest

from voice_server.errors import ConfigurationError
from voice_server.twilio.address import MEDIA_PATH, VOICE_PATH, Address

ANYWHERE = {"server": ("10.0.0.7", 8080), "headers": [(b"host", b"evil.example.com")]}


@pytest.mark.parametrize(
    ("public_url", "http", "socket"),
    [
        ("https://v.example.com", "https://v.example.com", "wss://v.example.com"),
        ("https://v.example.com/", "https://v.example.com", "wss://v.example.com"),
        ("https://v.example.com:443", "https://v.example.com", "wss://v.example.com"),
        ("https://v.example.com:8443", "https://v.example.com:8443", "wss://v.example.com:8443"),
        ("https://v.example.com/a/b/", "https://v.example.com/a/b", "wss://v.example.com/a/b"),
        ("http://v.example.com:80", "http://v.example.com", "ws://v.example.com"),
        ("http://127.0.0.1:4430", "http://127.0.0.1:4430", "ws://127.0.0.1:4430"),
    ],
)
def test_urls_come_from_the_configured_one_whatever_the_host_header_says(public_url, http, socket):
    address = Address(public_url)
    assert address.http(ANYWHERE, VOICE_PATH) == http + "/twilio/voice"
    assert address.socket(ANYWHERE, MEDIA_PATH) == socket + "/twilio/media"


@pytest.mark.parametrize(
    ("server", "http"),
    [
        (("127.0.0.1", 5), "http://127.0.0.1:5/twilio/voice"),
        (("::1", 5), "http://[::1]:5/twilio/voice"),
    ],
)
def test_without_a_public_url_the_listening_socket_is_the_address(server, http):
    assert Address("").http({"server": server}, VOICE_PATH) == http


@pytest.mark.parametrize(
    "public_url",
    [
        "voice.example.com",
        "wss://v.example.com",
        "https://",
        "https://v.example.com/?a=1",
        "https://v/#f",
    ],
)
def test_a_public_url_that_twilio_could_not_use_is_refused_at_start(public_url):
    with pytest.raises(ConfigurationError, match="VOICE_SERVER_PUBLIC_URL"):
        Address(public_url)
