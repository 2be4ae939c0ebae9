"""The few TwiML documents this server answers with."""

from __future__ import annotations

from typing import Final, Literal

from twilio.twiml.voice_response import Connect, Dial, Gather, VoiceResponse

CALL_PARAMETER: Final = "call"
TOKEN_PARAMETER: Final = "token"

RING_S: Final = 25  # about five rings, which most mailboxes wait before they answer
_DECIDE_S: Final = 8  # for a key, after the whisper

NOBODY: Final = "We are sorry, nobody could take your call. Please try again later."


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


def dial(number: str, *, after_url: str, status_url: str) -> str:
    """Ring a human, then ask `after_url` how to go on; `status_url` hears of the human's leg."""
    handover = Dial(action=after_url, method="POST", timeout=RING_S)
    handover.number(
        number,
        status_callback=status_url,
        status_callback_event="answered completed",
        status_callback_method="POST",
    )
    response = VoiceResponse()
    response.append(handover)
    return str(response)


def hold(room: str, *, after_url: str) -> str:
    """Wait in a conference, to the carrier's music, for a human to come.

    Ask `after_url` how to go on when they have left.
    """
    return _conference(room, is_host=False, action=after_url, method="POST")


def join(room: str, *, after_url: str) -> str:
    """Take the caller who waits in a conference; `after_url` is asked when that is over."""
    return _conference(room, is_host=True, action=after_url, method="POST")


def whisper(text: str, *, accept_url: str) -> str:
    """Say what only the human hears; `accept_url` is told of the key they press."""
    response = VoiceResponse()
    asking = Gather(action=accept_url, method="POST", num_digits=1, timeout=_DECIDE_S)
    asking.say(text)
    response.append(asking)
    response.hangup()
    return str(response)


def _conference(room: str, *, is_host: bool, **options: str) -> str:
    """A call between two: the host's coming starts it, anybody's leaving ends it."""
    entering = Dial(**options)
    entering.conference(
        room,
        start_conference_on_enter=is_host,
        end_conference_on_exit=True,
        beep="false",
        max_participants=2,
    )
    response = VoiceResponse()
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
