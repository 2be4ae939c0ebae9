"""What a call was like at the caller's end of the line, measured from both recorded tracks."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from voice_server.call.voice_activity import loudness
from voice_server.testing.caller import AUDIBLE, FRAME, FRAME_MS

Spurt: TypeAlias = tuple[int, int]  # begin and end in ms since the call was answered

_BRIDGE_MS = 300  # pauses inside words and sentences
_SHORTEST_MS = 60  # less is a click


class BargeIn(msgspec.Struct, frozen=True):
    """The caller began to speak over the agent.

    `silent_after_ms` is how long the agent kept talking, until its audio was cleared; None
    when it talked to its end.
    """

    at_ms: int
    silent_after_ms: int | None


class WireProblem(msgspec.Struct, frozen=True):
    """Messages of the server that the carrier dropped, by its warning code."""

    code: int
    reason: str
    count: int


class PhoneReport(msgspec.Struct, frozen=True, kw_only=True):
    """One call, as the carrier and the caller saw it. Times in ms since it was answered."""

    call_sid: str
    status: str  # Twilio's: completed, busy, no-answer, failed, canceled
    ended_by: str  # caller, server, carrier
    duration_s: float
    verbs: tuple[str, ...] = ()  # TwiML verbs, in the order in which they ran
    dialled: tuple[str, ...] = ()
    said: tuple[str, ...] = ()  # texts the carrier read aloud
    errors: tuple[str, ...] = ()  # the carrier's complaints, each with its code in front
    wire_problems: tuple[WireProblem, ...] = ()
    close_codes: tuple[int | None, ...] = ()  # of each media stream
    stream_frames: tuple[int, ...] = ()  # sent in each media stream
    digits: str = ""
    frames_sent: int = 0
    messages_received: int = 0
    marks_returned: int = 0
    clears: int = 0
    agent_audio_ms: int = 0  # agent audio that was really played
    dropped_audio_ms: int = 0  # agent audio that never sounded
    agent_spurts: tuple[Spurt, ...] = ()  # when the agent was audible
    caller_spurts: tuple[Spurt, ...] = ()
    first_audio_ms: int | None = None  # from answer to the agent's first sound
    reply_ms: tuple[int, ...] = ()  # from the caller's last word to the agent's next sound
    barge_ins: tuple[BargeIn, ...] = ()
    longest_agent_gap_ms: int = 0  # longest wait for the agent, its opening included


def spurts(mulaw: bytes | bytearray) -> tuple[Spurt, ...]:
    """The stretches of speech in a track, in ms; pauses under 300 ms do not part them."""
    found: list[Spurt] = []
    for index in range(0, len(mulaw), FRAME):
        if loudness(bytes(mulaw[index : index + FRAME])) < AUDIBLE:
            continue
        begin = index // FRAME * FRAME_MS
        if found and begin - found[-1][1] < _BRIDGE_MS:
            begin = found.pop()[0]
        found.append((begin, (index // FRAME + 1) * FRAME_MS))
    return tuple(spurt for spurt in found if spurt[1] - spurt[0] >= _SHORTEST_MS)


def replies(caller: Sequence[Spurt], agent: Sequence[Spurt]) -> tuple[int, ...]:
    """How long the agent let the caller wait after each thing said."""
    waits = []
    begins = [begin for begin, _ in agent]
    for index, (_, end) in enumerate(caller):
        answer = bisect_left(begins, end)
        goes_on = caller[index + 1][0] if index + 1 < len(caller) else None
        if answer < len(begins) and (goes_on is None or begins[answer] < goes_on):
            waits.append(begins[answer] - end)
    return tuple(waits)


def barge_ins(
    caller: Sequence[Spurt], agent: Sequence[Spurt], clears: Sequence[int]
) -> tuple[BargeIn, ...]:
    """Each time the caller began to speak while the agent was speaking."""
    found = []
    for begin, _ in caller:
        over = next((spurt for spurt in agent if spurt[0] < begin < spurt[1]), None)
        if over is None:
            continue
        # The cut may fall into a pause of the agent, where nothing audible is left to cut.
        cleared = next((at for at in clears if begin <= at <= over[1] + _BRIDGE_MS), None)
        found.append(BargeIn(begin, None if cleared is None else cleared - begin))
    return tuple(found)


def longest_agent_gap(caller: Sequence[Spurt], agent: Sequence[Spurt], length_ms: int) -> int:
    """The longest silence that was the agent's to break.

    That is silence from the answer to its first sound, and from each word of the caller to
    the agent's next sound, the caller's next word or the end of the call.
    """
    sounds = sorted([*((*spurt, True) for spurt in caller), *((*spurt, False) for spurt in agent)])
    longest, quiet_since, agents_turn = 0, 0, True
    for begin, end, is_caller in sounds:
        if agents_turn:
            longest = max(longest, begin - quiet_since)
        if end >= quiet_since:
            quiet_since, agents_turn = end, is_caller
    return max(longest, length_ms - quiet_since) if agents_turn else longest
