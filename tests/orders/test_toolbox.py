from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.orders import PostgresOrders
from tests.db.tenants import ANNA, BERT, add_tenants, begun
from tests.llm.conversation import Conversation, facts
from tests.orders.books import MemoryMessages, MemoryOrders
from voice_server.llm import tools
from voice_server.orders import ARGUMENTS, OrderToolbox, toolbox
from voice_server.ports import CallFacts

CALLER = "+12125554217"
ORDER: dict[str, Any] = {
    "customer_name": "Mary Jones",
    "customer_phone": "+12125550147",
    "service_type": "plumbing",
    "description": "The sink leaks.",
    "customer_address": "12 Oak Street",
    "priority": "high",
    "scheduled_at": "2026-11-23T10:00:00-05:00",
    "scheduled_text": "tomorrow at ten",
}


class Office:
    """A toolbox over books in memory, for one call."""

    def __init__(self, calls: set[str] | None = None) -> None:
        self.orders = MemoryOrders(calls)
        self.messages = MemoryMessages({"call-1"})
        self.facts = facts(CALLER)
        self._box = OrderToolbox(self.orders, self.messages)

    async def run(
        self, name: str, arguments: Any, request: str = "r1", about: CallFacts | None = None
    ) -> dict[str, Any]:
        text = arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode()
        result = await self._box.run(about or self.facts, request, name, text)
        decoded: dict[str, Any] = msgspec.json.decode(result)
        return decoded


async def test_an_order_is_booked_for_the_tenant_called() -> None:
    office = Office()
    result = await office.run("book_order", ORDER)
    (row,) = office.orders.rows.values()
    assert result == {"order_id": row.order_id}
    assert (row.vendor_id, row.call_id) == (office.facts.agent.user_id, "call-1")
    assert (row.customer_name, row.customer_phone) == ("Mary Jones", "+12125550147")
    assert (row.service_type, row.priority) == ("plumbing", "high")
    assert row.scheduled_at == datetime(2026, 11, 23, 15, tzinfo=UTC)


async def test_the_same_request_books_once() -> None:
    office = Office()
    first = await office.run("book_order", ORDER)
    assert await office.run("book_order", ORDER) == first
    assert len(office.orders.rows) == 1


async def test_another_request_books_another_order() -> None:
    office = Office()
    await office.run("book_order", ORDER, "r1")
    await office.run("book_order", ORDER, "r2")
    assert len(office.orders.rows) == 2


async def test_a_retry_of_a_request_that_got_through_finds_its_order() -> None:
    office = Office()
    first = await office.run("book_order", ORDER, "r1")
    assert await office.run("book_order", {**ORDER, "retry_of": "r1"}, "r2") == first


async def test_another_call_with_the_same_request_id_books_its_own_order() -> None:
    office = Office()
    await office.run("book_order", ORDER)
    other = msgspec.structs.replace(office.facts, call_id="call-2")
    await office.run("book_order", ORDER, about=other)
    assert len(office.orders.rows) == 2


async def test_an_order_of_a_call_not_stored_yet_is_booked_without_the_link() -> None:
    office = Office(calls=set())
    assert "order_id" in await office.run("book_order", ORDER)
    assert next(iter(office.orders.rows.values())).call_id == ""


@pytest.mark.parametrize(
    ("given_phone", "kept"),
    [
        ("+12125550147", "+12125550147"),
        ("212 555 0147", "+12125550147"),
        ("(212) 555-0147", "+12125550147"),
        ("not given", "not given"),
        ("+44 20 7183 8750", "+442071838750"),
    ],
)
async def test_phone_numbers_are_kept_as_e164_where_possible(given_phone: str, kept: str) -> None:
    office = Office()
    await office.run("book_order", {**ORDER, "customer_phone": given_phone})
    assert next(iter(office.orders.rows.values())).customer_phone == kept


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"customer_name": ""}, "customer_name"),
        ({"customer_name": "   "}, "customer_name"),
        ({"customer_name": 5}, "customer_name"),
        ({"customer_name": "x" * 201}, "customer_name"),
        ({"customer_phone": ""}, "customer_phone"),
        ({"service_type": "roofing"}, "service_type"),
        ({"service_type": None}, "service_type"),
        ({"priority": "now"}, "priority"),
        ({"description": "x" * 2001}, "description"),
        ({"scheduled_at": "tomorrow"}, "scheduled_at"),
        ({"scheduled_at": "2026-11-23T10:00:00"}, "scheduled_at"),
        ({"scheduled_at": "2099-01-01T10:00:00Z"}, "scheduled_at"),
        ({"scheduled_at": "0001-01-01T00:00:00Z"}, "scheduled_at"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_a_bad_argument_is_explained_by_field(change: dict[str, Any], field: str) -> None:
    office = Office()
    result = await office.run("book_order", {**ORDER, **change})
    assert set(result["error"]) == {"field", "problem", "fix"}
    assert result["error"]["field"] == field
    assert result["error"]["problem"]
    assert result["error"]["fix"]
    assert not office.orders.rows


@pytest.mark.parametrize("missing", ["customer_name", "customer_phone", "service_type"])
async def test_a_missing_argument_is_named(missing: str) -> None:
    office = Office()
    arguments = {name: value for name, value in ORDER.items() if name != missing}
    assert (await office.run("book_order", arguments))["error"]["field"] == missing


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "7", '"x"'])
@pytest.mark.parametrize("name", sorted(ARGUMENTS))
async def test_arguments_that_are_no_object_are_refused(name: str, text: str) -> None:
    assert "error" in await Office().run(name, text)


