"""A call's conversation with a hosted agent: one socket that hears, thinks and speaks.

The three ports of a call see it from three sides: `ears`, `mind` and `voice` of this package.
The call stays in charge. It asks for replies, and takes what the agent has offered by then; it
drops what nobody is to hear; and when the conversation fails, its ordinary engines go on.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import TypeAlias, assert_never

import msgspec
from websockets.asyncio.client import ClientConnection

from voice_server.call.events import (
    CallerInterrupted,
    Consumed,
    ConversationOpened,
    FinalTranscript,
    PartialTranscript,
    ReplyOffered,
    TurnId,
)
from voice_server.errors import ServiceError, ServiceRejected, ServiceUnavailable
from voice_server.hosted import wire
from voice_server.hosted.bills import HostedBills
from voice_server.hosted.config import HostedConfig, Override, Variable
from voice_server.hosted.door import Door
from voice_server.hosted.response import Response
from voice_server.hosted.responses import Responses
from voice_server.limits import Limits
from voice_server.speech.elevenlabs.failures import mapped
from voice_server.speech.elevenlabs.sending import sending

COST_ITEM = "elevenlabs.agents.milliseconds"

_PORTION = 640  # bytes: 80 ms a message, as to the realtime recogniser
_MOST_WAITING = 40_000  # 5 s of audio while the socket opens or is stuck; then the oldest goes
_BILL_S = 10.0
_NORMAL = 1000  # the close code of an agent that has ended the conversation
_REFUSED = 1008
_CHECK_CONFIG = (
    "the agent refuses the conversation; check agent_id, overrides and dynamic_variables in "
    "elevenlabs_config"
)

Fact: TypeAlias = (
    PartialTranscript | FinalTranscript | ReplyOffered | CallerInterrupted | ConversationOpened
)
Move: TypeAlias = Response | wire.ToolWanted | wire.Goodbye


class Opening(msgspec.Struct, frozen=True):
    """What the agent is told when the conversation begins; `greeting` "" = none of ours."""

    config: HostedConfig
    greeting: str
    voice_id: str
    variables: Mapping[str, Variable]

    def message(self) -> str:
        """The first message; only what the agent's settings allow is overridden."""
        allowed, agent = self.config.overrides, dict[str, str]()
        if Override.FIRST_MESSAGE in allowed and self.greeting:
            agent["first_message"] = self.greeting
        if Override.LANGUAGE in allowed and self.config.language:
            agent["language"] = self.config.language
        return wire.initiation(
            agent=agent,
            voice_id=self.voice_id if Override.VOICE_ID in allowed else "",
            dynamic_variables={**self.variables, **self.config.dynamic_variables},
        )


