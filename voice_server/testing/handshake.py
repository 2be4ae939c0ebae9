"""Opens a media socket with exactly the headers Twilio sends."""

from __future__ import annotations

import ssl
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake

from voice_server.testing import twiml
from voice_server.testing.webhook import Route, Signing, signature_header

_MESSAGE_LIMIT = 16 * 1024 * 1024
_HANDSHAKE_S = 10.0
_CLOSE_S = 5.0


async def shake_hands(
    stream: twiml.Stream, auth_token: str, signing: Signing, route: Route
) -> ClientConnection:
    """Open the socket of a `<Stream>`. Raises TwimlError with Twilio's stream error code."""
    if stream.complaint is not None:
        code, reason = stream.complaint
        raise twiml.TwimlError(code, f"{code}: {reason}")
    # Twilio signs the wss URL of the TwiML as it stands, without parameters.
    headers = signature_header(auth_token, stream.url, {}, signing, name="x-twilio-signature")
    target, where = _target(stream.url, route)
    try:
        return await connect(
            target,
            compression=None,
            user_agent_header="Twilio.TmeWs/1.0",
            additional_headers=headers,
            open_timeout=_HANDSHAKE_S,
            close_timeout=_CLOSE_S,
            ping_interval=None,
            max_size=_MESSAGE_LIMIT,
            proxy=None,
            **where,
        )
    except InvalidHandshake as error:
        raise twiml.TwimlError(31920, f"31920: handshake refused ({error})") from None
    except TimeoutError:
        raise twiml.TwimlError(31901, "31901: no response to the handshake") from None
    except ssl.SSLError as error:
        raise twiml.TwimlError(31910, f"31910: TLS failed ({error.reason})") from None
    except OSError as error:
        raise twiml.TwimlError(31902, f"31902: {type(error).__name__}") from None


def _target(url: str, route: Route) -> tuple[str, dict[str, Any]]:
    """The URL to open and, when its host is routed, the address to open it at."""
    address = route.address(url)
    if address is None:
        return url, {}
    host, _, port = address.rpartition(":")
    return url.replace("wss:", "ws:", 1), {"host": host.strip("[]"), "port": int(port)}