async def test_an_unknown_tool_names_the_known_ones() -> None:
    error = (await Office().run("order_pizza", {}))["error"]
    assert "book_order" in error["fix"]


async def test_an_error_never_repeats_what_the_caller_said() -> None:
    result = await Office().run("book_order", {**ORDER, "service_type": "my secret"})
    assert "secret" not in str(result)


@pytest.mark.parametrize("name", ["book_order", "look_up_order", "cancel_order"])
async def test_a_database_that_is_down_is_an_answer_too(name: str) -> None:
    office = Office()
    office.orders.down = True
    arguments = ORDER if name == "book_order" else {"order_id": "ORD-1"}
    assert "not reachable" in (await office.run(name, arguments))["error"]["problem"]


async def booked(office: Office, phone: str) -> str:
    """An order made in an earlier call."""
    earlier = msgspec.structs.replace(office.facts, call_id="call-0")
    result = await office.run("book_order", {**ORDER, "customer_phone": phone}, "e1", earlier)
    return str(result["order_id"])


async def test_a_caller_finds_the_order_of_the_number_they_call_from() -> None:
    office = Office()
    order_id = await booked(office, CALLER)
    found = {
        "order_id": order_id,
        "service_type": "plumbing",
        "status": "new",
        "scheduled_text": "tomorrow at ten",
    }
    assert await office.run("look_up_order", {"order_id": order_id}) == {"orders": [found]}
    assert await office.run("look_up_order", {"customer_phone": CALLER}) == {"orders": [found]}


async def test_a_stranger_finds_nothing_by_a_number_alone() -> None:
    office = Office()
    order_id = await booked(office, "+12125550147")
    assert await office.run("look_up_order", {"order_id": order_id}) == {"orders": []}
    assert await office.run("look_up_order", {"customer_phone": "+12125550147"}) == {"orders": []}


async def test_who_knows_both_numbers_finds_the_order() -> None:
    office = Office()
    order_id = await booked(office, "+12125550147")
    both = {"order_id": order_id, "customer_phone": "212 555 0147"}
    assert len((await office.run("look_up_order", both))["orders"]) == 1


async def test_a_look_up_needs_a_number() -> None:
    assert (await Office().run("look_up_order", {}))["error"]["field"] == "order_id"


async def test_another_tenants_orders_are_out_of_reach() -> None:
    office = Office()
    order_id = await booked(office, CALLER)
    agent = msgspec.structs.replace(office.facts.agent, user_id=BERT)
    other = msgspec.structs.replace(office.facts, agent=agent)
    assert await office.run("look_up_order", {"order_id": order_id}, about=other) == {"orders": []}
    assert "error" in await office.run("cancel_order", {"order_id": order_id}, about=other)


async def test_an_order_is_cancelled_by_its_customer_only() -> None:
    office = Office()
    mine, theirs = await booked(office, CALLER), ""
    assert (await office.run("cancel_order", {"order_id": mine}))["status"] == "cancelled"
    elsewhere = msgspec.structs.replace(office.facts, call_id="call-9")
    result = await office.run("book_order", {**ORDER, "customer_phone": "+12125550199"}, "x",
                              elsewhere)  # fmt: skip
    theirs = result["order_id"]
    assert "error" in await office.run("cancel_order", {"order_id": theirs})
    assert office.orders.rows[theirs].status == "new"


async def test_an_order_made_in_this_call_can_be_cancelled_in_it() -> None:
    office = Office()
    result = await office.run("book_order", {**ORDER, "customer_phone": "not given"})
    assert (await office.run("cancel_order", result))["status"] == "cancelled"


async def test_a_finished_order_is_not_cancelled() -> None:
    office = Office()
    order_id = await booked(office, CALLER)
    row = office.orders.rows[order_id]
    office.orders.rows[order_id] = msgspec.structs.replace(row, status="completed")
    result = await office.run("cancel_order", {"order_id": order_id})
    assert "too late" in result["error"]["problem"]