class HostedConversation:
    """One conversation; `run` it in a task of its owner, who takes the facts off `facts`.

    Once `error` is set it is lost for good, and whoever waits is told.
    """

    def __init__(
        self,
        door: Door,
        opening: Opening,
        spend: Callable[[Consumed], None],
        limits: Limits,
        bills: HostedBills | None = None,
    ) -> None:
        """`bills` ask for what is only known after the end. `limits`: first byte of the connection
        and of audio; between two pieces of audio; total = how long an answer may take to begin."""
        self.limits = limits
        self.error: Exception | None = None
        self.facts: deque[Fact] = deque()
        self.news = asyncio.Event()  # set when there is something in `facts`, or an error
        self.closed = False  # by the agent, in good order
        self.greeting_due = bool(opening.greeting)
        self.responses = Responses()
        self.told_at = 0.0  # when the service last gave any sign of life
        self._door = door
        self._opening = opening
        self._spend = spend
        self._bills = bills
        self._id = ""
        self._loop = asyncio.get_running_loop()
        self._audio = bytearray()
        self._outbox: deque[str] = deque()
        self._work = asyncio.Event()
        self._moves: deque[Move] = deque()
        self._moved = asyncio.Event()
        self._waiting = 0  # for a move
        self._muted = False
        self._parting = False  # the agent has said so
        self._billed_at: float | None = None
        self._unbilled_s = 0.0

    # The side of the call.

    @property
    def usable(self) -> bool:
        """The agent can be asked, or has left something behind."""
        return self.error is None and (not self.closed or bool(self._moves))

    def push(self, mulaw: bytes) -> None:
        """Take what the caller says."""
        self._audio += mulaw
        del self._audio[:-_MOST_WAITING]
        if len(self._audio) >= _PORTION:
            self._work.set()

    def post(self, message: str) -> None:
        """Send one message of `wire` when the socket is free."""
        if self.error is None and not self.closed:
            self._outbox.append(message)
            self._work.set()

    def ask(self, message: str) -> None:
        """Send what the agent is to answer."""
        self._muted = False
        self.post(message)

    def take(self) -> Move | None:
        """The agent's next move, if it has made one."""
        while self._moves:
            move = self._moves.popleft()
            if not (isinstance(move, Response) and move.cut):
                return move
        return None

    def put_back(self, move: Move) -> None:
        """This move is for somebody else."""
        self._moves.appendleft(move)

    async def next_move(self, within_s: float) -> Move:
        """Wait for the agent's next move; raises `ServiceError` when there is none in time."""
        self._waiting += 1
        try:
            async with asyncio.timeout(within_s):
                while (move := self.take()) is None:
                    self.check()
                    if self.closed:
                        raise ServiceUnavailable(wire.SERVICE, "the conversation is over")
                    self._moved.clear()
                    await self._moved.wait()
                return move
        except TimeoutError:
            raise ServiceUnavailable(wire.SERVICE, "the agent does not answer in time") from None
        finally:
            self._waiting -= 1

    async def move_after(self, response: Response) -> Move | None:
        """What the agent does in the same breath as `response`; None once that is over."""
        self._waiting += 1
        over = self._loop.create_task(response.wait_over(), name="hosted response")
        try:
            while (move := self.take()) is None and not over.done():
                self.check()
                self._moved.clear()
                moved = self._loop.create_task(self._moved.wait(), name="hosted move")
                try:
                    await asyncio.wait([over, moved], return_when=asyncio.FIRST_COMPLETED)
                finally:
                    moved.cancel()
            return move
        finally:
            over.cancel()
            self._waiting -= 1

    def check(self) -> None:
        """Raise what the conversation was lost by."""
        if self.error is not None:
            raise self.error

    def speak_for(self) -> None:
        """Words of our own are said instead of the agent's: what it answers now comes too late."""
        self.greeting_due = False
        self._muted = True
        self._forget_words()

    def drop(self, turn: TurnId) -> None:
        """A turn was broken off: neither its words nor what was to follow them is said."""
        self.responses.release(turn)
        self._forget_words()

    def _forget_words(self) -> None:
        for move in [move for move in self._moves if isinstance(move, Response)]:
            move.abandon()
            self._moves.remove(move)

    def fail(self, error: Exception) -> None:
        """The conversation is of no use any more; the first reason counts."""
        if self.error is None:
            self.error = error
        self.responses.lose()
        self.news.set()
        self._moved.set()

    def report(self, fact: Fact) -> None:
        """Something for the call."""
        self.facts.append(fact)
        self.news.set()

    # The side of the service.

    async def run(self) -> None:
        """Hold the conversation until it ends, fails or is cancelled."""
        try:
            await self._live()
        except ServiceError as error:
            self.fail(error)
        except asyncio.CancelledError:
            self.fail(ServiceUnavailable(wire.SERVICE, "nobody listens to the agent any more"))
            raise
        except Exception as error:
            self.fail(error)
            raise
        finally:
            self._bill()

    async def _live(self) -> None:
        socket = await self._door.open(self.limits.first_byte_s)
        try:
            with mapped():
                await socket.send(self._opening.message())
                async with asyncio.timeout(self.limits.first_byte_s):
                    while self._billed_at is None:
                        self._hear(await socket.recv())
            async with sending(socket, self._send, "hosted agent sender"):
                while True:
                    self._hear(await socket.recv())
        except ServiceUnavailable:
            if self._billed_at is None and socket.close_code == _REFUSED:
                raise ServiceRejected(wire.SERVICE, _CHECK_CONFIG) from None
            if self._billed_at is None or socket.close_code != _NORMAL:
                raise
            self._end()
        finally:
            self._bill()
            self._billed_at = None
            if self._id and self._bills is not None and self._door.has_account:
                self._bills.ask(self._door, self._id, self._spend)
            await socket.close()

    async def _send(self, socket: ClientConnection) -> None:
        while True:
            while self._outbox:
                await socket.send(self._outbox.popleft())
            if len(self._audio) >= _PORTION:
                portion = bytes(self._audio)
                self._audio.clear()
                await socket.send(wire.audio(portion))
            else:
                self._work.clear()
                await self._work.wait()

    def _hear(self, message: str | bytes) -> None:
        self.told_at = self._loop.time()
        if self._billed_at is not None and self.told_at - self._billed_at >= _BILL_S:
            self._bill()
        told = wire.parse(message)
        if told is not None:
            self._take(told)

    def _take(self, told: wire.Message) -> None:  # noqa: C901 - one flat table
        match told:
            case wire.Sound():
                self.responses.hear(told)
            case wire.Ping(number=number):
                self.post(wire.pong(number))
            case wire.SeemsHeard(text=text):
                self.report(PartialTranscript(text))
            case wire.Heard(text=text):
                self._muted = False
                self.report(FinalTranscript(text, 0))
            case wire.Said():
                self._said(told)
            case wire.Corrected():
                self.responses.correct(told)
            case wire.Completed(number=number):
                self.responses.complete(number)
            case wire.Interrupted(number=number):
                if self.responses.cut(number):
                    self.report(CallerInterrupted())
            case wire.ToolWanted():
                self._offer(told)
            case wire.Goodbye():
                self._say_goodbye()
            case wire.Began():
                self._begin(told)
            case wire.Broken(error=error):
                raise error
            case _:
                assert_never(told)

    def _begin(self, began: wire.Began) -> None:
        if (began.heard_as, began.spoken_as) != (wire.AUDIO_FORMAT, wire.AUDIO_FORMAT):
            fix = "set the agent's input and output audio format to mu-law 8000 Hz"
            raise ServiceRejected(wire.SERVICE, f"the agent does not speak telephone audio; {fix}")
        self._billed_at = self._loop.time()
        self._id = began.conversation_id
        self.report(ConversationOpened(began.conversation_id))

    def _said(self, said: wire.Said) -> None:
        response = self.responses.said(said)
        if response is None:
            return
        if self._muted:
            response.abandon()
        else:
            self._offer(response)

    def _end(self) -> None:
        """The agent has closed the conversation."""
        self.closed = True
        self.responses.end()
        self._moved.set()
        self._say_goodbye()

    def _say_goodbye(self) -> None:
        if not self._parting:
            self._parting = True
            self._offer(wire.Goodbye())

    def _offer(self, move: Move) -> None:
        self._moves.append(move)
        self._moved.set()
        if not self._waiting and not self.greeting_due:
            self.report(ReplyOffered())

    def _bill(self) -> None:
        """Book the time since the last booking, in whole milliseconds."""
        if self._billed_at is None:
            return
        now = self._loop.time()
        self._unbilled_s += now - self._billed_at
        self._billed_at = now
        ms = int(self._unbilled_s * 1000 + 1e-6)
        self._unbilled_s -= ms / 1000
        if ms:
            self._spend(Consumed(COST_ITEM, ms))
