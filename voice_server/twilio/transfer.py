"""Warm transfers: a human is rung while the caller is on hold, hears what it is about, decides.

The caller waits in a conference, with the carrier's music, and is on nobody's conscience but
ours: whatever becomes of the human's call, one task per transfer brings the caller back to the
agent unless a human has accepted in time. Carrier's news may reach another process: what that one
has noted in the book counts as if it had come here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Final, Protocol

import msgspec

from voice_server.errors import ServiceError
from voice_server.ports import CallId
from voice_server.twilio import twiml
from voice_server.twilio.address import (
    BACK_PATH,
    HUMAN_PATH,
    HUMAN_STATUS_PATH,
    of_attempt,
    of_seat,
)
from voice_server.twilio.desk import Attempt, Seat, Standing
from voice_server.twilio.http import TwilioUnavailable
from voice_server.twilio.resources import CarrierCall
from voice_server.twilio.rest import CallOrder

DECIDE_S: Final = 65.0  # ringing, the whisper and a moment to press a key
_LIMIT_S: Final = 4 * 3_600
_TRIES: Final = 5
_RETRY_FIRST_S: Final = 0.5
_SORRY_LIMIT_S: Final = 5.0
_LOOK_S: Final = 1.0  # how long another process's news may wait

log = logging.getLogger(__name__)


class WarmOrder(msgspec.Struct, frozen=True):
    """Whom to bring into a call, and what to tell them first. Numbers are never logged."""

    seat: Seat  # the caller's
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


class Book(Protocol):
    """What all processes know of attempts. Never raises, for an hour without it must do."""

    async def rung(self, attempt: Attempt, human_id: str) -> None:
        """The human's leg is known."""

    async def standing(self, attempt: Attempt) -> Standing:
        """What others know; `RINGING` where they know nothing."""

    async def moved(self, attempt: Attempt, to: Standing, *, otherwise: Standing) -> Standing:
        """Note what has become of an attempt; returns what stands, `otherwise` = nobody knows."""


class _Ringing:
    """One transfer under way, or on the way back.

    `listening`: the human hears the whisper. `decided`: nobody can accept any more, or somebody
    has. `fetched`: the caller is on the way back. `dismissed`: they were told that it is over.
    """

    __slots__ = (
        *("accepted", "decided", "dismissed", "fetched"),
        *("human_id", "listening", "order", "tell"),
    )

    def __init__(self, order: WarmOrder, tell: Callable[[Standing], None]) -> None:
        self.order = order
        self.tell = tell
        self.human_id = ""
        self.listening = False
        self.accepted = False
        self.fetched = False
        self.dismissed = False
        self.decided = asyncio.Event()


