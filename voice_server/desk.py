"""The front desk: takes calls from the carrier, finds their agent, keeps them while they live."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from db.errors import StoreError
from db.rows import (
    AnswerDetected,
    CallRow,
    SessionBegun,
    SessionEnded,
    StatusChanged,
)
from voice_server.call import Call, Disposition, EndReason, Outcome, Phase, Policy
from voice_server.call import events as e
from voice_server.call.meter import started_minutes
from voice_server.engines.plan import EngineChooser, LocalOnly, Plan
from voice_server.errors import Refused
from voice_server.handovers import Handovers
from voice_server.late_costs import LateCosts
from voice_server.outbound.late_facts import DETECTION_ITEM, RECORDING_ITEM
from voice_server.outbound.office import OutboundOffice
from voice_server.ports import AgentDirectory, CallFacts, CallId, PhoneLine
from voice_server.runtime.agents import behaviour, policy_for
from voice_server.runtime.bookkeeper import Bookkeeper
from voice_server.runtime.driver import Driver
from voice_server.runtime.journal import Header, JournalWriter
from voice_server.runtime.services import Services
from voice_server.settings import Settings
from voice_server.tariff import Tariff
from voice_server.telemetry import Metrics
from voice_server.transfer_book import TransferBook
from voice_server.twilio.desk import (
    SESSION_STATUS,
    AfterStream,
    Attempt,
    Dialled,
    HangUp,
    MachineVerdict,
    Recorded,
    Ringing,
    Seat,
    StatusChange,
)

log = logging.getLogger(__name__)

_CALLS_KEPT = 10_000  # for what the carrier says of calls that are over
_CONNECT_GRACE_S = 15.0  # beyond the life of its token, for a stream that never comes
_GOODBYE_S = 20.0  # closing words included


class FrontDesk:
    """Admits calls up to a limit, drives them, and remembers how they ended.

    `rows` takes the rows of all calls. The desk owns the drivers' tasks: `drain` ends them.
    """

    def __init__(
        self,
        settings: Settings,
        directory: AgentDirectory,
        services: Services,
        rows: Callable[[CallRow], None],
        metrics: Metrics,
        *,
        costs: LateCosts | None = None,
        handovers: Handovers | None = None,
        outbound: OutboundOffice | None = None,
        engines: EngineChooser | None = None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._directory = directory
        self._engines = engines or LocalOnly(services)
        self._plans: dict[CallId, Plan] = {}  # of the admitted
        self._rows = rows
        self._metrics = metrics
        self._costs = costs or LateCosts(rows, Tariff(), wall_clock)
        self._handovers = handovers or Handovers(
            settings.human_number, self._costs, TransferBook(self._costs)
        )
        self._outbound = outbound
        self._wall_clock = wall_clock
        self._admitted: dict[CallId, tuple[CallFacts, asyncio.TimerHandle]] = {}
        self._live: dict[CallId, Driver] = {}
        self._runs: set[asyncio.Task[None]] = set()
        self._last_words: dict[CallId, StatusChange] = {}  # the carrier's, of live calls
        self._by_carrier: OrderedDict[str, CallId] = OrderedDict()
        self._draining = False

    @property
    def live(self) -> int:
        """Calls admitted and not yet over."""
        return len(self._admitted) + len(self._live)

    @property
    def runs(self) -> frozenset[asyncio.Task[None]]:
        """The tasks of the live calls, named by call id; done when all of a call is done."""
        return frozenset(self._runs)

    @property
    def draining(self) -> bool:
        """No call is taken any more."""
        return self._draining

    def tenant_of(self, call_id: CallId) -> str | None:
        """Whose call it is, None once it is over."""
        driver = self._live.get(call_id)
        return None if driver is None else driver.facts.agent.user_id

    async def admit(self, ringing: Ringing) -> CallId:
        """Take a new call; raises `Refused`."""
        self._check_room()
        facts = await (self._placed(ringing) if ringing.call_id else self._incoming(ringing))
        plan = await self._engines.choose(facts)
        self._check_room()  # others may have come in meanwhile
        outbound = bool(ringing.call_id)
        agent = facts.agent
        patience = self._settings.token_ttl_s + _CONNECT_GRACE_S
        timer = asyncio.get_running_loop().call_later(patience, self._never_came, facts)
        self._admitted[facts.call_id] = (facts, timer)
        self._plans[facts.call_id] = plan
        self._by_carrier[facts.carrier_call_id] = facts.call_id
        while len(self._by_carrier) > _CALLS_KEPT:
            self._by_carrier.popitem(last=False)
        self._rows(
            SessionBegun(
                call_id=facts.call_id,
                user_id=agent.user_id,
                agent_id=agent.agent_id,
                carrier_call_id=facts.carrier_call_id,
                from_number=facts.called_number if outbound else facts.caller_number,
                to_number=facts.caller_number if outbound else facts.called_number,
                status="ringing",
                direction=facts.direction,
                at=facts.started_at,
            )
        )
        self._metrics.calls_admitted.inc()
        return facts.call_id

    async def _incoming(self, ringing: Ringing) -> CallFacts:
        agent = await self._directory.for_number(ringing.called_number)
        if agent is None:
            raise Refused("no active agent answers this number", status=404)
        return CallFacts(
            call_id=f"call-{secrets.token_hex(10)}",
            agent=agent,
            carrier_call_id=ringing.carrier_call_id,
            caller_number=ringing.caller_number,
            called_number=ringing.called_number,
            direction=ringing.direction,
            started_at=int(self._wall_clock() * 1000),
        )

    async def _placed(self, ringing: Ringing) -> CallFacts:
        """A call of ours was answered: the caller of its facts is the person we have called."""
        if self._outbound is None:
            raise Refused("this server places no calls", status=404)
        try:
            arrival = await self._outbound.arrived(ringing.call_id, ringing.carrier_call_id)
        except StoreError:
            raise Refused("the database is down", status=503) from None
        if arrival is None or ringing.call_id in self._admitted or ringing.call_id in self._live:
            raise Refused("no call is meant by this id, or another one was", status=404)
        return CallFacts(
            call_id=ringing.call_id,
            agent=arrival.agent,
            carrier_call_id=ringing.carrier_call_id,
            caller_number=arrival.dial.to_number,
            called_number=arrival.dial.from_number,
            direction="outbound",
            started_at=int(self._wall_clock() * 1000),
        )

    def _check_room(self) -> None:
        if self._draining or self.live >= self._settings.max_calls:
            raise Refused("all lines are busy; the call may be tried again", status=503)

    def connect(self, call_id: CallId, line: PhoneLine) -> Driver:
        """The media stream of an admitted call is open, or of one that comes back from a transfer.

        Raises `Refused`.
        """
        back = self._live.get(call_id)
        if back is not None and back.call.phase is Phase.TRANSFERRING:
            back.attach(line)
            return back
        admitted = self._admitted.pop(call_id, None)
        if admitted is None:
            raise Refused("this call is not waiting for a media stream", status=409)
        facts, timer = admitted
        timer.cancel()
        policy = self._policy(facts)
        journal = self._journal(facts, policy)
        epoch_ms = int(self._wall_clock() * 1000)
        books = Bookkeeper(facts, self._rows, epoch_ms)

        def spend(consumed: e.Consumed) -> None:
            driver.feed(consumed)

        services = self._plans.pop(call_id).services(spend)
        driver = Driver(Call(policy), facts, services, line, books, journal)
        self._live[call_id] = driver
        task = asyncio.get_running_loop().create_task(self._run(driver), name=call_id)
        self._runs.add(task)
        task.add_done_callback(self._runs.discard)
        return driver

    def _policy(self, facts: CallFacts) -> Policy:
        policy = policy_for(
            facts.agent,
            self._costs.rates(),
            carrier_items=(f"twilio.voice_{facts.direction}.minutes",),
            stream_items=("twilio.media_stream.minutes",),
        )
        return self._handovers.policy(facts.agent, policy)

    def _journal(self, facts: CallFacts, policy: Policy) -> JournalWriter | None:
        if not self._settings.journal:
            return None
        header = Header(facts, policy, self._settings.journal_media)
        try:
            return JournalWriter(self.journal_path(facts), header)
        except OSError as error:  # a full disk costs the journal, not the call
            log.error("a call without a journal", extra={"problem": error.strerror})
            return None

    def journal_path(self, facts: CallFacts) -> Path:
        """Where the journal of a call lies: one folder a day."""
        day = datetime.fromtimestamp(facts.started_at / 1000, UTC).strftime("%Y-%m-%d")
        return self._settings.data_dir / "journals" / day / f"{facts.call_id}.journal"

    async def _run(self, driver: Driver) -> None:
        try:
            await driver.run()
        finally:
            call_id = driver.facts.call_id
            del self._live[call_id]
            self._handovers.agent_left(driver)
            outcome = driver.call.outcome
            if outcome is not None:
                self._metrics.calls_ended.labels(outcome.disposition.value).inc()
                ended = {"call": call_id, "outcome": outcome.disposition.value}
                log.info("call ended", extra=ended | {"reason": outcome.reason.value})
            if (change := self._last_words.pop(call_id, None)) is not None:
                self._handovers.over(call_id, change)

    def _never_came(self, facts: CallFacts) -> None:
        """An admitted call got no media stream: it failed, or the caller gave up."""
        if self._admitted.pop(facts.call_id, None) is not None:
            outcome = Outcome(Disposition.FAILED, EndReason.STREAM_LOST)
            self._ended_unheard(facts, "failed", outcome)

    def _ended_unheard(self, facts: CallFacts, status: str, outcome: Outcome) -> None:
        self._plans.pop(facts.call_id, None)
        self._metrics.calls_ended.labels(outcome.disposition.value).inc()
        self._rows(
            SessionEnded(
                call_id=facts.call_id,
                user_id=facts.agent.user_id,
                status=status,
                outcome=outcome.disposition.value,
                reason=outcome.reason.value,
                duration_ms=0,
                cost_micro_usd=0,
                severity="minimal",
                risk=0.0,
                turns=0,
                journal="",
                answered_at=0,
                at=int(self._wall_clock() * 1000),
            )
        )

    def status_changed(self, change: StatusChange) -> None:
        """The carrier reports on a call; a final report ends one that still lives."""
        call_id = self._by_carrier.get(change.carrier_call_id)
        if call_id is None:
            # Perhaps a call of ours that has not come in here; whether it is, the office finds out.
            if change.call_id and self._outbound is not None:
                self._outbound.reported(change)
            if change.status.is_final:
                self._handovers.over_elsewhere(change)
            return
        raw = change.status.value
        self._rows(StatusChanged(call_id, SESSION_STATUS[raw], raw, int(self._wall_clock() * 1000)))
        if not change.status.is_final:
            return
        if (driver := self._live.get(call_id)) is not None:
            self._last_words[call_id] = change
            driver.feed(e.MediaStopped(e.StopCause.CARRIER_ENDED))
        elif (admitted := self._admitted.pop(call_id, None)) is not None:
            facts, timer = admitted
            timer.cancel()
            status = "cancelled" if raw == "canceled" else "failed"
            outcome = Outcome(Disposition.ABANDONED, EndReason.CARRIER_ENDED)
            self._ended_unheard(facts, status, outcome)
        else:
            self._handovers.over(call_id, change)

    def machine_detected(self, verdict: MachineVerdict) -> None:
        """Keep who answered, and leave a machine alone when the agent is told to."""
        at = int(self._wall_clock() * 1000)
        call_id = verdict.call_id or self._by_carrier.get(verdict.carrier_call_id, "")
        if not call_id:
            return
        self._rows(AnswerDetected(call_id, verdict.answered_by, verdict.took_ms, at))
        self._costs.book(call_id, DETECTION_ITEM, 1, verdict.carrier_call_id)
        driver = self._live.get(call_id)
        if driver is None or self._outbound is None or not verdict.is_machine:
            return
        if behaviour(driver.facts.agent).get("on_machine") == "hang_up":
            self._outbound.hang_up(verdict)

    def recorded(self, recorded: Recorded) -> None:
        """Fetch a recording and book its minutes."""
        call_id = recorded.call_id or self._by_carrier.get(recorded.carrier_call_id, "")
        if not call_id or recorded.status not in ("completed", "absent"):
            return
        if recorded.status == "completed":
            minutes = started_minutes(recorded.duration_s * 1000)
            self._costs.book(call_id, RECORDING_ITEM, minutes, recorded.recording_id)
        if self._outbound is not None:
            self._outbound.recorded(call_id, recorded)

    async def after_stream(self, carrier_call_id: str) -> AfterStream:
        """What comes after the media stream: the transfer that the call asks for, or nothing."""
        driver = self._live.get(self._by_carrier.get(carrier_call_id, ""))
        if driver is not None and driver.call.phase is Phase.TRANSFERRING:
            return await self._handovers.begin(driver)
        return HangUp()

    async def after_dial(self, attempt: Attempt, dialled: Dialled) -> AfterStream:
        """What comes after the transfer: the agent again, for a caller whom nobody took."""
        return await self._handovers.ended(self._live.get(attempt.call_id), attempt, dialled)

    async def whisper(self, attempt: Attempt) -> str:
        """What a human who was rung is told; "" when it is too late."""
        return await self._handovers.whisper(attempt)

    async def accept(self, attempt: Attempt) -> Seat | None:
        """The human takes the call: their seat beside the caller, None when it is too late."""
        return await self._handovers.accept(attempt)

    async def human_moved(self, attempt: Attempt, change: StatusChange) -> None:
        """The leg of a human who was rung moved on."""
        await self._handovers.human_moved(self._live.get(attempt.call_id), attempt, change)

    def left(self, seat: Seat, carrier_call_id: str) -> None:
        """The caller or the human has left the conference."""
        self._handovers.left(seat, carrier_call_id)

    def stop_admitting(self) -> None:
        """Refuse new calls from here on; readiness turns false."""
        self._draining = True

    async def drain(self, grace_s: float) -> None:
        """Let live calls end by themselves for a while, then say goodbye to the rest."""
        self.stop_admitting()
        if self._runs:
            await asyncio.wait(self._runs, timeout=grace_s)
        goodbyes = [
            asyncio.ensure_future(self._handovers.let_go(driver))
            for driver in tuple(self._live.values())
        ]
        if self._runs:
            await asyncio.wait(self._runs, timeout=_GOODBYE_S)
        for late in (*goodbyes, *self._runs):
            late.cancel()
        if goodbyes or self._runs:
            await asyncio.wait({*goodbyes, *self._runs})
        for facts, timer in tuple(self._admitted.values()):
            timer.cancel()
            self._never_came(facts)
