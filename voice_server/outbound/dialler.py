"""Places calls. The intent is committed first, the request goes out once, and what became of
it is asked of the carrier, never tried again.

A process may be killed between any two lines of this module. What is then left:

* `intended`: nothing went out. The intent is withdrawn.
* `requested` or `indeterminate`: the request may have gone out. The call is looked up by the
  two numbers and known by our own id in its webhooks' URLs. Only when the carrier does not know
  it after `GRACE_S`, by when no request of ours can still be under way, it was never placed.
* `placed`: the carrier tells how it stands.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from typing import Final, Protocol, TypeAlias
from urllib.parse import parse_qs, urlencode, urlsplit

import msgspec

from db.dials import DialRow, NewDial
from db.errors import StoreError
from db.rows import AgentRow
from voice_server.errors import ServiceError, ServiceRejected
from voice_server.twilio.address import (
    AMD_PATH,
    CALL_FIELD,
    RECORDING_PATH,
    STATUS_PATH,
    VOICE_PATH,
)
from voice_server.twilio.desk import SESSION_STATUS, CarrierStatus
from voice_server.twilio.http import TwilioRejected, TwilioUnavailable
from voice_server.twilio.resources import CarrierCall
from voice_server.twilio.rest import CallOrder

SEND_WINDOW_S: Final = 30.0  # no request starts later than this after the right to send it
GRACE_S: Final = 60.0  # the window, the longest request (15 s), and room for slow clocks
_RETRY_FIRST_S: Final = 1.0  # the carrier takes one call a second and account
_SKEW_S: Final = 120.0  # between the carrier's clock and the database's
_BATCH: Final = 50
_SWEEP_S: Final = 5.0
_PLACED_S: Final = 60.0
_PRICE_S: Final = 300.0  # a price comes minutes after the end

log = logging.getLogger(__name__)


class DialStep(StrEnum):
    """How far a dial has come; told after what it names is done."""

    INTENDED = "intended"  # committed
    REQUESTED = "requested"  # the right to send the request is committed
    ANSWERED = "answered"  # the carrier has taken the request
    PLACED = "placed"  # its id is committed
    INDETERMINATE = "indeterminate"
    FINISHED = "finished"


class DialOrder(msgspec.Struct, frozen=True):
    """Whom to call for which agent. `call_id` is ours; the same id is never dialled twice."""

    call_id: str
    agent: AgentRow
    to: str  # E.164, never logged
    sender: str = ""  # a number of the account; default: the agent's
    ring_s: int = 30
    limit_s: int = 3_600
    machine_detection: str = ""  # "Enable", "DetectMessageEnd" or none
    record: bool = False
    campaign_id: str = ""


class DialStore(Protocol):
    """Where intents are kept; `db.PostgresDials`."""

    async def intend(self, dial: NewDial) -> DialRow: ...
    async def get(self, call_id: str) -> DialRow | None: ...
    async def request(self, call_id: str) -> bool: ...
    async def doubt(self, call_id: str) -> None: ...
    async def place(self, call_id: str, carrier_call_id: str) -> DialRow | None: ...
    async def finish(
        self, call_id: str, status: str, raw_status: str, *, duration_ms: int = 0
    ) -> None: ...
    async def withdraw(self, call_id: str) -> bool: ...
    async def claim_unsettled(
        self, *, unchecked_s: float, placed_s: float, limit: int
    ) -> tuple[DialRow, ...]: ...
    async def claim_unpriced(self, *, unchecked_s: float, limit: int) -> tuple[DialRow, ...]: ...
    async def price(self, call_id: str, micro_usd: int) -> None: ...


class Carrier(Protocol):
    """Who places the calls; `TwilioRest`."""

    async def create_call(self, order: CallOrder) -> CarrierCall: ...
    async def call(self, call_sid: str) -> CarrierCall | None: ...
    async def calls_between(self, to: str, sender: str) -> list[CarrierCall]: ...
    async def webhooks_of(self, call_sid: str) -> list[str]: ...
    async def hang_up(self, call_sid: str) -> bool: ...


Late: TypeAlias = Callable[[DialRow, CarrierCall], Awaitable[None]]


async def _nothing_late(_dial: DialRow, _call: CarrierCall) -> None:
    """For a carrier whose callbacks always arrive."""


class Dialler:
    """Places calls and finds out how they ended. `public_url` is where webhooks reach us.

    `late` is told of each call once the carrier has its price: by then all callbacks are out.
    `on_step` hears how far each dial has come, after each step.
    """

    def __init__(
        self,
        store: DialStore,
        carrier: Carrier,
        public_url: str,
        *,
        grace_s: float = GRACE_S,
        late: Late = _nothing_late,
        on_step: Callable[[str, DialStep], None] = lambda _call_id, _step: None,
    ) -> None:
        self._store = store
        self._carrier = carrier
        self._public_url = public_url.rstrip("/")
        self._grace_s = grace_s
        self._late = late
        self._on_step = on_step

    async def dial(self, order: DialOrder) -> DialRow:
        """Place a call, or tell how it stands if its id was dialled before.

        Returns once the carrier has taken or refused it, or its answer is lost: then the
        state is `indeterminate`, and `sweep` finds out. Raises `AlreadyDialling`,
        `RowRejected` and `StoreUnavailable`; after the latter nothing was sent unless the
        intent says so.
        """
        agent = order.agent
        sender = order.sender or agent.phone_number
        row = await self._store.intend(
            NewDial(
                order.call_id, agent.user_id, agent.agent_id, order.to, sender, order.campaign_id
            )
        )
        self._on_step(order.call_id, DialStep.INTENDED)
        if row.state == "intended" and await self._store.request(order.call_id):
            self._on_step(order.call_id, DialStep.REQUESTED)
            await self._send(order.call_id, self._call_order(order, sender))
        return await self._store.get(order.call_id) or row

    async def sweep(self, *, unchecked_s: float = _SWEEP_S, placed_s: float = _PLACED_S) -> int:
        """Find out about calls nobody has heard of for a while; returns how many were checked."""
        rows = await self._store.claim_unsettled(
            unchecked_s=unchecked_s, placed_s=placed_s, limit=_BATCH
        )
        for row in rows:
            try:
                await self.settle(row)
            except ServiceError as error:
                log.warning(
                    "a dialled call could not be looked up",
                    extra={"call": row.call_id, "error": str(error)},
                )
        return len(rows)

    async def hang_up(self, carrier_call_id: str) -> None:
        """End a call at the carrier, whatever its state. Raises `ServiceError`."""
        await self._carrier.hang_up(carrier_call_id)

    async def fetch_prices(self, *, unchecked_s: float = _PRICE_S) -> None:
        """Ask for the prices of calls that have ended. Raises `ServiceError`."""
        rows = await self._store.claim_unpriced(unchecked_s=unchecked_s, limit=_BATCH)
        for row in rows:
            call = await self._carrier.call(row.carrier_call_id)
            if call is not None and call.price_micro_usd is not None:
                await self._late(row, call)  # first: who dies in between comes here again
                await self._store.price(row.call_id, call.price_micro_usd)

    async def watch(self, *, every_s: float = _SWEEP_S) -> None:
        """Recover what a dead process left, and keep looking after calls; runs until cancelled."""
        while True:
            try:
                while await self.sweep() == _BATCH:
                    pass
                await self.fetch_prices()
            except (StoreError, ServiceError) as error:
                log.warning("dialled calls are not looked after", extra={"error": str(error)})
            await asyncio.sleep(every_s)

    async def settle(self, row: DialRow) -> None:
        """Find out how one intent stands and note it. Raises `ServiceError`, `StoreUnavailable`."""
        match row.state:
            case "intended":
                await self._store.withdraw(row.call_id)
            case "requested" | "indeterminate":
                await self._look_up(row)
            case "placed":
                await self._follow(row.call_id, row.carrier_call_id)
            case _:
                await self._store.finish(row.call_id, row.status, row.raw_status)

    async def _send(self, call_id: str, order: CallOrder) -> None:
        """Send the one request; only a carrier that surely did nothing is asked again."""
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + SEND_WINDOW_S
        pause_s = _RETRY_FIRST_S
        while True:
            try:
                call = await self._carrier.create_call(order)
            except TwilioUnavailable as error:
                if error.sent:
                    await self._store.doubt(call_id)
                    self._on_step(call_id, DialStep.INDETERMINATE)
                    return
                if loop.time() + pause_s > give_up_at:
                    await self._refused(call_id, "carrier-unavailable")
                    return
                await asyncio.sleep(pause_s)
                pause_s *= 2
            except ServiceRejected as error:
                code = error.code if isinstance(error, TwilioRejected) else 0
                await self._refused(call_id, f"rejected-{code}")
                return
            else:
                self._on_step(call_id, DialStep.ANSWERED)
                await self._store.place(call_id, call.sid)
                self._on_step(call_id, DialStep.PLACED)
                return

    async def _refused(self, call_id: str, reason: str) -> None:
        await self._store.finish(call_id, "failed", reason)
        self._on_step(call_id, DialStep.FINISHED)

    async def _look_up(self, row: DialRow) -> None:
        found = await self._find(row)
        if found is not None:
            if await self._store.place(row.call_id, found) is not None:
                await self._follow(row.call_id, found)
            return
        if row.requested_s_ago > self._grace_s:
            await self._store.finish(row.call_id, "failed", "never-placed")
        else:
            await self._store.doubt(row.call_id)

    async def _find(self, row: DialRow) -> str | None:
        """The carrier's id of the call we asked for.

        Between two numbers only one of our calls is open at a time, so a call that names no
        webhook yet is waited for; one that ended without ever sending any is ours.
        """
        silent = []
        for call in await self._carrier.calls_between(row.to_number, row.from_number):
            if not _may_be(call, row):
                continue
            urls = await self._carrier.webhooks_of(call.sid)
            if any(_our_id(url) == row.call_id for url in urls):
                return call.sid
            if not urls:
                silent.append(call)
        if len(silent) == 1 and _is_over(silent[0]):
            return silent[0].sid
        if silent:
            raise TwilioUnavailable("a call that has not begun yet", sent=False)
        return None

    async def _follow(self, call_id: str, carrier_call_id: str) -> None:
        """Note a call's end, if it has ended."""
        call = await self._carrier.call(carrier_call_id)
        if call is None:
            await self._store.finish(call_id, "failed", "unknown-to-carrier")
        elif _is_over(call):
            status = SESSION_STATUS[call.status or ""]
            duration_ms = call.duration_s * 1000
            await self._store.finish(call_id, status, call.status or "", duration_ms=duration_ms)

    def _call_order(self, order: DialOrder, sender: str) -> CallOrder:
        return CallOrder(
            to=order.to,
            sender=sender,
            url=self.webhook(VOICE_PATH, order.call_id),
            status_url=self.webhook(STATUS_PATH, order.call_id),
            ring_s=order.ring_s,
            limit_s=order.limit_s,
            machine_detection=order.machine_detection,
            amd_url=self.webhook(AMD_PATH, order.call_id),
            record_url=self.webhook(RECORDING_PATH, order.call_id) if order.record else "",
        )

    def webhook(self, path: str, call_id: str) -> str:
        """A webhook's URL that names the call by our own id."""
        return f"{self._public_url}{path}?{urlencode({CALL_FIELD: call_id})}"


def _may_be(call: CarrierCall, row: DialRow) -> bool:
    if not (call.direction or "").startswith("outbound"):
        return False
    if call.created_at is None or row.requested_at is None:
        return True
    return (row.requested_at - call.created_at).total_seconds() < _SKEW_S


def _is_over(call: CarrierCall) -> bool:
    try:
        return CarrierStatus(call.status or "").is_final
    except ValueError:
        return False


def _our_id(url: str) -> str:
    ids: Sequence[str] = parse_qs(urlsplit(url).query).get(CALL_FIELD, ())
    return ids[0] if ids else ""
