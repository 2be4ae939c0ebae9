"""Puts callers through to humans, takes back those whom nobody took, and books what that costs."""

from __future__ import annotations

import logging
from collections import OrderedDict

import msgspec

from db.rows import AgentRow
from voice_server.call import Disposition, Policy
from voice_server.call import events as e
from voice_server.call.history import CallerSaid, History
from voice_server.call.meter import started_minutes
from voice_server.call.phase import Phase
from voice_server.late_costs import LateCosts
from voice_server.ports import CallFacts, CallId
from voice_server.runtime.driver import Driver
from voice_server.transfer_book import TransferBook
from voice_server.transfer_rules import TransferRules, transfer_rules
from voice_server.twilio.desk import (
    AfterStream,
    Attempt,
    CarrierStatus,
    Dial,
    Dialled,
    HangUp,
    Hold,
    Reconnect,
    Seat,
    Standing,
    StatusChange,
)
from voice_server.twilio.transfer import Transfers, WarmOrder

_WAIT_MS = 90_000  # by then a phone has rung out, and the carrier has said so
_LEG_ITEM = "twilio.voice_transfer.minutes"
_KEPT = 10_000
_QUOTED = 2  # of the caller's newest words, told to the human
_QUOTE_MOST = 160
_PATIENCE_S = 10.0  # of a closing server, with a human who hears the whisper

log = logging.getLogger(__name__)


