"""Warm transfers: a human is rung while the caller is on hold, hears what it is about, decides.

The caller waits in a conference, with the carrier's music, and is on nobody's conscience but
ours: whatever becomes of the human's call, one task per transfer brings the caller back to the
agent unless the human has accepted in time.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Final, Protocol
from urllib.parse import urlencode

import msgspec

from voice_server.errors import ServiceError
from voice_server.ports import CallId
from voice_server.twilio import twiml
from voice_server.twilio.address import BACK_PATH, CALL_FIELD, HUMAN_PATH, HUMAN_STATUS_PATH
from voice_server.twilio.http import TwilioUnavailable
from voice_server.twilio.resources import CarrierCall
from voice_server.twilio.rest import CallOrder

DECIDE_S: Final = 65.0  # ringing, the whisper and a moment to press a key
_LIMIT_S: Final = 4 * 3_600
_TRIES: Final = 5
_RETRY_FIRST_S: Final = 0.5
_CLOSE_LIMIT_S: Final = 5.0
_PAST: Final = 1_000

log = logging.getLogger(__name__)


class WarmOrder(msgspec.Struct, frozen=True):
    """Whom to bring into a call, and what to tell them first. Numbers are never logged."""

    call_id: CallId  # ours; names the conference
    carrier_call_id: str  # the caller's leg
    human: str  # E.164
    sender: str  # a number of the account, shown to the human
    whisper: str  # only the human hears it


class Switchboard(Protocol):
    """Who rings and moves people; `TwilioRest`."""

    async def create_call(self, order: CallOrder) -> CarrierCall: ...
    async def hang_up(self, call_sid: str) -> bool: ...
    async def redirect(self, call_sid: str, url: str) -> bool: ...
    async def run(self, call_sid: str, twiml: str) -> bool: ...


class _Ringing:
    """One transfer under way, or on the way back: `fetched` = the caller is on it."""

    __slots__ = ("accepted", "decided", "fetched", "human_id", "order")

    def __init__(self, order: WarmOrder) -> None:
        self.order = order
        self.human_id = ""
        self.accepted = False
        self.fetched = False
        self.decided = asyncio.Event()


class Transfers:
    """All warm transfers of a server. `public_url` is where webhooks reach us."""

    def __init__(
        self, carrier: Switchboard, public_url: str, *, decide_s: float = DECIDE_S
    ) -> None:
        self._carrier = carrier
        self._public_url = public_url.rstrip("/")
        self._decide_s = decide_s
        self._ringing: dict[CallId, _Ringing] = {}
        self._returning: set[_Ringing] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._past: deque[str] = deque(maxlen=_PAST)  # humans' legs that are over for us

    def begin(self, order: WarmOrder) -> str:
        """Ring the human, unless that is going on; returns the room where the caller waits."""
        if order.call_id not in self._ringing:
            ringing = self._ringing[order.call_id] = _Ringing(order)
            task = asyncio.ensure_future(self._see_through(ringing))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return _room(order.call_id)

    def whisper(self, call_id: CallId) -> str:
        """What to tell the human who has picked up; "" when nobody waits for them any more."""
        ringing = self._ringing.get(call_id)
        return ringing.order.whisper if ringing is not None else ""

    def accept(self, call_id: CallId) -> str:
        """The human takes the call: the room to go to, "" when it is too late."""
        ringing = self._ringing.get(call_id)
        if ringing is None:
            return ""
        ringing.accepted = True
        ringing.decided.set()
        return _room(call_id)

    def hung_up(self, call_id: CallId, human_id: str) -> None:
        """The human's call is over; without an acceptance the caller comes back."""
        ringing = self._ringing.get(call_id)
        if ringing is not None and human_id not in self._past:
            ringing.decided.set()

    def fetched(self, call_id: CallId) -> None:
        """The caller has come back from hold, whatever the carrier says of our asking for it."""
        for ringing in self._returning:
            ringing.fetched |= ringing.order.call_id == call_id

    async def close(self) -> None:
        """Let nobody wait for a server that is gone: callers on hold hear so."""
        waiting = [ringing for ringing in self._ringing.values() if not ringing.accepted]
        await asyncio.gather(*map(self._dismiss, waiting))
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _dismiss(self, ringing: _Ringing) -> None:
        with suppress(ServiceError, TimeoutError):
            async with asyncio.timeout(_CLOSE_LIMIT_S):
                await self._carrier.run(ringing.order.carrier_call_id, twiml.hang_up(_SORRY))
                if ringing.human_id:
                    await self._carrier.hang_up(ringing.human_id)

    async def _see_through(self, ringing: _Ringing) -> None:
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._decide_s):
                    if await self._ring(ringing):
                        await ringing.decided.wait()
        finally:  # from here on nobody can accept
            del self._ringing[ringing.order.call_id]
            self._past.append(ringing.human_id)
        if not ringing.accepted:
            await self._bring_back(ringing)

    async def _ring(self, ringing: _Ringing) -> bool:
        """Ring the human; False when that surely failed."""
        order = ringing.order
        try:
            human = await self._carrier.create_call(
                CallOrder(
                    to=order.human,
                    sender=order.sender,
                    url=self._url(HUMAN_PATH, order.call_id),
                    status_url=self._url(HUMAN_STATUS_PATH, order.call_id),
                    ring_s=twiml.RING_S,
                    limit_s=_LIMIT_S,
                )
            )
        except TwilioUnavailable as error:
            return error.sent  # their phone may ring, and they may accept
        except ServiceError as error:
            log.error("a human could not be rung", extra={"problem": str(error)})
            return False
        ringing.human_id = human.sid
        return True

    async def _bring_back(self, ringing: _Ringing) -> None:
        """Nobody took the call: the caller goes back to the agent, the human's phone stops."""
        self._returning.add(ringing)
        try:
            if not await self._insist(partial(self._fetch, ringing)):
                log.error("a caller stays on hold: the carrier does not answer")
        finally:
            self._returning.discard(ringing)
        if ringing.human_id:
            await self._insist(partial(self._carrier.hang_up, ringing.human_id))

    async def _fetch(self, ringing: _Ringing) -> None:
        """Fetch the caller, once: a second time would be away from the agent."""
        if ringing.fetched:
            return
        url = self._url(BACK_PATH, ringing.order.call_id)
        if not await self._carrier.redirect(ringing.order.carrier_call_id, url):
            log.info("a caller has hung up on hold")

    async def _insist(self, deed: Callable[[], Awaitable[object]]) -> bool:
        """Try until the carrier answers; False when it never does."""
        pause_s = _RETRY_FIRST_S
        for _ in range(_TRIES):
            try:
                await deed()
            except ServiceError as error:
                log.warning("the end of a transfer takes time", extra={"problem": str(error)})
                await asyncio.sleep(pause_s)
                pause_s *= 2
            else:
                return True
        return False

    def _url(self, path: str, call_id: CallId) -> str:
        return f"{self._public_url}{path}?{urlencode({CALL_FIELD: call_id})}"


_SORRY: Final = "We are sorry, nobody could take your call. Please try again later."


def _room(call_id: CallId) -> str:
    """Conference names are shared by the whole account, so ours are unique per call."""
    return f"transfer-{call_id}"
