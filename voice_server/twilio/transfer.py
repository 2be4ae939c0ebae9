"""Puts a live call through to a human: blind by `<Dial>`, or warm through a conference.

A warm transfer rings the human first, while the caller still talks to the agent. Who picks up
hears the whisper and is in the conference; only then is the caller moved there. Nobody who does
not answer costs the caller anything: the call with the agent goes on.
"""

from __future__ import annotations

from typing import Final

import msgspec

from voice_server.twilio import twiml
from voice_server.twilio.resources import CarrierCall
from voice_server.twilio.rest import CallOrder, TwilioRest

_LIMIT_S: Final = 4 * 3_600
RING_S: Final = 25


class WarmOrder(msgspec.Struct, frozen=True):
    """Whom to bring into a call, and what to tell them first. Numbers are never logged."""

    call_id: str  # ours; names the conference
    carrier_call_id: str  # the caller's leg
    human: str  # E.164
    sender: str  # a number of the account, shown to the human
    whisper: str  # only the human hears it
    status_url: str  # told how the human's leg goes: `answered` is when to `join`


class Transfers:
    """Transfers on one account; every method raises `ServiceError`."""

    def __init__(self, rest: TwilioRest) -> None:
        self._rest = rest

    async def blind(self, carrier_call_id: str, number: str, *, after_url: str) -> bool:
        """Take the caller off the agent and ring a human; False when the call is over.

        `after_url` is asked how to go on when the human has hung up, or did not answer.
        """
        return await self._rest.run(carrier_call_id, twiml.dial(number, after_url=after_url))

    async def ring_human(self, order: WarmOrder) -> CarrierCall:
        """Ring the human; the caller notices nothing. `cancel` or `join` comes next."""
        return await self._rest.create_call(
            CallOrder(
                to=order.human,
                sender=order.sender,
                twiml=twiml.conference(_room(order.call_id), whisper=order.whisper),
                status_url=order.status_url,
                ring_s=RING_S,
                limit_s=_LIMIT_S,
            )
        )

    async def join(self, order: WarmOrder) -> bool:
        """Move the caller to the human, who is in the conference; False when the call is over."""
        return await self._rest.run(
            order.carrier_call_id, twiml.conference(_room(order.call_id), is_host=False)
        )

    async def cancel(self, human_call_id: str) -> bool:
        """Stop ringing the human, or end their leg; False when it was over already."""
        return await self._rest.hang_up(human_call_id)


def _room(call_id: str) -> str:
    """Conference names are shared by the whole account, so ours are unique per call."""
    return f"transfer-{call_id}"
