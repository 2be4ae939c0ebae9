"""The order tools: book, look up, cancel, take a message."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import phonenumbers

from db.errors import RowRejected, StoreUnavailable
from db.messages import NewMessage
from db.orders import OrderRow
from db.rows import NewOrder
from voice_server.orders.arguments import (
    PRIORITIES,
    SERVICE_TYPES,
    BadArgument,
    BookOrder,
    CancelOrder,
    LookUpOrder,
    TakeMessage,
    check_choice,
    check_text,
    clean,
    instant_ms,
    phone_key,
    read,
)
from voice_server.orders.book import MessageBook, OrderBook
from voice_server.ports import CallFacts

BOOK_ORDER = "book_order"
LOOK_UP_ORDER = "look_up_order"
CANCEL_ORDER = "cancel_order"
TAKE_MESSAGE = "take_message"
ARGUMENTS: dict[str, type[msgspec.Struct]] = {
    BOOK_ORDER: BookOrder,
    LOOK_UP_ORDER: LookUpOrder,
    CANCEL_ORDER: CancelOrder,
    TAKE_MESSAGE: TakeMessage,
}
_TWO_YEARS_MS = 2 * 366 * 86_400_000
_MAX_ORDERS_TOLD = 3
_Result = dict[str, Any]


class OrderToolbox:
    """Runs the order tools. Satisfies port `Toolbox`; one serves all calls.

    A caller reaches only orders of the tenant called, and only those that carry the number the
    call comes from, or whose order number and phone number the caller both knows: an order
    number alone is guessable.
    """

    __slots__ = ("_messages", "_orders", "_tools")

    def __init__(self, orders: OrderBook, messages: MessageBook) -> None:
        self._orders = orders
        self._messages = messages
        self._tools: dict[str, Callable[[CallFacts, str, str], Awaitable[_Result]]] = {
            BOOK_ORDER: self._book,
            LOOK_UP_ORDER: self._look_up,
            CANCEL_ORDER: self._cancel,
            TAKE_MESSAGE: self._take_message,
        }

    async def run(self, facts: CallFacts, request_id: str, name: str, arguments: str) -> str:
        """Run a tool; whatever is wrong comes back as `{"error": {field, problem, fix}}`."""
        tool = self._tools.get(name)
        if tool is None:
            known = ", ".join(self._tools)
            return _encode(_error("name", "unknown tool", f"use one of {known}"))
        try:
            result = await tool(facts, request_id, arguments)
        except BadArgument as bad:
            result = _error(bad.field, bad.problem, bad.fix)
        except StoreUnavailable:
            result = _error("", "the order book is not reachable", "try once more, then hand over")
        except RowRejected as refused:
            result = _error("", refused.reason, "hand over to a human")
        return _encode(result)

    async def _book(self, facts: CallFacts, request_id: str, arguments: str) -> _Result:
        asked = read(arguments, BookOrder)
        order = NewOrder(
            # A repeated attempt carries the first one's key: one of the two may have got
            # through without our hearing of it.
            key=f"{facts.call_id}:{asked.retry_of or request_id}",
            vendor_id=facts.agent.user_id,
            call_id=facts.call_id,
            customer_name=check_text("customer_name", asked.customer_name),
            customer_phone=check_text(
                "customer_phone", phone_key(asked.customer_phone, _region(facts))
            ),
            service_type=check_choice("service_type", asked.service_type, SERVICE_TYPES),
            description=clean(asked.description),
            customer_address=clean(asked.customer_address),
            customer_email=clean(asked.customer_email),
            priority=check_choice("priority", asked.priority, PRIORITIES),
            scheduled_at=instant_ms(
                "scheduled_at", asked.scheduled_at, facts.started_at + _TWO_YEARS_MS
            ),
            scheduled_text=clean(asked.scheduled_text),
        )
        return {"order_id": await self._book_linked(order)}

    async def _book_linked(self, order: NewOrder) -> str:
        try:
            return await self._orders.book(order)
        except RowRejected:
            # The call's own row may still wait in the outbox: an order without its link to
            # the call is better than none. Anything else is refused again.
            return await self._orders.book(msgspec.structs.replace(order, call_id=""))

    async def _look_up(self, facts: CallFacts, _request_id: str, arguments: str) -> _Result:
        asked = read(arguments, LookUpOrder)
        phone = phone_key(asked.customer_phone, _region(facts))
        if asked.order_id:
            order = await self._orders.find(facts.agent.user_id, asked.order_id)
            found = [order] if order and _may_know(order, facts, phone) else []
        elif phone:
            # Anybody can name somebody's number: without an order number it must be the
            # number of this very call.
            mine = phone == facts.caller_number
            rows = await self._orders.of_customer(
                facts.agent.user_id, phone, limit=_MAX_ORDERS_TOLD
            )
            found = list(rows) if mine else []
        else:
            raise BadArgument("order_id", "missing", "give order_id or customer_phone")
        return {"orders": [_told(order) for order in found]}

    async def _cancel(self, facts: CallFacts, _request_id: str, arguments: str) -> _Result:
        asked = read(arguments, CancelOrder)
        order = await self._orders.find(facts.agent.user_id, asked.order_id)
        if order is None or not _may_know(order, facts, ""):
            raise BadArgument("order_id", "no such order for this caller", "ask for it again")
        after = await self._orders.cancel(facts.agent.user_id, order.order_id)
        if after is None or after.status != "cancelled":
            raise BadArgument("order_id", "too late to cancel", "offer to take a message")
        return {"order_id": after.order_id, "status": after.status}

    async def _take_message(self, facts: CallFacts, request_id: str, arguments: str) -> _Result:
        asked = read(arguments, TakeMessage)
        kept = await self._messages.keep(
            NewMessage(
                key=request_id,
                call_id=facts.call_id,
                text=check_text("message", asked.message),
                name=clean(asked.name),
                phone=clean(asked.phone),
                order_id=clean(asked.order_id),
            )
        )
        if not kept:
            return _error("", "the call is not stored yet", "try once more, then hand over")
        return {"status": "kept"}


def _may_know(order: OrderRow, facts: CallFacts, phone: str) -> bool:
    """The caller calls from the order's number, made the order in this call, or knows both."""
    return order.call_id == facts.call_id or order.customer_phone in {facts.caller_number, phone}


def _told(order: OrderRow) -> _Result:
    """What may be said aloud: no name, no address."""
    return {
        "order_id": order.order_id,
        "service_type": order.service_type,
        "status": order.status,
        "scheduled_text": order.scheduled_text,
    }


def _region(facts: CallFacts) -> str:
    try:
        parsed = phonenumbers.parse(facts.called_number)
    except phonenumbers.NumberParseException:
        return "US"
    return str(phonenumbers.region_code_for_number(parsed) or "US")


def _error(field: str, problem: str, fix: str) -> _Result:
    return {"error": {"field": field, "problem": problem, "fix": fix}}


def _encode(result: _Result) -> str:
    return msgspec.json.encode(result).decode()
