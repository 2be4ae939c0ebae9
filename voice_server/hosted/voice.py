"""The hosted agent as text to speech: its own audio for its own words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import TypeAlias

from voice_server.call.events import Consumed, SpeechReady, TurnId
from voice_server.errors import ServiceError
from voice_server.hosted import wire
from voice_server.hosted.conversation import HostedConversation
from voice_server.hosted.response import Response
from voice_server.ports import CallFacts, TextToSpeech

Sound: TypeAlias = SpeechReady | Consumed

_GREETING_S = 1.8  # from the start of the stream to the agent's first words
_SAID_FOR_YOU = 'The telephone system has said to the caller on your behalf: "{words}"'


class HostedVoice:
    """A `TextToSpeech` over the conversation; `ordinary` says what the agent does not.

    That is words of the call itself, all words once the conversation is lost, and the rest of
    a response whose audio breaks off, from the word that was cut.
    """

    __slots__ = ("_conversation", "_ordinary")

    def __init__(self, conversation: HostedConversation, ordinary: TextToSpeech) -> None:
        self._conversation = conversation
        self._ordinary = ordinary

    async def speak(
        self, turn: TurnId, pieces: AsyncIterator[str], facts: CallFacts
    ) -> AsyncGenerator[Sound, None]:
        """Yield the audio of a turn. A greeting is the agent's first response, in its words."""
        conversation = self._conversation
        script, whole = _Script(pieces), False
        try:
            if conversation.greeting_due and (greeting := await self._greeting()) is not None:
                conversation.responses.bind(turn, greeting)
                said = self._responses(turn, _Script.of(greeting.text), facts)
            elif conversation.responses.script(turn):
                said = self._responses(turn, script, facts)
            else:
                said = self._own_words(turn, script, facts)
            async with aclosing(said) as sounds:
                async for sound in sounds:
                    yield sound
            whole = True
        finally:
            if whole:
                conversation.responses.release(turn)
            else:
                conversation.drop(turn)
            await script.close()

    async def _greeting(self) -> Response | None:
        """The agent's first words; None when there are none in time, or it does otherwise."""
        conversation = self._conversation
        try:
            move = await conversation.next_move(_GREETING_S)
        except ServiceError:
            return None
        finally:
            conversation.greeting_due = False
        if isinstance(move, Response):
            return move
        conversation.put_back(move)
        return None

    async def _own_words(
        self, turn: TurnId, script: _Script, facts: CallFacts
    ) -> AsyncGenerator[Sound, None]:
        conversation = self._conversation
        if conversation.usable:
            conversation.speak_for()
        async with aclosing(self._ordinary.speak(turn, script.rest(0), facts)) as sounds:
            async for sound in sounds:
                yield sound
        if conversation.usable and script.text.strip():
            words = _SAID_FOR_YOU.format(words=script.text.strip())
            conversation.post(wire.contextual_update(words))

    async def _responses(
        self, turn: TurnId, script: _Script, facts: CallFacts
    ) -> AsyncGenerator[Sound, None]:
        """The responses of a turn as they come, then what else the turn says."""
        responses, limits = self._conversation.responses, self._conversation.limits
        done = begins = 0  # responses said, and characters of the script that they are
        while True:
            if done < len(said := responses.script(turn)):
                response = said[done]
                try:
                    async with aclosing(response.speak(turn, limits)) as sounds:
                        async for sound in sounds:
                            yield sound
                except ServiceError as error:
                    self._conversation.fail(error)
                    begins += response.spoken.cut_word
                    break
                done, begins = done + 1, begins + len(response.planned)
            elif len(script.text) > begins and script.text[begins:].strip():
                break  # another model goes on with the turn
            elif script.complete:
                return
            else:
                await script.wait()
        async with aclosing(self._ordinary.speak(turn, script.rest(begins), facts)) as rest:
            async for more in rest:
                yield more


class _Script:
    """The words of a turn as the call tells them."""

    def __init__(self, pieces: AsyncIterator[str]) -> None:
        self.text = ""
        self.complete = False
        self._more = asyncio.Event()
        self._reading = asyncio.get_running_loop().create_task(self._read(pieces), name="script")

    @classmethod
    def of(cls, text: str) -> _Script:
        """A script that is known from the beginning."""

        async def whole() -> AsyncIterator[str]:
            yield f"{text} "

        return cls(whole())

    async def _read(self, pieces: AsyncIterator[str]) -> None:
        try:
            async for piece in pieces:
                self.text += piece
                self._more.set()
        finally:
            self.complete = True
            self._more.set()

    async def wait(self) -> None:
        """Wait until there is more, or the end."""
        self._more.clear()
        await self._more.wait()

    async def rest(self, begin: int) -> AsyncIterator[str]:
        """The words from a place on, as they come."""
        while True:
            if len(self.text) > begin:
                piece, begin = self.text[begin:], len(self.text)
                yield piece
            elif self.complete:
                return
            else:
                await self.wait()

    async def close(self) -> None:
        """Stop reading."""
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
