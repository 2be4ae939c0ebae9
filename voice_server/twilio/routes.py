"""The routes that Twilio talks to."""

from __future__ import annotations

import time
from collections.abc import Callable

from starlette.routing import BaseRoute, Route, WebSocketRoute

from voice_server.settings import Settings
from voice_server.telemetry import Metrics
from voice_server.twilio.address import (
    AFTER_PATH,
    AMD_PATH,
    BACK_PATH,
    HUMAN_PATH,
    HUMAN_STATUS_PATH,
    MEDIA_PATH,
    RECORDING_PATH,
    STATUS_PATH,
    VOICE_PATH,
    Address,
)
from voice_server.twilio.desk import Desk
from voice_server.twilio.inbox import Inbox
from voice_server.twilio.line import LEAD_S
from voice_server.twilio.media import START_LIMIT_S, MediaEndpoint
from voice_server.twilio.signature import Gate
from voice_server.twilio.tokens import MediaTokens
from voice_server.twilio.webhook import Webhooks


def routes(
    desk: Desk,
    settings: Settings,
    metrics: Metrics,
    *,
    clock: Callable[[], float] = time.monotonic,
    lead_s: float = LEAD_S,
    start_limit_s: float = START_LIMIT_S,
) -> list[BaseRoute]:
    """The webhooks and the media socket, wired to `desk`.

    `clock` (seconds) ages the media tokens. `lead_s` bounds how much unplayed speech lies at
    Twilio; `math.inf` for a phone that plays faster than real time. A stream has
    `start_limit_s` from its handshake to its `start`.
    """
    address = Address(settings.public_url)
    secret = settings.twilio_auth_token
    gate = Gate(
        address,
        secret.get_secret_value() if secret else None,
        insecure=settings.insecure_webhooks,
    )
    metrics.insecure_webhooks.set(settings.insecure_webhooks)
    tokens = MediaTokens(settings.token_ttl_s)
    media = MediaEndpoint(
        desk, gate, tokens, metrics, clock=clock, lead_s=lead_s, start_limit_s=start_limit_s
    )
    hooks = Webhooks(desk, address, tokens, metrics, clock=clock, drop_stream=media.drop)
    inbox = Inbox(gate, metrics)
    answers = (
        (VOICE_PATH, hooks.voice),
        (AFTER_PATH, hooks.after),
        (STATUS_PATH, hooks.status),
        (AMD_PATH, hooks.machine),
        (RECORDING_PATH, hooks.recording),
        (HUMAN_PATH, hooks.human),
        (HUMAN_STATUS_PATH, hooks.human_status),
        (BACK_PATH, hooks.back),
    )
    return [
        *(
            Route(path, inbox.endpoint(path, answer), methods=["GET", "POST"])
            for path, answer in answers
        ),
        WebSocketRoute(MEDIA_PATH, media),
    ]
