"""Language models in a chain: the first that answers writes the turn."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from functools import partial

import msgspec

from voice_server.call.events import Consumed, ReplyEnded, ReplyText, ToolRequested
from voice_server.engines.health import Health
from voice_server.engines.race import Runner, race
from voice_server.limits import Limits
from voice_server.ports import LanguageModel, ReplyRequest

Piece = ReplyText | ToolRequested | ReplyEnded | Consumed


class LanguageLink(msgspec.Struct, frozen=True):
    """One model of a chain; a `reserve` answers only when all before it have failed."""

    model: LanguageModel
    health: Health
    limits: Limits
    reserve: bool = False


class LanguageChain:
    """A `LanguageModel` of several, best first; the last is asked however it has been doing."""

    def __init__(self, links: Sequence[LanguageLink]) -> None:
        assert links
        self._links = tuple(links)

    async def reply(self, request: ReplyRequest) -> AsyncGenerator[Piece, None]:
        """Answer with the first model that does; raises what the last one raised."""
        runners = [
            Runner(link.health, link.limits, partial(link.model.reply, request), link.reserve)
            for link in self._links
        ]
        stream = race(runners)
        try:
            async for piece in stream:
                yield piece
        finally:
            await stream.aclose()
