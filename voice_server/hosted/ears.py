"""The hosted agent as speech to text: what it hears, and what it does unasked."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from voice_server.call.events import FinalTranscript, PartialTranscript
from voice_server.call.voice_activity import SPEECH_LEVEL, loudness
from voice_server.errors import ServiceUnavailable
from voice_server.hosted.conversation import HostedConversation
from voice_server.hosted.wire import SERVICE
from voice_server.ports import CallFacts, Heard

_FRAME_MS = 20
_SPEECH_MS = 600  # so much sound is somebody talking, not a cough or a door
_NOTHING_S = 1.0  # after a pause, when what came before it was hardly words
_WORDS_S = 2.3  # when it was: others have time to hear it again while the call waits


class _Pause(msgspec.Struct):
    """A pause of the caller that is to be answered with what was said before it."""

    utterance: int
    spoke: bool  # somebody did, not just something
    at: float
    timer: asyncio.TimerHandle


class HostedTranscriber:
    """The ears of one call. The service cuts by itself: its next transcript answers all pauses."""

    def __init__(self, conversation: HostedConversation) -> None:
        self._conversation = conversation
        self._loop = asyncio.get_running_loop()
        self._pauses: deque[_Pause] = deque()
        self._voiced_ms = 0
        self._partial = ""

    def push(self, mulaw: bytes) -> None:
        """Take one frame."""
        if loudness(mulaw) >= SPEECH_LEVEL:
            self._voiced_ms += _FRAME_MS
        self._conversation.push(mulaw)

    def commit(self, utterance: int) -> None:
        """Answer this pause when the service does, or with nothing when it takes no notice."""
        spoke, self._voiced_ms = self._voiced_ms >= _SPEECH_MS, 0
        patience = _WORDS_S if spoke or self._partial else _NOTHING_S
        timer = self._loop.call_later(patience, self._give_up, utterance)
        self._pauses.append(_Pause(utterance, spoke, self._loop.time(), timer))
        if self._conversation.closed:  # and somebody still talks: others have to listen
            self._conversation.fail(ServiceUnavailable(SERVICE, "the conversation is over"))

    async def __aiter__(self) -> AsyncIterator[Heard]:
        conversation = self._conversation
        while True:
            while conversation.facts:
                fact = conversation.facts.popleft()
                if isinstance(fact, FinalTranscript):
                    for final in self._answers(fact):
                        yield final
                    continue
                if isinstance(fact, PartialTranscript):
                    self._partial = fact.text
                yield fact
            conversation.check()
            conversation.news.clear()
            await conversation.news.wait()

    def _answers(self, heard: FinalTranscript) -> list[FinalTranscript]:
        """The transcript for the newest pause; earlier ones were a part of it."""
        self._partial = ""
        if heard.utterance:
            return [heard]
        pauses, self._pauses = self._pauses, deque()
        for pause in pauses:
            pause.timer.cancel()
        utterances = [pause.utterance for pause in pauses] or [0]
        earlier = [FinalTranscript("", utterance) for utterance in utterances[:-1]]
        return [*earlier, FinalTranscript(heard.text, utterances[-1])]

    def _give_up(self, utterance: int) -> None:
        """The service took no notice: it heard no words, or it hears and says no more.

        Then others hear the same words again, so that none is lost.
        """
        pause = next(pause for pause in self._pauses if pause.utterance == utterance)
        if pause.spoke and self._conversation.told_at < pause.at:
            self._conversation.fail(ServiceUnavailable(SERVICE, "hears the caller no more"))
            return
        self._pauses.remove(pause)
        self._conversation.report(FinalTranscript("", utterance))

    def close(self) -> None:
        """Answer nothing any more."""
        for pause in self._pauses:
            pause.timer.cancel()


class HostedEars:
    """A `SpeechToText` over the conversation, which lives as long as somebody listens."""

    __slots__ = ("_conversation",)

    def __init__(self, conversation: HostedConversation) -> None:
        self._conversation = conversation

    @asynccontextmanager
    async def listen(self, facts: CallFacts) -> AsyncIterator[HostedTranscriber]:  # noqa: ARG002
        """Begin the conversation; leaving ends it."""
        transcriber = HostedTranscriber(self._conversation)
        loop = asyncio.get_running_loop()
        running = loop.create_task(self._conversation.run(), name="hosted agent")
        try:
            yield transcriber
        finally:
            transcriber.close()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)  # iterating told already
