"""Audio that carries its own words, so that a simulated service hears and says exactly them.

Speech for the recogniser has a word in a tag every 300 ms; speech of the voice has a
character in every 62 ms. Both are loud tones, which voice activity takes for a voice.
"""

from __future__ import annotations

from itertools import pairwise

from voice_server.call.voice_activity import loudness

FRAME = 160  # bytes: 20 ms
SILENCE = b"\xff" * FRAME
BYTES_PER_CHARACTER = 496  # 62 ms
MS_PER_CHARACTER = 62

_TONE = (b"\x10" * 4 + b"\x90" * 4) * 62  # 1 kHz
_TAG = b"\x01\x7e\x01\x7e\x01"  # never in tones, hardly ever in a voice
_WORD_FRAMES = 15
_LONGEST_WORD = 120  # bytes
VOICED = 7  # loudness


def spoken(text: str) -> bytes:
    """Frames that a simulated recogniser hears as `text`: 300 ms a word."""
    audio = bytearray()
    for word in text.split():
        content = word.encode()[:_LONGEST_WORD]
        frame = _TAG + bytes([len(content)]) + bytes(byte ^ 0x80 for byte in content)
        audio += frame + _TONE[: FRAME - len(frame)] + _TONE[:FRAME] * (_WORD_FRAMES - 1)
    return bytes(audio)


def heard(audio: bytes) -> str:
    """The words of all tags in `audio`."""
    starts = [0]
    while (at := audio.find(_TAG, starts[-1])) >= 0:
        starts.append(at + len(_TAG))
    words = []
    for begin in starts[1:]:
        content = audio[begin + 1 : begin + 1 + audio[begin]] if begin < len(audio) else b""
        words.append(bytes(byte ^ 0x80 for byte in content).decode(errors="replace"))
    return " ".join(words)


def voiced(audio: bytes) -> bool:
    """Whether any 20 ms of this audio are loud."""
    cuts = [*range(0, len(audio), FRAME), len(audio)]
    return any(loudness(audio[a:b]) >= VOICED for a, b in pairwise(cuts) if b > a)


def voice(text: str) -> bytes:
    """How the simulated voice says `text`: 62 ms a character."""
    audio = bytearray()
    for char in text:
        code = min(ord(char), 0xFFFF)
        audio += bytes([code >> 8, code & 0xFF]) + _TONE[2:BYTES_PER_CHARACTER]
    return bytes(audio)


def said(audio: bytes) -> str:
    """The text that audio of the simulated voice says; whole characters only."""
    whole = len(audio) - len(audio) % BYTES_PER_CHARACTER
    blocks = (audio[at : at + 2] for at in range(0, whole, BYTES_PER_CHARACTER))
    return "".join(chr(high << 8 | low) for high, low in blocks)


class Scripted:
    """A recogniser for audio without tags: each loud commit is the next text of a script.

    It counts what it was asked, so one of them serves one session.
    """

    def __init__(self, texts: list[str]) -> None:
        self._texts = list(texts)

    def __call__(self, audio: bytes) -> str:
        """The next text when anything was said, else nothing."""
        return self._texts.pop(0) if self._texts and voiced(audio) else ""
