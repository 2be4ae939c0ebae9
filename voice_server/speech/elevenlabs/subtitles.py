"""Which part of the given text the audio so far says.

The parts add up to the given text exactly, whatever the service tells about them: it may
leave alignments out, change case and spacing, or spell numbers as words.
"""

from __future__ import annotations

from collections import deque

from voice_server.speech.elevenlabs.voice_wire import Alignment

_BYTES_PER_MS = 8
_MS_PER_CHARACTER = 62.0  # measured over the public voices at speed 1
_FASTEST_MS_PER_CHARACTER = 20.0  # no voice speaks so fast
_SLACK_MS = 60.0  # alignments and audio are rounded differently
_SEARCH = 12  # characters looked ahead for one that does not fit
_CERTAIN = 8  # characters that are found by chance nowhere else


class Subtitles:
    """The text of one turn and how far it was spoken. Positions are indices into `text`."""

    __slots__ = (
        "_aligned_ms", "_audio_ms", "_guess_from", "_guess_ms", "_matched", "_waiting", "aligned",
        "position", "text",
    )  # fmt: skip

    def __init__(self) -> None:
        self.text = ""
        self.position = 0  # everything before it was handed out
        self.aligned = False  # the service tells what it says
        self._matched = 0
        self._audio_ms = 0.0
        self._aligned_ms = 0.0
        self._waiting: deque[tuple[str, float]] = deque()  # characters whose audio is to come
        self._guess_from = 0
        self._guess_ms = 0.0

    def give(self, text: str) -> None:
        """Add text to be spoken."""
        self.text += text

    def hear(self, mulaw: bytes, alignment: Alignment | None) -> str:
        """The text that this audio says, the next in order; may be empty."""
        began = self._audio_ms
        self._audio_ms += len(mulaw) / _BYTES_PER_MS
        if alignment:
            self.aligned = True
            base = max(began, self._aligned_ms)  # times restart with each message
            self._waiting.extend((char, base + end) for char, end in alignment)
            self._aligned_ms = base + max(end for _, end in alignment)
        said = []
        while self._waiting and self._waiting[0][1] <= self._audio_ms + _SLACK_MS:
            said.append(self._waiting.popleft()[0])
        if said:
            self._matched = self._match("".join(said))
            self._guess_from, self._guess_ms = self._matched, 0.0
            return self.upto(self._matched)
        if alignment is None and not self._waiting:
            return self.upto(self._guess(len(mulaw) / _BYTES_PER_MS))
        return ""

    def upto(self, position: int) -> str:
        """Hand out everything before `position`."""
        began, self.position = self.position, max(self.position, min(position, len(self.text)))
        return self.text[began : self.position]

    @property
    def is_cut_short(self) -> bool:
        """The audio is over and far too short for the text."""
        spoken = self.text.strip()
        return self._audio_ms < _FASTEST_MS_PER_CHARACTER * len(spoken)

    @property
    def cut_word(self) -> int:
        """Where the first word begins that was not wholly handed out."""
        start = self.position
        while 0 < start < len(self.text) and not self.text[start - 1].isspace():
            start -= 1
        return start

    def restart(self, at: int) -> None:
        """Another source goes on speaking, from position `at`."""
        self._waiting.clear()
        self._aligned_ms = self._audio_ms
        self._matched = self._guess_from = at
        self._guess_ms = 0.0

    def _match(self, said: str) -> int:
        """Where in the text the words just said end, white space behind them included."""
        text, at = self.text, self._matched
        needle = said.strip()
        found = text.find(needle, at) if len(needle) >= _CERTAIN else -1
        if found >= 0:
            at = found + len(needle)
        else:
            for char in needle:
                at = self._step(char, at)
        while at < len(text) and text[at].isspace():
            at += 1
        return at

    def _step(self, char: str, at: int) -> int:
        """Past the next place of one character; stays where it is not found near by."""
        if char.isspace():
            return at
        for here in range(at, min(at + _SEARCH, len(self.text))):
            if self.text[here].casefold() == char.casefold():
                return here + 1
        return at

    def _guess(self, more_ms: float) -> int:
        """Whole words, by the usual length of a character."""
        self._guess_ms += more_ms
        at = self._guess_from + int(self._guess_ms / _MS_PER_CHARACTER)
        at = min(at, len(self.text))
        while at > self.position and not self.text[at - 1].isspace():
            at -= 1
        return at
