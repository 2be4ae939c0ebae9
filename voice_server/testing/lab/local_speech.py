"""Words for the simulated ElevenLabs: the ears and the voice of this machine."""

from __future__ import annotations

import asyncio
import re
from functools import cached_property

from models.weights import Weights
from voice_server.speech import g711
from voice_server.speech.moonshine import RATE, Moonshine
from voice_server.speech.phonemes import Lexicon
from voice_server.speech.piper import PiperVoice
from voice_server.speech.resample import resample
from voice_server.testing.lab import elevenlabs_audio

_EARS = ("encoder", "decoder", "tokenizer")
_SENTENCE = re.compile(r"[^.!?]*[.!?]*\s*")


class LocalSpeech:
    """Hears and speaks mu-law with the local models, off the loop; they load when first used.

    Raises `models.weights.WeightsMissing` where they are not at hand.
    """

    def __init__(self, weights: Weights) -> None:
        self._ears = [weights.path(f"moonshine_{part}") for part in _EARS]
        self._voice = [weights.path(name) for name in ("piper_joe", "piper_joe_config")]
        self._lexicon = [weights.path(f"lexicon_{part}") for part in ("gold", "silver")]

    @cached_property
    def _moonshine(self) -> Moonshine:
        return Moonshine(*self._ears)

    @cached_property
    def _piper(self) -> PiperVoice:
        model, config = self._voice
        return PiperVoice(model, config, Lexicon.load(*self._lexicon))

    async def hear(self, mulaw: bytes) -> str:
        """The words of an utterance, those that the lab's own audio carries included."""
        if words := elevenlabs_audio.heard(mulaw):
            return words
        if not elevenlabs_audio.voiced(mulaw):
            return ""
        return await asyncio.to_thread(self._recognise, mulaw)

    def _recognise(self, mulaw: bytes) -> str:
        samples = resample(g711.decode_float(mulaw), 8000, RATE)
        return self._moonshine.transcribe(samples, lambda: False)

    async def say(self, text: str) -> bytes:
        """A text, sentence by sentence; what cannot be said is a breath of silence."""
        spoken = await asyncio.to_thread(self._speak, text)
        return spoken or elevenlabs_audio.SILENCE

    def _speak(self, text: str) -> bytes:
        return b"".join(self._piper.say(sentence) for sentence in _SENTENCE.findall(text))