class Handovers:
    """`default_number` takes the calls of agents that name nobody; `transfers` can ring people.

    Without `transfers` (no carrier account) nobody can be asked first: warm is blind. What
    other processes must know, or may have been told, is in the `book`.
    """

    def __init__(
        self,
        default_number: str,
        costs: LateCosts,
        book: TransferBook,
        transfers: Transfers | None = None,
    ) -> None:
        self._default_number = default_number
        self._costs = costs
        self._book = book
        self._transfers = transfers
        self._gone_on: OrderedDict[CallId, tuple[CallFacts, int]] = OrderedDict()

    def policy(self, agent: AgentRow, policy: Policy) -> Policy:
        """The policy of a call that can go to a human, and of one that cannot."""
        if transfer_rules(agent, self._default_number) is None:
            return msgspec.structs.replace(policy, hand_over_at=None)
        return msgspec.structs.replace(policy, transfer_wait_ms=_WAIT_MS)

    async def begin(self, driver: Driver) -> AfterStream:
        """The carrier asks how to go on with a call that wants a human; may be asked twice."""
        facts = driver.facts
        rules = transfer_rules(facts.agent, self._default_number)
        if rules is None:
            return HangUp()
        driver.feed(e.TransferBegun())
        seat = Seat(_present(driver), self._costs.now_ms())
        transfers = self._transfers if rules.warm else None
        whisper = _whisper(driver, rules) if transfers is not None else ""
        await self._book.begun(seat, facts, warm=transfers is not None, whisper=whisper)
        if driver.call.phase is not Phase.TRANSFERRING:  # the caller has left meanwhile
            return HangUp()
        if transfers is None:
            if rules.warm:
                log.warning(
                    "a warm transfer needs TWILIO_ACCOUNT_SID and a public URL: it is blind"
                )
            return Dial(rules.number, seat.attempt)
        order = WarmOrder(seat, facts.carrier_call_id, rules.number, facts.called_number, whisper)
        transfers.begin(order, lambda standing: _tell(driver, standing))
        return Hold(seat)

    async def ended(self, driver: Driver | None, attempt: Attempt, dialled: Dialled) -> AfterStream:
        """The carrier has the caller back: the human has hung up, or nobody took the call."""
        self._book_leg(attempt.call_id, dialled.human_id, dialled.duration_s)
        if self._transfers is not None:
            self._transfers.fetched(attempt)
        if driver is None:  # it is over, or another process has it
            word = Standing.TAKEN if dialled.answered else Standing.MISSED
            await self._book.moved(attempt, word, otherwise=word)
            return HangUp()
        if driver.call.phase is not Phase.TRANSFERRING or attempt != _present(driver):
            return HangUp()
        driver.feed(e.TransferEnded(dialled.answered))
        await self._book.settled(attempt)
        return HangUp() if dialled.answered else Reconnect(attempt.call_id)

    async def human_moved(
        self, driver: Driver | None, attempt: Attempt, change: StatusChange
    ) -> None:
        """The leg of a human moved on; one who was rung before says nothing of the present one."""
        self._book_leg(attempt.call_id, change.carrier_call_id, change.duration_s)
        if change.status.is_final and self._transfers is not None:
            self._transfers.hung_up(attempt)
        if driver is None:
            await self._moved_elsewhere(attempt, change)
        elif change.status is CarrierStatus.IN_PROGRESS and attempt == _present(driver):
            rules = transfer_rules(driver.facts.agent, self._default_number)
            if rules is None or not rules.warm or self._transfers is None:
                await self._picked_up(driver, attempt)

    async def _picked_up(self, driver: Driver, attempt: Attempt) -> None:
        """Who picks up a blind transfer has the caller."""
        driver.feed(e.TransferEnded(reached=True))
        await self._book.moved(attempt, Standing.TAKEN, otherwise=Standing.TAKEN)

    async def _moved_elsewhere(self, attempt: Attempt, change: StatusChange) -> None:
        """Note it for the process that has the call, or for nobody any more."""
        row = await self._book.get(attempt)
        if row is None:
            return
        if row.warm and not row.human_id:
            await self._book.rung(attempt, change.carrier_call_id)
        if row.warm and change.status.is_final:
            await self._book.moved(attempt, Standing.MISSED, otherwise=Standing.MISSED)
        elif not row.warm and change.status is CarrierStatus.IN_PROGRESS:
            await self._book.moved(attempt, Standing.TAKEN, otherwise=Standing.TAKEN)

    async def whisper(self, attempt: Attempt) -> str:
        """What the human is told, "" when nobody waits for them."""
        if self._transfers is None:
            return ""
        if words := self._transfers.whisper(attempt):
            return words
        row = await self._book.get(attempt)
        return row.whisper if row is not None and row.state == Standing.RINGING else ""

    async def accept(self, attempt: Attempt) -> Seat | None:
        """The human takes the call: their seat, None when it is too late."""
        if self._transfers is None or not await self._transfers.accept(attempt):
            return None
        return Seat(attempt, self._costs.now_ms())

    def left(self, seat: Seat, carrier_call_id: str) -> None:
        """Somebody has left a conference: each who was in it is billed by the minute."""
        self._costs.book_stay(seat, carrier_call_id)

    def agent_left(self, driver: Driver) -> None:
        """The agent's part of a call is over: the caller talks on with a human, or is gone."""
        outcome, call_id = driver.call.outcome, driver.facts.call_id
        if outcome is None or outcome.disposition is not Disposition.HANDED_OVER:
            if self._transfers is not None:
                self._transfers.hung_up(_present(driver))
            return
        self._book.booked(call_id, driver.connected_ms)
        self._gone_on[call_id] = (driver.facts, driver.connected_ms)
        while len(self._gone_on) > _KEPT:
            self._gone_on.popitem(last=False)

    def over(self, call_id: CallId, change: StatusChange) -> None:
        """The carrier's last word on a call: books the caller's minutes with the human."""
        facts, booked_ms = self._gone_on.pop(call_id, (None, 0))
        if facts is not None:
            sid = change.carrier_call_id
            self._costs.book_line(call_id, facts.direction, booked_ms, change.duration_s, sid)

    def over_elsewhere(self, change: StatusChange) -> None:
        """The carrier's last word on a call that this process does not know."""
        self._book.over(change)

    async def let_go(self, driver: Driver) -> None:
        """The server closes: the call ends, and nobody is left on hold for it."""
        if self._transfers is not None:
            call_id = driver.facts.call_id
            order = await self._transfers.dismiss(call_id, patience_s=_PATIENCE_S)
            if order is not None:
                self.left(order.seat, order.carrier_call_id)
                driver.feed(e.TransferEnded(reached=False))
        driver.feed(e.ServerClosing())

    def _book_leg(self, call_id: CallId, human_id: str, duration_s: int) -> None:
        if human_id and duration_s > 0:
            self._costs.book(call_id, _LEG_ITEM, started_minutes(duration_s * 1000), human_id)


def _present(driver: Driver) -> Attempt:
    return Attempt(driver.facts.call_id, driver.call.transfers)


def _tell(driver: Driver, standing: Standing) -> None:
    """What became of an attempt, as the call hears it; that it was missed the caller tells."""
    if standing is Standing.TAKEN:
        driver.feed(e.TransferEnded(reached=True))
    elif standing is Standing.GONE:
        driver.feed(e.MediaStopped(e.StopCause.CARRIER_ENDED))


def _whisper(driver: Driver, rules: TransferRules) -> str:
    words = [rules.whisper or f"A call for {driver.facts.agent.tenant_name}."]
    if quote := _quote(driver.call.dialogue.history):
        words.append(f"The caller said: {quote}")
    return " ".join(words)


def _quote(history: History) -> str:
    """The newest words of the caller, as many as a human listens to."""
    said = [entry.text for entry in history if isinstance(entry, CallerSaid)]
    return " ".join(said[-_QUOTED:])[-_QUOTE_MOST:]
