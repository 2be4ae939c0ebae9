"""Reads a webhook off the wire, bounded in size and time, and lets only Twilio through."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import parse_qsl

import msgspec
from starlette.datastructures import FormData
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response

from voice_server.errors import Refused
from voice_server.telemetry import Metrics
from voice_server.twilio.signature import Gate
from voice_server.twilio.webhook import Answer, Fields

MAX_BODY: Final = 65_536  # bytes; Twilio's forms hold some forty short fields
_MAX_FIELDS: Final = 500
_READ_LIMIT_S: Final = 10.0

log = logging.getLogger(__name__)


class Inbox:
    """Wraps an `Answer` into a Starlette endpoint for signed GET, form and JSON requests."""

    __slots__ = ("_gate", "_metrics")

    def __init__(self, gate: Gate, metrics: Metrics) -> None:
        self._gate = gate
        self._metrics = metrics

    def endpoint(self, path: str, answer: Answer) -> Callable[[Request], Awaitable[Response]]:
        """The endpoint of one path."""

        async def serve(request: Request) -> Response:
            try:
                fields = await self._read(request, path)
                response = await answer(request.scope, fields)
            except Refused as refusal:
                result = "forged" if refusal.status == 403 else "unreadable"
                self._metrics.webhooks.labels(path, result).inc()
                log.warning("webhook refused", extra={"path": path, "status": refusal.status})
                return PlainTextResponse(str(refusal), status_code=refusal.status)
            self._metrics.webhooks.labels(path, "answered").inc()
            return response

        return serve

    async def _read(self, request: Request, path: str) -> Fields:
        signed: FormData | str | None
        if request.method == "GET":
            signed, fields = None, dict(request.query_params)
        elif _media_type(request) == "application/json":
            signed = await _text(request)
            fields = {}
        else:
            signed = _form(await _text(request))
            # The query is signed with the rest of the URL; ours names the call by our own id.
            fields = dict(request.query_params)
            fields |= {name: str(value) for name, value in signed.multi_items()}
        if not self._gate.admits_webhook(request.scope, path, signed):
            raise Refused("X-Twilio-Signature: missing or wrong", status=403)
        return _json_fields(signed) if isinstance(signed, str) else fields


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def _text(request: Request) -> str:
    body = bytearray()
    try:
        async with asyncio.timeout(_READ_LIMIT_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY:
                    raise Refused(f"body: longer than {MAX_BODY} bytes", status=413)
        return body.decode()
    except TimeoutError:
        raise Refused("body: did not arrive in time", status=408) from None
    except ClientDisconnect:
        raise Refused("body: cut short", status=400) from None
    except UnicodeDecodeError:
        raise Refused("body: not UTF-8", status=400) from None


def _form(text: str) -> FormData:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise Refused(f"body: more than {_MAX_FIELDS} fields", status=400) from None
    return FormData([(name, value) for name, value in pairs])


def _json_fields(text: str) -> Fields:
    try:
        document = msgspec.json.decode(text, type=dict[str, object])
    except (ValueError, RecursionError):
        raise Refused("body: not a JSON object", status=400) from None
    return {name: value for name, value in document.items() if isinstance(value, str)}
