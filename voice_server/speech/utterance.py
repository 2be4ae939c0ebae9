"""The audio of what a caller is saying: cut free of silence while it comes in."""

from __future__ import annotations

from collections.abc import Callable

from voice_server.call.voice_activity import loudness

BYTES_PER_MS = 8
_PRE_ROLL = 300 * BYTES_PER_MS  # a soft onset lies before the first loud frame
_LONGEST_GAP = 700 * BYTES_PER_MS  # silence inside an utterance beyond this adds nothing
_LONGEST = 15_000 * BYTES_PER_MS  # what the recogniser can take in one run
_CUT_REACH = 4_000 * BYTES_PER_MS  # where a too long utterance may be cut
_FRAME = 160
_SHORTEST_SPEECH = 3  # frames; "no" has eight
_LINE_NOISE = 3  # mean loudness that a quiet line may have
_OVER_NOISE = 2  # speech is so many times louder than the noise around it
_NOISE_RISE = 64  # frames of louder noise until the floor follows one step: 1.3 s


class Utterance:
    """Collects frames since the last `take`. Costs nothing while nobody speaks.

    The noise floor follows the quietest frames: down at once, up slowly, so that a fan or a
    street opens the ear only for the moment it starts.
    """

    __slots__ = ("_audio", "_floor", "_gap", "_louder", "_loudness", "quiet_frames", "voiced")

    def __init__(self, measure: Callable[[bytes], int] = loudness) -> None:
        self._audio = bytearray()
        self._loudness = measure
        self._floor = 0
        self._louder = 0
        self._gap = 0  # bytes of silence at the end
        self.voiced = 0  # frames of speech since the last `take`
        self.quiet_frames = 0  # frames of silence since the newest frame of speech

    def __len__(self) -> int:
        return len(self._audio)

    def push(self, mulaw: bytes) -> None:
        """Take one frame of any size; keeps at most 15 s and one frame."""
        audio = self._audio
        if self._is_voice(mulaw):
            self.voiced += 1
            self.quiet_frames = 0
            self._gap = 0
            audio += mulaw
            return
        self.quiet_frames += 1
        if not self.voiced:
            audio += mulaw
            if len(audio) > 2 * _PRE_ROLL:  # trimming in strides keeps it cheap
                del audio[:-_PRE_ROLL]
        elif self._gap < _LONGEST_GAP:
            self._gap += len(mulaw)
            audio += mulaw

    @property
    def has_words(self) -> bool:
        """Whether there is more than a click."""
        return self.voiced >= _SHORTEST_SPEECH

    @property
    def is_full(self) -> bool:
        """Whether it must be cut, for the recogniser can take no more."""
        return len(self._audio) >= _LONGEST

    def audio(self) -> bytes:
        """A copy of all audio, its leading silence no longer than the pre-roll."""
        return bytes(self._audio)

    def take(self) -> bytes:
        """The audio, b"" when nobody spoke; the next utterance begins."""
        if not self.voiced:
            return b""  # what lies here is the pre-roll of what comes next
        audio = bytes(self._audio) if self.has_words else b""
        self._audio = self._audio[-min(self._gap, _PRE_ROLL) :] if self._gap else bytearray()
        self.voiced = self._gap = 0
        return audio

    def cut(self) -> bytes:
        """The audio up to the quietest place of the last four seconds; the rest stays."""
        audio = self._audio
        start = max(_FRAME, len(audio) - _CUT_REACH)
        places = range(start, len(audio) - 2 * _FRAME, _FRAME)
        # Three frames, for the hold of a plosive is as quiet as a pause, but shorter.
        at = min(
            places,
            key=lambda place: (
                self._loudness(bytes(audio[place - _FRAME : place + 2 * _FRAME])),
                -place,
            ),
            default=len(audio),
        )
        head = bytes(audio[:at])
        del audio[:at]
        self.voiced = len(audio) // _FRAME
        self._gap = 0
        return head

    def _is_voice(self, mulaw: bytes) -> bool:
        level = self._loudness(mulaw)
        if level <= self._floor:
            self._floor = level
            self._louder = 0
        else:
            self._louder += 1
            if self._louder >= _NOISE_RISE:
                self._floor += 1
                self._louder = 0
        return level > max(_LINE_NOISE, _OVER_NOISE * self._floor)