async def test_a_message_is_kept_once() -> None:
    office = Office()
    message = {"message": "Please call back", "name": "Mary", "phone": CALLER}
    assert await office.run("take_message", message) == {"status": "kept"}
    assert await office.run("take_message", message) == {"status": "kept"}
    (kept,) = office.messages.kept.values()
    assert (kept.text, kept.name, kept.phone) == ("Please call back", "Mary", CALLER)


async def test_a_message_of_a_call_not_stored_is_an_error() -> None:
    office = Office()
    other = msgspec.structs.replace(office.facts, call_id="call-2")
    assert "error" in await office.run("take_message", {"message": "hi there"}, about=other)


async def test_an_empty_message_is_refused() -> None:
    assert (await Office().run("take_message", {"message": " "}))["error"]["field"] == "message"


@given(st.sampled_from(sorted([*ARGUMENTS, "x"])), st.text(max_size=40))
async def test_no_arguments_raise(name: str, text: str) -> None:
    assert isinstance(await Office().run(name, text), dict)


VALUES = st.one_of(st.none(), st.text(max_size=20), st.integers(), st.just("2026-01-01T00:00Z"))


@given(st.dictionaries(st.sampled_from(sorted([*ORDER, "order_id", "message"])), VALUES))
async def test_no_object_raises(arguments: dict[str, Any]) -> None:
    for name in ARGUMENTS:
        assert isinstance(await Office().run(name, arguments), dict)


def test_the_language_model_and_the_toolbox_mean_the_same_tools() -> None:
    named = {tools.BOOK_ORDER, tools.LOOK_UP_ORDER, tools.CANCEL_ORDER, tools.TAKE_MESSAGE}
    assert named == set(ARGUMENTS)
    assert toolbox.BOOK_ORDER == tools.BOOK_ORDER


@pytest.mark.parametrize("name", sorted(ARGUMENTS))
def test_each_tool_has_a_schema_that_describes_it(name: str) -> None:
    schema = msgspec.json.schema(ARGUMENTS[name])
    (definition,) = schema["$defs"].values()
    assert definition["description"]
    assert all("description" in field for field in definition["properties"].values())


def test_what_the_receptionist_asks_for_is_booked() -> None:
    call = Conversation()
    call.say("my sink is leaking, this is Mary Jones", "12 Oak Street", "yes", "tomorrow at ten",
             "yes")  # fmt: skip
    office = Office()
    result = asyncio.run(office.run("book_order", call.order))
    assert office.orders.rows[result["order_id"]].customer_phone == CALLER


@pytest.mark.postgres
async def test_with_postgres_an_order_is_booked_found_and_cancelled(pool: Any) -> None:
    from db import PostgresCallStore
    from db.messages import PostgresMessages

    await add_tenants(pool)
    await PostgresCallStore(pool).write([begun("call-1")])
    box = OrderToolbox(PostgresOrders(pool), PostgresMessages(pool))
    about = facts(CALLER, user_id=ANNA)

    async def run(name: str, arguments: dict[str, Any], request: str = "r1") -> dict[str, Any]:
        text = msgspec.json.encode(arguments).decode()
        decoded: dict[str, Any] = msgspec.json.decode(await box.run(about, request, name, text))
        return decoded

    booking = {**ORDER, "customer_phone": CALLER}
    result = await run("book_order", booking)
    assert await run("book_order", booking) == result
    found = await run("look_up_order", {"customer_phone": CALLER})
    assert [order["order_id"] for order in found["orders"]] == [result["order_id"]]
    assert (await run("cancel_order", result))["status"] == "cancelled"
    message = {"message": "Ring twice \x00"}
    assert await run("take_message", message) == {"status": "kept"}
    assert await run("take_message", message) == {"status": "kept"}
    async with pool.server() as connection:
        kept = await connection.fetch("SELECT data FROM call_events WHERE kind = 'message'")
    assert len(kept) == 1
    assert msgspec.json.decode(kept[0]["data"])["text"] == "Ring twice"


@pytest.mark.postgres
async def test_with_postgres_a_call_not_stored_yet_loses_no_order(pool: Any) -> None:
    from db.messages import PostgresMessages

    await add_tenants(pool)
    box = OrderToolbox(PostgresOrders(pool), PostgresMessages(pool))
    about = facts(CALLER, user_id=ANNA)
    result = await box.run(about, "r1", "book_order", msgspec.json.encode(ORDER).decode())
    assert "order_id" in msgspec.json.decode(result)
    result = await box.run(about, "r2", "take_message", '{"message": "hello there"}')
    assert "error" in msgspec.json.decode(result)
