"""What a call has said to a remote recogniser and has no answer for, ready to be said again.

When a connection dies, the words of the utterance under way are still here.
"""

from __future__ import annotations

from collections import deque

from voice_server.speech.g711 import SILENCE

BYTES_PER_MS = 8
MOST_BYTES = 10_000 * BYTES_PER_MS  # 10 s: what outlives an outage; beyond, the oldest goes

# A commit of less new audio makes the service close the session.
_LEAST_COMMIT_BYTES = 300 * BYTES_PER_MS


class _Segment:
    """Audio up to one commit; `utterance` is None while it is still growing."""

    __slots__ = ("audio", "committed", "on_wire", "sent", "utterance")

    def __init__(self) -> None:
        self.audio = bytearray()
        self.sent = 0  # of `audio`
        self.on_wire = 0  # bytes the present connection got for this segment, padding included
        self.utterance: int | None = None
        self.committed = False  # the present connection was told


class Tape:
    """Audio and commits in order, and how much of them the present connection has got."""

    __slots__ = ("_kept", "_segments", "dropped")

    def __init__(self) -> None:
        self._segments = deque([_Segment()])
        self._kept = 0
        self.dropped = 0  # bytes lost before they were ever sent

    @property
    def unsent(self) -> int:
        """Bytes of the growing segment that wait."""
        growing = self._segments[-1]
        return len(growing.audio) - growing.sent

    @property
    def outstanding(self) -> bool:
        """The present connection owes an answer to a commit."""
        return self._segments[0].committed

    def push(self, mulaw: bytes) -> None:
        """Add audio; beyond 10 s the oldest is dropped."""
        self._segments[-1].audio += mulaw
        self._kept += len(mulaw)
        if self._kept > MOST_BYTES:
            self._drop(self._kept - MOST_BYTES)

    def commit(self, utterance: int) -> None:
        """End the growing segment."""
        self._segments[-1].utterance = utterance
        self._segments.append(_Segment())

    def take(self, least: int, most: int) -> bytes | int | None:
        """What to send next: audio, or the number of an utterance to commit.

        Audio of a growing segment comes in portions of at least `least` bytes. A short
        segment is filled up with silence.
        """
        for segment in self._segments:
            if segment.committed:
                continue
            ended = segment.utterance is not None
            waiting = len(segment.audio) - segment.sent
            if waiting >= least or (waiting and ended):
                portion = bytes(segment.audio[segment.sent : segment.sent + most])
                segment.sent += len(portion)
                segment.on_wire += len(portion)
                return portion
            if segment.utterance is None:
                return None
            if missing := max(0, _LEAST_COMMIT_BYTES - segment.on_wire):
                segment.on_wire += missing
                return SILENCE * missing
            segment.committed = True
            return segment.utterance
        return None

    def answer(self) -> int:
        """The service has cut: forget what it heard. Returns the utterance, 0 = its own cut."""
        head = self._segments[0]
        if head.committed:
            self._segments.popleft()
            self._kept -= len(head.audio)
            return head.utterance or 0
        self._kept -= head.sent
        del head.audio[: head.sent]
        head.sent = head.on_wire = 0
        return 0

    def rewind(self) -> None:
        """A new connection knows nothing: everything without an answer is to be sent again."""
        for segment in self._segments:
            segment.sent = segment.on_wire = 0
            segment.committed = False

    def backlog(self) -> list[bytes | int]:
        """Audio and commits without an answer, for whoever goes on listening instead."""
        rest: list[bytes | int] = []
        for segment in self._segments:
            if segment.audio:
                rest.append(bytes(segment.audio))
            if segment.utterance is not None:
                rest.append(segment.utterance)
        return rest

    def _drop(self, surplus: int) -> None:
        for segment in self._segments:
            gone = min(surplus, len(segment.audio))
            del segment.audio[:gone]
            self.dropped += max(0, gone - segment.sent)
            segment.sent = max(0, segment.sent - gone)
            self._kept -= gone
            surplus -= gone
            if not surplus:
                return
