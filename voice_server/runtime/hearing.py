"""Where the voice of a call's caller goes."""

from __future__ import annotations

from collections import deque

from voice_server.call.commands import Commit, Transcribe
from voice_server.ports import Transcriber, VoiceTrack

_EARLY = 100  # 2 s of audio kept while the transcriber opens


class Hearing:
    """To the voice activity model at once, and to the transcriber as soon as it is open."""

    __slots__ = ("_early", "_transcriber", "_voice")

    def __init__(self, voice: VoiceTrack) -> None:
        self._voice = voice
        self._transcriber: Transcriber | None = None
        self._early: deque[Transcribe | Commit] = deque(maxlen=_EARLY)

    def hear(self, frame: Transcribe) -> None:
        """Take one frame."""
        self._voice.push(frame.mulaw)
        if self._transcriber is not None:
            self._transcriber.push(frame.mulaw)
        else:
            self._early.append(frame)

    def commit(self, pause: Commit) -> None:
        """Have transcribed what was heard so far."""
        if self._transcriber is not None:
            self._transcriber.commit(pause.utterance)
        else:
            self._early.append(pause)

    def open(self, transcriber: Transcriber) -> None:
        """The transcriber is there, and hears what waited for it."""
        self._transcriber = transcriber
        for early in self._early:
            if isinstance(early, Transcribe):
                transcriber.push(early.mulaw)
            else:
                transcriber.commit(early.utterance)
        self._early.clear()

    def close(self) -> None:
        """No score of the voice activity model comes any more."""
        self._voice.close()
