"""Puts callers through to humans, takes back those whom nobody took, and books what that costs."""

from __future__ import annotations

import logging
from collections import OrderedDict

import msgspec

from db.rows import AgentRow
from voice_server.call import Policy
from voice_server.call import events as e
from voice_server.call.history import CallerSaid, History
from voice_server.call.meter import started_minutes
from voice_server.call.phase import Phase
from voice_server.late_costs import LateCosts
from voice_server.ports import CallFacts, CallId
from voice_server.runtime.driver import Driver
from voice_server.transfer_rules import TransferRules, transfer_rules
from voice_server.twilio.desk import (
    AfterStream,
    CarrierStatus,
    Dial,
    Dialled,
    HangUp,
    Hold,
    Reconnect,
    StatusChange,
)
from voice_server.twilio.transfer import Transfers, WarmOrder

_WAIT_MS = 90_000  # by then a phone has rung out, and the carrier has said so
_LEG_ITEM = "twilio.voice_transfer.minutes"
_KEPT = 10_000
_QUOTED = 2  # of the caller's newest words, told to the human
_QUOTE_MOST = 160

log = logging.getLogger(__name__)


class Handovers:
    """`default_number` takes the calls of agents that name nobody; `transfers` can ring people.

    Without `transfers` (no carrier account) nobody can be asked first: warm is blind.
    """

    def __init__(
        self, default_number: str, costs: LateCosts, transfers: Transfers | None = None
    ) -> None:
        self._default_number = default_number
        self._costs = costs
        self._transfers = transfers
        self._gone_on: OrderedDict[CallId, tuple[CallFacts, int]] = OrderedDict()

    def policy(self, agent: AgentRow, policy: Policy) -> Policy:
        """The policy of a call that can go to a human, and of one that cannot."""
        if transfer_rules(agent, self._default_number) is None:
            return msgspec.structs.replace(policy, hand_over_at=None)
        return msgspec.structs.replace(policy, transfer_wait_ms=_WAIT_MS)

    def begin(self, driver: Driver) -> AfterStream:
        """The carrier asks how to go on with a call that wants a human; may be asked twice."""
        facts = driver.facts
        rules = transfer_rules(facts.agent, self._default_number)
        if rules is None:
            return HangUp()
        driver.feed(e.TransferBegun())
        if self._transfers is not None and rules.warm:
            return Hold(self._transfers.begin(_order(driver, rules)))
        if rules.warm:
            log.warning("a warm transfer needs TWILIO_ACCOUNT_SID and a public URL: it is blind")
        return Dial(rules.number, facts.call_id)

    def ended(self, driver: Driver | None, call_id: CallId, dialled: Dialled) -> AfterStream:
        """The carrier has the caller back: the human has hung up, or nobody took the call."""
        self._book_leg(call_id, dialled.human_id, dialled.duration_s)
        if self._transfers is not None:
            self._transfers.fetched(call_id)
        if driver is None or driver.call.phase is not Phase.TRANSFERRING:
            return HangUp()
        driver.feed(e.TransferEnded(dialled.answered))
        return HangUp() if dialled.answered else Reconnect(call_id)

    def human_moved(self, driver: Driver | None, call_id: CallId, change: StatusChange) -> None:
        """The leg of a human moved on."""
        self._book_leg(call_id, change.carrier_call_id, change.duration_s)
        if change.status.is_final and self._transfers is not None:
            self._transfers.hung_up(call_id, change.carrier_call_id)
        if driver is None or change.status is not CarrierStatus.IN_PROGRESS:
            return
        rules = transfer_rules(driver.facts.agent, self._default_number)
        asked_first = rules is not None and rules.warm and self._transfers is not None
        if not asked_first:  # who picked up has the caller
            driver.feed(e.TransferEnded(reached=True))

    def whisper(self, call_id: CallId) -> str:
        """What the human is told, "" when nobody waits for them."""
        return self._transfers.whisper(call_id) if self._transfers is not None else ""

    def accept(self, driver: Driver | None, call_id: CallId) -> str:
        """The human takes the call: the room to go to, "" when it is too late."""
        if driver is None or self._transfers is None:
            return ""
        room = self._transfers.accept(call_id)
        if room:
            driver.feed(e.TransferEnded(reached=True))
        return room

    def gone_on(self, driver: Driver) -> None:
        """The agent's part of a call is over and the caller talks on with a human."""
        self._gone_on[driver.facts.call_id] = (driver.facts, driver.connected_ms)
        while len(self._gone_on) > _KEPT:
            self._gone_on.popitem(last=False)

    def over(self, call_id: CallId, change: StatusChange) -> None:
        """The carrier's last word on a call: books the caller's minutes with the human."""
        facts, booked_ms = self._gone_on.pop(call_id, (None, 0))
        if facts is None:
            return
        more = started_minutes(change.duration_s * 1000) - started_minutes(booked_ms)
        if more > 0:
            item = f"twilio.voice_{facts.direction}.minutes"
            self._costs.book(call_id, item, more, change.carrier_call_id)

    def _book_leg(self, call_id: CallId, human_id: str, duration_s: int) -> None:
        if human_id and duration_s > 0:
            self._costs.book(call_id, _LEG_ITEM, started_minutes(duration_s * 1000), human_id)


def _order(driver: Driver, rules: TransferRules) -> WarmOrder:
    facts = driver.facts
    words = [rules.whisper or f"A call for {facts.agent.tenant_name}."]
    if quote := _quote(driver.call.dialogue.history):
        words.append(f"The caller said: {quote}")
    return WarmOrder(
        call_id=facts.call_id,
        carrier_call_id=facts.carrier_call_id,
        human=rules.number,
        sender=facts.called_number,
        whisper=" ".join(words),
    )


def _quote(history: History) -> str:
    """The newest words of the caller, as many as a human listens to."""
    said = [entry.text for entry in history if isinstance(entry, CallerSaid)]
    return " ".join(said[-_QUOTED:])[-_QUOTE_MOST:]
