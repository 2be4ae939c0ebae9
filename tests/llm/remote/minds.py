"""A simulated provider, our adapter before it, and a ledger between them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import date
from typing import Any

from tests.llm.conversation import GREETING, facts
from voice_server.call.events import Consumed, ReplyEnded, ReplyText, ToolRequested
from voice_server.call.history import CallerSaid, History
from voice_server.limits import Limits
from voice_server.llm.catalogue import shipped
from voice_server.llm.remote.chat import Chat
from voice_server.llm.remote.connection import Connection
from voice_server.llm.remote.dialects import DIALECTS
from voice_server.llm.remote.mind import read_mind
from voice_server.llm.tool_schemas import offered
from voice_server.orders.toolbox import ARGUMENTS
from voice_server.ports import CallFacts, ReplyRequest
from voice_server.testing.lab.anthropic import messages
from voice_server.testing.lab.host import hosting
from voice_server.testing.lab.mind import Said, Wanted, always
from voice_server.testing.lab.model import ModelSimulator, Wire
from voice_server.testing.lab.openai import chat_completions

TODAY = date(2026, 11, 22)
LIMITS = Limits(first_byte_s=3.0, between_s=2.0, total_s=20.0)
TOOLS = offered(ARGUMENTS, can_transfer=True, can_text=True, can_search=True)
MODELS = {
    "openai": "gpt-6-luna",
    "google": "gemini-3.5-flash-lite",
    "grok": "grok-4.20-non-reasoning",
    "anthropic": "claude-haiku-5-5",
}
PATHS = {"anthropic": "", "google": "/v1beta/openai/"}
PROVIDERS = sorted(MODELS)
KEY = "sk-secret-of-the-tenant"
HELLO: History = (GREETING, CallerSaid("My kitchen tap is leaking badly."))
LONG = Said("This is a long answer. " * 8)
BOOKING = Said(
    "One moment. ",
    (Wanted("book_order", '{"customer_name":"Zoë \\"Z\\" Müller","customer_phone":"1"}'),),
)
Piece = ReplyText | ToolRequested | ReplyEnded | Consumed


class Desk:
    """The simulator, one call's adapter, and what was booked."""

    def __init__(
        self, provider: str, simulator: ModelSimulator, connection: Connection, config: str
    ) -> None:
        self.provider = provider
        self.simulator = simulator
        self.connection = connection
        self.ledger: Counter[str] = Counter()
        self.bookings = 0
        self.mind = read_mind(config, shipped(), TODAY)
        self.chat = Chat(connection, self.mind, TOOLS, LIMITS, self.spend)

    def spend(self, consumed: Consumed) -> None:
        self.ledger[consumed.item] += consumed.quantity
        self.bookings += 1

    @property
    def priced(self) -> Counter[str]:
        """What the ledger holds without the marks of estimates."""
        return Counter(
            {item: n for item, n in self.ledger.items() if not item.endswith("_replies")}
        )

    @property
    def estimates(self) -> int:
        return sum(n for item, n in self.ledger.items() if item.endswith("_replies"))

    async def ask(
        self, history: History = HELLO, about: CallFacts | None = None, turn: int = 1
    ) -> list[Piece]:
        request = ReplyRequest(turn, history, about or facts())
        async with aclosing(self.chat.reply(request)) as pieces:
            return [piece async for piece in pieces]

    async def ask_and_leave(self, after: int, history: History = HELLO) -> list[Piece]:
        """Take so many pieces and walk away."""
        taken: list[Piece] = []
        async with aclosing(self.chat.reply(ReplyRequest(1, history, facts()))) as pieces:
            async for piece in pieces:
                taken.append(piece)
                if len(taken) >= after:
                    break
        await settled()
        return taken

    @property
    def body(self) -> dict[str, Any]:
        return self.simulator.bodies[-1]


async def settled() -> None:
    """Let the other end notice that we are gone."""
    await asyncio.sleep(0.5)


def text_of(pieces: list[Piece]) -> str:
    return "".join(piece.text for piece in pieces if isinstance(piece, ReplyText))


def tools_of(pieces: list[Piece]) -> list[ToolRequested]:
    return [piece for piece in pieces if isinstance(piece, ToolRequested)]


@asynccontextmanager
async def open_desk(
    provider: str,
    *,
    said: Said | None = None,
    config: str = "",
    key: str = KEY,
    wire: Wire | None = None,
    **options: Any,
) -> AsyncIterator[Desk]:
    """A provider on loopback that says `said`, or what a receptionist would say."""
    if said is not None:
        options["mind"] = always(said)
    if wire is None:
        wire = messages() if provider == "anthropic" else chat_completions(provider)  # type: ignore[arg-type]
    simulator = ModelSimulator(wire, **options)
    config = config or f'{{"model": "{MODELS[provider]}"}}'
    async with hosting(simulator.app) as url:
        base = url + PATHS.get(provider, "/v1")
        connection = Connection(DIALECTS[provider], key, base_url=base, timeout_s=10)
        try:
            yield Desk(provider, simulator, connection, config)
        finally:
            await connection.close()
