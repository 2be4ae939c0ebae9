"""Collects what happened in a call, over all its media streams, into one report."""

from __future__ import annotations

from collections import Counter

from voice_server.testing import report as measure
from voice_server.testing.report import PhoneReport, WireProblem
from voice_server.testing.stream import MediaStream
from voice_server.testing.wav import SAMPLE_RATE, SILENCE

_PER_MS = SAMPLE_RATE // 1000


class Tape:
    """Both tracks on the call's time line, and the counts beside them."""

    def __init__(self) -> None:
        self.caller = bytearray()
        self.agent = bytearray()
        self.verbs: list[str] = []
        self.said: list[str] = []
        self.dialled: list[str] = []
        self.errors: list[str] = []
        self.streams = 0
        self._clears: list[int] = []
        self._digits = ""
        self._close_codes: list[int | None] = []
        self._frames: list[int] = []
        self._problems: Counter[tuple[int, str]] = Counter()
        self._counts: Counter[str] = Counter()

    def lay(self, stream: MediaStream, offset_ms: int) -> None:
        """Add a media stream that is over, where it began on the call's time line."""
        begin = offset_ms * _PER_MS
        buffer = stream.peer.buffer
        _lay(self.caller, begin, stream.inbound, stream.length)
        _lay(self.agent, begin, buffer.heard(0, stream.length), stream.length)
        self.streams += 1
        self._clears += (offset_ms + at // _PER_MS for at in buffer.clears)
        self._digits += stream.digits
        self._close_codes.append(stream.close_code)
        self._frames.append(len(stream.inbound) // (20 * _PER_MS))
        self._problems += stream.peer.problems
        self._counts.update(
            frames_sent=len(stream.inbound) // (20 * _PER_MS),
            messages_received=stream.peer.received,
            marks_returned=stream.marks_returned,
            clears=len(buffer.clears),
            agent_audio_ms=(buffer.sent - buffer.dropped) // _PER_MS,
            dropped_audio_ms=buffer.dropped // _PER_MS,
        )

    def report(
        self,
        call_sid: str,
        status: str,
        ended_by: str,
        *,
        duration_s: float,
        more_errors: tuple[str, ...],
    ) -> PhoneReport:
        """Measure both tracks, once the call is over."""
        caller, agent = measure.spurts(self.caller), measure.spurts(self.agent)
        length_ms = len(self.caller) // _PER_MS
        return PhoneReport(
            call_sid=call_sid,
            status=status,
            ended_by=ended_by,
            duration_s=round(duration_s, 3),
            verbs=tuple(self.verbs),
            dialled=tuple(self.dialled),
            said=tuple(self.said),
            errors=(*self.errors, *more_errors),
            wire_problems=tuple(
                WireProblem(code, reason, count)
                for (code, reason), count in sorted(self._problems.items())
            ),
            close_codes=tuple(self._close_codes),
            stream_frames=tuple(self._frames),
            digits=self._digits,
            agent_spurts=agent,
            caller_spurts=caller,
            first_audio_ms=agent[0][0] if agent else None,
            reply_ms=measure.replies(caller, agent),
            barge_ins=measure.barge_ins(caller, agent, self._clears),
            longest_agent_gap_ms=measure.longest_agent_gap(caller, agent, length_ms),
            **{name: self._counts[name] for name in _COUNTS},
        )


_COUNTS = (
    *("frames_sent", "messages_received", "marks_returned"),
    *("clears", "agent_audio_ms", "dropped_audio_ms"),
)


def _lay(track: bytearray, begin: int, audio: bytes | bytearray, length: int) -> None:
    track += SILENCE * (begin - len(track))
    track += audio[:length] + SILENCE * (length - len(audio))
