"""The few TwiML documents this server answers with."""

from __future__ import annotations

from typing import Final, Literal

from twilio.twiml.voice_response import Connect, Dial, VoiceResponse

CALL_PARAMETER: Final = "call"
TOKEN_PARAMETER: Final = "token"

_RING_S: Final = 25  # about five rings, which most mailboxes wait before they answer


def connect_stream(
    *, media_url: str, status_url: str, after_url: str, call_id: str, token: str
) -> str:
    """Open a two-way media stream, then ask `after_url` how to go on."""
    connect = Connect(action=after_url, method="POST")
    stream = connect.stream(url=media_url, status_callback=status_url)
    stream.parameter(name=CALL_PARAMETER, value=call_id)
    stream.parameter(name=TOKEN_PARAMETER, value=token)
    response = VoiceResponse()
    response.append(connect)
    return str(response)


def dial(number: str, *, after_url: str) -> str:
    """Ring a human, then ask `after_url` how to go on."""
    handover = Dial(action=after_url, method="POST", timeout=_RING_S)
    handover.number(number)
    response = VoiceResponse()
    response.append(handover)
    return str(response)


def conference(room: str, *, whisper: str = "", is_host: bool = True) -> str:
    """Enter a conference, after words that only this side hears.

    The host's coming starts it and anybody's leaving ends it: it is a call between two.
    """
    response = VoiceResponse()
    if whisper:
        response.say(whisper)
    entering = Dial()
    entering.conference(
        room,
        start_conference_on_enter=is_host,
        end_conference_on_exit=True,
        beep="false",
        max_participants=2,
    )
    response.append(entering)
    return str(response)


def hang_up(words: str = "") -> str:
    """Say `words`, if any, and end the call."""
    response = VoiceResponse()
    if words:
        response.say(words)
    response.hangup()
    return str(response)


def reject(reason: Literal["rejected", "busy"]) -> str:
    """Do not answer an inbound call: it is not billed. Twilio ignores this on other calls."""
    response = VoiceResponse()
    response.reject(reason=reason)
    return str(response)
