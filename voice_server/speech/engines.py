"""The local engines together: what a server without any key hears and speaks with."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from models.weights import Weights
from voice_server.speech.moonshine import Moonshine
from voice_server.speech.phonemes import Lexicon
from voice_server.speech.piper import PiperVoice
from voice_server.speech.pool import InferencePool, Urgency
from voice_server.speech.speaker import LocalTextToSpeech
from voice_server.speech.transcriber import LocalSpeechToText
from voice_server.speech.vad import SileroModel, SileroVoiceActivity

T = TypeVar("T")

_NEEDED = (
    *("silero_vad", "moonshine_encoder", "moonshine_decoder", "moonshine_tokenizer"),
    *("piper_joe", "piper_joe_config", "lexicon_gold", "lexicon_silver"),
)


class _Lazy(Generic[T]):
    """Makes a thing when first asked for it, once, from any thread."""

    __slots__ = ("_lock", "_made", "_make")

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._made: T | None = None

    def __call__(self) -> T:
        with self._lock:
            if self._made is None:
                self._made = self._make()
            return self._made


class LocalEngines:
    """Voice activity, speech to text and text to speech; `close` when the server stops."""

    __slots__ = (
        "_moonshine", "_piper", "_pool", "speech_to_text", "text_to_speech", "voice_activity",
    )  # fmt: skip

    def __init__(self, weights: Weights, threads: int) -> None:
        path = weights.path
        self._pool = InferencePool(threads)
        self._moonshine = _Lazy(
            lambda: Moonshine(
                path("moonshine_encoder"), path("moonshine_decoder"), path("moonshine_tokenizer")
            )
        )
        self._piper = _Lazy(
            lambda: PiperVoice(
                path("piper_joe"),
                path("piper_joe_config"),
                Lexicon.load(path("lexicon_gold"), path("lexicon_silver")),
            )
        )
        self.voice_activity = SileroVoiceActivity(SileroModel(path("silero_vad")).score)
        self.speech_to_text = LocalSpeechToText(self._moonshine, self._pool)
        self.text_to_speech = LocalTextToSpeech(self._piper, self._pool)

    async def warm(self) -> None:
        """Load all models before the first call needs them: about 1 s, off the loop."""
        await asyncio.gather(
            self._pool.submit(Urgency.WARMING, self._piper),
            self._pool.submit(Urgency.WARMING, self._moonshine),
        )

    def close(self) -> None:
        """Stop the threads; waits for model runs under way, at most a second or so."""
        self.voice_activity.close()
        self._pool.close()


def open_local(threads: int, directory: Path | None = None) -> LocalEngines:
    """Open the local engines; models load when first needed, see `LocalEngines.warm`.

    `directory` holds the weights (None: the default cache). Raises
    `models.weights.WeightsMissing`, whose text says what to do.
    """
    weights = Weights(directory)
    for name in _NEEDED:
        weights.path(name)
    return LocalEngines(weights, threads)
