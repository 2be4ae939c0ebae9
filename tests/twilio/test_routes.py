from __future__ import annotations

import math

import pytest

from tests.twilio.carrier import CONNECTED, serving, settings, start
from tests.twilio.desk import FakeDesk
from voice_server.errors import ConfigurationError
from voice_server.telemetry import Metrics
from voice_server.twilio.line import LEAD_S, PIECE
from voice_server.twilio.routes import routes


def test_a_public_url_that_cannot_work_stops_the_start():
    with pytest.raises(ConfigurationError, match="VOICE_SERVER_PUBLIC_URL"):
        routes(FakeDesk(), settings(public_url="voice.example.com"), Metrics())


def test_the_metrics_tell_whether_signatures_are_checked():
    for insecure in (False, True):
        metrics = Metrics()
        routes(FakeDesk(), settings(insecure_webhooks=insecure), metrics)
        assert metrics.registry.get_sample_value("voice_server_insecure_webhooks") == insecure


async def test_a_token_lives_as_long_as_the_settings_say():
    async with serving(settings(token_ttl_s=5)) as edge:
        parameters = await edge.ring()
        edge.clock.now += 5
        async with edge.socket() as phone:
            await phone.says(CONNECTED, start(parameters))
            assert await phone.closed() == 1008


async def test_a_phone_that_plays_fast_may_have_all_speech_at_once():
    async with serving(settings(), lead_s=math.inf) as edge, edge.talking() as (phone, call):
        pieces = int(LEAD_S * 2 * 8_000 / PIECE)
        call.line.play(bytes(PIECE * pieces))
        call.line.mark("end")
        frames = [await phone.hears() for _ in range(pieces + 1)]
        assert frames[-1]["event"] == "mark"


async def test_only_the_methods_twilio_uses_are_open():
    async with serving(settings()) as edge:
        assert (await edge.send("PUT", "/twilio/voice")).status_code == 405
        assert (await edge.send("GET", "/twilio/media")).status_code == 404
