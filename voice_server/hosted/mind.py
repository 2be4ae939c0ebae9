"""The hosted agent as language model: its next moves, told as a reply."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeAlias, assert_never

import msgspec

from voice_server.call import END_CALL
from voice_server.call.events import Consumed, ReplyEnded, ReplyText, ToolRequested, TurnId
from voice_server.call.history import AgentSaid, CallerPressed, CallerSaid, History, ToolUsed
from voice_server.errors import ServiceError
from voice_server.hosted import wire
from voice_server.hosted.conversation import HostedConversation, Move
from voice_server.hosted.response import Response
from voice_server.llm.remote.prompt import PRESSED
from voice_server.ports import LanguageModel, ReplyRequest

Piece: TypeAlias = ReplyText | ToolRequested | ReplyEnded | Consumed


class _Result(msgspec.Struct):
    error: object = None


class HostedMind:
    """A `LanguageModel` over the conversation; `ordinary` answers once it is lost.

    The service hears the caller itself, so nothing of the history goes there but what it
    cannot know: keys that were pressed, and results of the tools it asked for.
    """

    def __init__(self, conversation: HostedConversation, ordinary: LanguageModel) -> None:
        self._conversation = conversation
        self._ordinary = ordinary
        self._seen = 0  # entries of the history
        self._owed = False  # the agent has not answered what it was last told
        self._tools: set[str] = set()  # whose results the agent waits for
        self._planned = ""  # all that the agent wanted to say in the turn asked about last
        self._turn = 0
        self._broken_off = False  # by the call, before the agent was done
        self._partings = 0

    async def reply(self, request: ReplyRequest) -> AsyncGenerator[Piece, None]:
        """Yield the agent's moves, or the ordinary model's reply where it makes none in time."""
        begun = False
        if self._conversation.usable:
            try:
                async with aclosing(self._hosted(request)) as pieces:
                    async for piece in pieces:
                        begun = True
                        yield piece
                return
            except ServiceError as error:
                self._conversation.fail(error)
        if begun:  # the voice says what there is of the answer
            yield ReplyEnded(request.turn)
            return
        async with aclosing(self._ordinary.reply(request)) as ordinary:
            async for answer in ordinary:
                yield answer

    async def _hosted(self, request: ReplyRequest) -> AsyncGenerator[Piece, None]:
        conversation, broken_off = self._conversation, True
        try:
            self._tell(request.history)
            move = conversation.take()
            if move is None and self._owed:
                move = await conversation.next_move(conversation.limits.total_s)
            elif move is None and (rest := self._rest(request.history)):
                yield ReplyText(request.turn, rest)
            self._begin(request.turn)
            while move is not None:
                self._owed = False
                yield self._piece(request.turn, move)
                move = await self._after(move)
            broken_off = False
            yield ReplyEnded(request.turn)
        except ServiceError:
            broken_off = False  # what has come of its audio is good
            raise
        finally:
            if broken_off:
                self._broken_off = True
                conversation.drop(request.turn)

    def _begin(self, turn: TurnId) -> None:
        self._broken_off = False
        if turn != self._turn:
            self._turn, self._planned = turn, ""

    def _rest(self, history: History) -> str:
        """What was not heard of an answer that nobody meant to interrupt: a cough, a door."""
        said = history[-1] if history else None
        heard = said.text if isinstance(said, AgentSaid) and said.interrupted else ""
        if not self._broken_off or not self._planned.startswith(heard):
            return ""
        return self._planned[len(heard) :]

    async def _after(self, move: Move) -> Move | None:
        """What belongs to the same breath; the result of a tool comes with the next question."""
        if isinstance(move, Response):
            return await self._conversation.move_after(move)
        return self._conversation.take() if isinstance(move, wire.ToolWanted) else None

    def _tell(self, history: History) -> None:
        """Pass on what is new to the agent."""
        for entry in history[self._seen :]:
            match entry:
                case CallerSaid():
                    self._owed = True
                case CallerPressed(digits=digits):
                    self._conversation.ask(wire.user_message(PRESSED.format(keys=digits)))
                    self._owed = True
        self._seen = len(history)
        for entry in history:
            if not isinstance(entry, ToolUsed) or entry.result is None:
                continue
            if entry.request_id in self._tools:
                self._tools.discard(entry.request_id)
                failed = msgspec.json.decode(entry.result, type=_Result).error is not None
                self._conversation.ask(
                    wire.tool_result(entry.request_id, entry.result, failed=failed)
                )
                self._owed = True

    def _piece(self, turn: TurnId, move: Move) -> Piece:
        match move:
            case Response():
                self._conversation.responses.bind(turn, move)
                self._planned += move.planned
                return ReplyText(turn, move.planned)
            case wire.ToolWanted(key=key, name=name, arguments=arguments):
                self._tools.add(key)
                return ToolRequested(turn, key, name, arguments)
            case wire.Goodbye():
                self._partings += 1
                return ToolRequested(turn, f"parting-{self._partings}", END_CALL, "{}")
            case _:
                assert_never(move)
