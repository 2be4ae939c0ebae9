"""All tools of a call: the order tools, the web search and text messages."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

import msgspec

from voice_server.call.events import Consumed
from voice_server.errors import ServiceError
from voice_server.llm.search import Found
from voice_server.llm.sms import segments
from voice_server.llm.tool_schemas import SearchWeb, SendSms
from voice_server.llm.tools import SEARCH_WEB, SEND_SMS
from voice_server.ports import CallFacts, Toolbox

SMS_SEGMENTS = "twilio.sms.segments"
_MAX_SEARCHES = 10  # of one call, answers from memory not counted
_MAX_MESSAGES = 3
_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")
_FIELD = re.compile(r" - at `\$\.?(?P<field>\w*)[^`]*`")
_NAMED = re.compile(r"field `(?P<field>\w+)`")
_Result = dict[str, Any]
_Arguments = TypeVar("_Arguments", SendSms, SearchWeb)


class Searcher(Protocol):
    """Looks things up on the web; `WebSearch` is one."""

    async def search(self, query: str, spend: Callable[[Consumed], None]) -> Found:
        """Search, and tell what it costs. Raises `ServiceError`."""


class MessageSender(Protocol):
    """Sends text messages; `TwilioRest` is one. Raises `ServiceError`."""

    async def send_message(self, *, to: str, sender: str, body: str) -> str:
        """Send one message; returns the carrier's id of it."""


class _Wrong(Exception):
    """What is wrong with a request, for whoever wrote it."""

    def __init__(self, field: str, problem: str, fix: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.error = {"error": {"field": field, "problem": problem, "fix": fix}}


class CombinedToolbox:
    """The tools of one call. Satisfies port `Toolbox`; books through `spend`.

    A request runs once however often it is made: a second one waits for the first and gets its
    result. A message whose first attempt was cut short is not sent again, since it may have
    gone out.
    """

    __slots__ = ("_found", "_messages", "_orders", "_search", "_sender", "_spend", "_work")

    def __init__(
        self,
        orders: Toolbox,
        spend: Callable[[Consumed], None],
        *,
        search: Searcher | None = None,
        sender: MessageSender | None = None,
    ) -> None:
        self._orders = orders
        self._spend = spend
        self._search = search
        self._sender = sender
        self._work: dict[tuple[str, str], asyncio.Future[str]] = {}
        self._found: dict[str, Found] = {}
        self._messages: set[str] = set()

    async def run(self, facts: CallFacts, request_id: str, name: str, arguments: str) -> str:
        """Run a tool once per (call, request_id); only order tools raise `ServiceError`."""
        key = (facts.call_id, request_id)
        known = self._work.get(key)
        if known is not None:
            return await asyncio.shield(known)
        future = self._work[key] = asyncio.get_running_loop().create_future()
        try:
            result = await self._run(facts, request_id, name, arguments)
        except BaseException:
            # Whoever waits for this attempt hears that nothing is known. The order book knows
            # its requests again and a search does no harm, so those may be tried once more.
            future.set_result(_encoded(_UNKNOWN))
            if name != SEND_SMS:
                del self._work[key]
            raise
        future.set_result(result)
        return result

    async def _run(self, facts: CallFacts, request_id: str, name: str, arguments: str) -> str:
        tools: dict[str, Callable[[CallFacts, str], Awaitable[_Result]]] = {}
        if self._search is not None:
            tools[SEARCH_WEB] = self._search_web
        if self._sender is not None:
            tools[SEND_SMS] = self._send_sms
        tool = tools.get(name)
        if tool is None:
            return await self._orders.run(facts, request_id, name, arguments)
        try:
            return _encoded(await tool(facts, arguments))
        except _Wrong as wrong:
            return _encoded(wrong.error)

    async def _search_web(self, _facts: CallFacts, arguments: str) -> _Result:
        assert self._search is not None
        query = " ".join(_read(arguments, SearchWeb).query.split())
        if not query:
            raise _Wrong("query", "empty", "send a few search words")
        found = self._found.get(query.lower())
        if found is None:
            if len(self._found) >= _MAX_SEARCHES:
                raise _Wrong("", "too many searches in this call", "go on without")
            try:
                found = await self._search.search(query, self._spend)
            except ServiceError:
                raise _Wrong("", "the search is not reachable", "say so, go on without") from None
            self._found[query.lower()] = found
        if not found.answer and not found.hits:
            return {"results": [], "note": "nothing was found"}
        told: _Result = {"results": msgspec.to_builtins(found.hits)}
        return {"answer": found.answer, **told} if found.answer else told

    async def _send_sms(self, facts: CallFacts, arguments: str) -> _Result:
        """Only to the other end of this call: else anybody could have anybody texted."""
        assert self._sender is not None
        body = _read(arguments, SendSms).message.strip()
        if not body:
            raise _Wrong("message", "empty", "write what the message shall say")
        inbound = facts.direction != "outbound"
        to, ours = facts.caller_number, facts.called_number
        if not inbound:
            to, ours = ours, to
        if not _NUMBER.fullmatch(to) or not _NUMBER.fullmatch(ours):
            raise _Wrong("", "the caller's number is withheld", "read the words out instead")
        if body in self._messages:
            raise _Wrong("message", "these words were sent already", "tell the caller so")
        if len(self._messages) >= _MAX_MESSAGES:
            raise _Wrong("", "too many messages in this call", "read the words out instead")
        self._messages.add(body)
        await self._send(self._sender, to, ours, body)
        return {"status": "sent"}

    async def _send(self, sender: MessageSender, to: str, ours: str, body: str) -> None:
        owed = True  # also when no answer comes: it may have been sent
        try:
            await sender.send_message(to=to, sender=ours, body=body)
        except ServiceError as error:
            owed = error.retryable
            if not error.retryable:
                self._messages.discard(body)
                fix = "read the words out instead"
                raise _Wrong("", "the message was refused by the carrier", fix) from None
            fix = "say so, and read the words out"
            raise _Wrong("", "it is not known whether the message went out", fix) from None
        finally:
            if owed:
                self._spend(Consumed(SMS_SEGMENTS, segments(body)))


_UNKNOWN = {
    "error": {
        "field": "",
        "problem": "it is not known whether this was done",
        "fix": "say so; do not ask for it again",
    }
}


def _read(arguments: str, kind: type[_Arguments]) -> _Arguments:
    try:
        return msgspec.json.decode(arguments, type=kind)
    except msgspec.ValidationError as error:
        text = str(error)
        named = _NAMED.search(text) or _FIELD.search(text)
        field = named.group("field") if named else ""
        problem = _FIELD.sub("", text)
        raise _Wrong(
            field or "arguments", problem[:1].lower() + problem[1:], _expected(kind)
        ) from None
    except (msgspec.DecodeError, UnicodeError):
        raise _Wrong("arguments", "not a JSON object", _expected(kind)) from None


def _expected(kind: type[msgspec.Struct]) -> str:
    return "send a JSON object with: " + ", ".join(kind.__struct_fields__)


def _encoded(result: _Result) -> str:
    return msgspec.json.encode(result).decode()