class Transfers:
    """All warm transfers of a server. `public_url` is where webhooks reach us."""

    def __init__(
        self, carrier: Switchboard, public_url: str, book: Book, *, decide_s: float = DECIDE_S
    ) -> None:
        self._carrier = carrier
        self._public_url = public_url.rstrip("/")
        self._book = book
        self._decide_s = decide_s
        self._ringing: dict[Attempt, _Ringing] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, order: WarmOrder, tell: Callable[[Standing], None]) -> None:
        """Ring the human, unless that is going on.

        `tell` hears that somebody has `TAKEN` the call or that the caller is `GONE`; that
        nobody took it the caller's coming back tells.
        """
        attempt = order.seat.attempt
        if attempt not in self._ringing:
            ringing = self._ringing[attempt] = _Ringing(order, tell)
            task = asyncio.ensure_future(self._see_through(ringing))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def whisper(self, attempt: Attempt) -> str:
        """What to tell the human who has picked up; "" when nobody waits for them here."""
        ringing = self._ringing.get(attempt)
        if ringing is None or ringing.decided.is_set():
            return ""
        ringing.listening = True
        return ringing.order.whisper

    async def accept(self, attempt: Attempt) -> bool:
        """The human takes the call; False when it is too late. May be asked twice."""
        ringing = self._ringing.get(attempt)
        if ringing is None or (ringing.decided.is_set() and not ringing.accepted):
            taken = await self._book.moved(attempt, Standing.TAKEN, otherwise=Standing.MISSED)
            return taken is Standing.TAKEN
        ringing.accepted = True
        standing = await self._book.moved(attempt, Standing.TAKEN, otherwise=Standing.TAKEN)
        ringing.accepted = standing is Standing.TAKEN
        ringing.decided.set()
        ringing.tell(standing)
        return ringing.accepted

    def hung_up(self, attempt: Attempt) -> None:
        """The human's call is over, or the caller's; without an acceptance that is the end."""
        if (ringing := self._ringing.get(attempt)) is not None:
            ringing.decided.set()

    def fetched(self, attempt: Attempt) -> None:
        """The caller has come back from hold, whatever the carrier says of our asking for it."""
        if (ringing := self._ringing.get(attempt)) is not None:
            ringing.fetched = True

    async def dismiss(self, call_id: CallId, *, patience_s: float) -> WarmOrder | None:
        """The server closes: tell a caller on hold that nobody comes, and end their call.

        A human who hears the whisper has `patience_s` to take it. Returns what was ordered for
        the caller, None when they are not on hold, or not any more.
        """
        here = (r for r in self._ringing.values() if r.order.seat.attempt.call_id == call_id)
        if (ringing := next(here, None)) is None:
            return None
        ringing.dismissed = True
        if ringing.listening:
            with suppress(TimeoutError):
                async with asyncio.timeout(patience_s):
                    await ringing.decided.wait()
        ringing.decided.set()
        if ringing.accepted or not await self._missed(ringing):
            return None
        with suppress(ServiceError, TimeoutError):
            async with asyncio.timeout(_SORRY_LIMIT_S):
                await self._carrier.run(ringing.order.carrier_call_id, twiml.hang_up(twiml.NOBODY))
                if ringing.human_id:
                    await self._carrier.hang_up(ringing.human_id)
        return ringing.order

    async def close(self) -> None:
        """Look after nobody any more."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _see_through(self, ringing: _Ringing) -> None:
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._decide_s):
                    if await self._ring(ringing):
                        await self._decision(ringing)
            ringing.decided.set()
            if not (ringing.accepted or ringing.dismissed) and await self._missed(ringing):
                await self._bring_back(ringing)
        finally:
            del self._ringing[ringing.order.seat.attempt]

    async def _ring(self, ringing: _Ringing) -> bool:
        """Ring the human; False when that surely failed."""
        order, attempt = ringing.order, ringing.order.seat.attempt
        try:
            human = await self._carrier.create_call(
                CallOrder(
                    to=order.human,
                    sender=order.sender,
                    url=of_attempt(self._public_url + HUMAN_PATH, attempt),
                    status_url=of_attempt(self._public_url + HUMAN_STATUS_PATH, attempt),
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
        await self._book.rung(attempt, human.sid)
        return True

    async def _decision(self, ringing: _Ringing) -> None:
        """Wait until it is decided, here or in another process."""
        while not ringing.decided.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await ringing.decided.wait()
                    return
            if await self._book.standing(ringing.order.seat.attempt) is not Standing.RINGING:
                return

    async def _missed(self, ringing: _Ringing) -> bool:
        """Note that nobody took the call, unless another process knows better."""
        attempt = ringing.order.seat.attempt
        standing = await self._book.moved(attempt, Standing.MISSED, otherwise=Standing.MISSED)
        if standing is not Standing.MISSED:
            ringing.tell(standing)
        return standing is Standing.MISSED

    async def _bring_back(self, ringing: _Ringing) -> None:
        """Nobody took the call: the caller goes back to the agent, the human's phone stops."""
        if not await self._insist(partial(self._fetch, ringing)):
            log.error("a caller stays on hold: the carrier does not answer")
        if ringing.human_id:
            await self._insist(partial(self._carrier.hang_up, ringing.human_id))

    async def _fetch(self, ringing: _Ringing) -> None:
        """Fetch the caller, once: a second time would be away from the agent."""
        if ringing.fetched or ringing.dismissed:
            return
        url = of_seat(self._public_url + BACK_PATH, ringing.order.seat)
        if not await self._carrier.redirect(ringing.order.carrier_call_id, url):
            ringing.tell(Standing.GONE)

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
