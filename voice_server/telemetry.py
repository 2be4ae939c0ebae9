"""What operators see: counters for machines, log lines for people, no caller data in either."""

from __future__ import annotations

import logging
import re
import sys
from functools import partial
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_PHONE: Final = re.compile(r"\+\d{5,15}\b")
_STANDARD: Final = frozenset(
    {*vars(logging.LogRecord("", 0, "", 0, "", (), None)), "message", "asctime", "taskName",
     "color_message"}
)  # fmt: skip
_HIDDEN: Final = frozenset(
    {
        "audio", "authorization", "body", "called_number", "caller_number", "from_number",
        "key", "number", "password", "payload", "prompt", "secret", "text", "to_number",
        "token", "transcript",
    }
)  # fmt: skip


class EngineMetrics:
    """How engines do, by provider ("local" is this machine) and by what the engine is for."""

    def __init__(self, registry: CollectorRegistry) -> None:
        counter, gauge = partial(Counter, registry=registry), partial(Gauge, registry=registry)
        labels = ["provider", "engine"]
        self.failures = counter(
            "voice_server_engine_failures",
            "Requests that failed: unavailable, rejected (quota, content), key_refused, bug.",
            [*labels, "kind"],
        )
        self.hedges = counter(
            "voice_server_engine_hedges", "Requests made because another engine was slow.", labels
        )
        self.fallbacks = counter(
            "voice_server_engine_fallbacks",
            "Times that an engine worked in place of one that goes before it.",
            labels,
        )
        self.resting = gauge(
            "voice_server_engines_resting",
            "Accounts that are left alone after failures, until an answer comes.",
            labels,
        )


class MirrorMetrics:
    """How live calls get into Firebase. Any thread may count."""

    def __init__(self, registry: CollectorRegistry) -> None:
        counter, gauge = partial(Counter, registry=registry), partial(Gauge, registry=registry)
        self.writes = counter(
            "voice_server_mirror_writes",
            "Requests to Firebase by result: written, refused, unavailable.",
            ["result"],
        )
        self.dropped = counter(
            "voice_server_mirror_dropped", "States of calls that found no room to wait in."
        )
        self.lag_seconds = Histogram(
            "voice_server_mirror_lag_seconds",
            "From a call's oldest news that is not shown until it is.",
            buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300),
            registry=registry,
        )
        self.calls_waiting = gauge(
            "voice_server_mirror_calls_waiting", "Calls with news that is not shown yet."
        )
        self.finals_waiting = gauge(
            "voice_server_mirror_finals_waiting", "Last states of ended calls that wait on disk."
        )


class Metrics:
    """Every metric of one server, on a registry of its own so that servers can share a process."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        counter, gauge = partial(Counter, registry=registry), partial(Gauge, registry=registry)
        self.engines = EngineMetrics(registry)
        self.mirror = MirrorMetrics(registry)
        self.webhooks = counter(
            "voice_server_webhooks",
            "Webhooks by path and result: answered, forged (bad signature), unreadable.",
            ["path", "result"],
        )
        self.calls_refused = counter(
            "voice_server_calls_refused",
            "Calls turned away, by the HTTP status that names the reason.",
            ["status"],
        )
        self.calls_admitted = counter("voice_server_calls_admitted", "Calls taken.")
        self.calls_ended = counter(
            "voice_server_calls_ended", "Calls over, by outcome.", ["outcome"]
        )
        self.live_calls = gauge("voice_server_live_calls", "Calls live now.")
        self.rows_waiting = gauge("voice_server_rows_waiting", "Rows not yet in the database.")
        self.status_callbacks = counter(
            "voice_server_status_callbacks",
            "Status callbacks: news, or why they changed nothing.",
            ["result"],
        )
        self.stream_events = counter(
            "voice_server_stream_events",
            "What the carrier reported on media streams, with its error code.",
            ["event", "code"],
        )
        self.live_streams = gauge("voice_server_live_streams", "Media streams open now.")
        self.media_refused = counter(
            "voice_server_media_refused",
            "Media sockets turned away before any audio, by reason.",
            ["reason"],
        )
        self.media_problems = counter(
            "voice_server_media_problems",
            "Media messages that could not be used, by problem.",
            ["problem"],
        )
        self.media_frames = counter(
            "voice_server_media_frames", "Audio frames heard; added when a stream ends."
        )
        self.media_sent_bytes = counter(
            "voice_server_media_sent_bytes",
            "Bytes of speech sent to callers; added when a stream ends.",
        )
        self.insecure_webhooks = gauge(
            "voice_server_insecure_webhooks",
            "1 while unsigned webhooks from this machine are accepted.",
        )

    def render(self) -> bytes:
        """The metrics in Prometheus' text format."""
        return generate_latest(self.registry)


class PlainFormatter(logging.Formatter):
    """`time level logger: message key=value ...`, with private values taken out.

    Fields given as `extra` are printed unless their name says that they are private; anything
    shaped like an international phone number is masked wherever it stands, tracebacks too.
    """

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The line with its fields."""
        fields = [
            f" {name}={'[hidden]' if name in _HIDDEN else value}"
            for name, value in sorted(vars(record).items())
            if name not in _STANDARD
        ]
        return super().formatMessage(record) + "".join(fields)

    def format(self, record: logging.LogRecord) -> str:
        """The whole entry, masked."""
        return redact(super().format(record))


def redact(text: str) -> str:
    """Mask phone numbers but for their last two digits."""
    return _PHONE.sub(lambda found: "+***" + found.group()[-2:], text)


def configure_logging(level: str) -> None:
    """Send the logs of this process to stderr; repeats replace the former set-up."""
    output = logging.StreamHandler(sys.stderr)
    output.setFormatter(PlainFormatter())
    root = logging.getLogger()
    root.handlers[:] = [output]
    root.setLevel(level.upper())
    # uvicorn's access lines hold query strings, where GET webhooks carry phone numbers.
    logging.getLogger("uvicorn.access").disabled = True
