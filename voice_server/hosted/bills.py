"""What the language model of a hosted agent has cost: the service tells once a call is over."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from voice_server.call.events import Consumed
from voice_server.errors import ServiceError
from voice_server.hosted.door import Door

LLM_ITEM: Final = "elevenlabs.agents_llm.micro_usd"

PAUSES_S: Final = (5.0, 15.0, 60.0, 180.0, 600.0)  # the service works on a call after its end
_WITHIN_S: Final = 5.0

log = logging.getLogger(__name__)


class HostedBills:
    """Asks for the price of each conversation until it is told; `close` it behind the calls."""

    __slots__ = ("_closing", "_pauses_s", "_tasks")

    def __init__(self, pauses_s: Sequence[float] = PAUSES_S) -> None:
        self._pauses_s = pauses_s
        self._closing = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def ask(self, door: Door, conversation_id: str, spend: Callable[[Consumed], None]) -> None:
        """Let `spend` take the price, some time after the call."""
        task = asyncio.get_running_loop().create_task(
            self._settle(door, conversation_id, spend), name="hosted agent bill"
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Ask once more for what was not told; what is not told by then is not booked."""
        self._closing.set()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=_WITHIN_S)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)

    async def _settle(
        self, door: Door, conversation_id: str, spend: Callable[[Consumed], None]
    ) -> None:
        for pause_s in self._pauses_s:
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._closing.wait()
            with suppress(ServiceError):
                price = await door.llm_micro_usd(conversation_id, _WITHIN_S)
                if price is not None:
                    if price:
                        spend(Consumed(LLM_ITEM, price))
                    return
            if self._closing.is_set():
                break
        unbooked = {"conversation": conversation_id}
        log.warning("the language model of a hosted agent is not booked", extra=unbooked)
