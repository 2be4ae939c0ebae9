"""Moonshine, a small English speech recogniser, on plain onnxruntime."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from voice_server.speech.resample import Samples
from voice_server.speech.sessions import open_session

RATE = 16_000
_SHORTEST = RATE // 4  # the convolutions need some audio: pad shorter sounds
_START, _END = 1, 2
_FIRST_WORD_PIECE = 3
_TOKENS_PER_SECOND = 6.5  # English speech stays below; more is the model talking to itself
_TOKENS_SPARE = 8
_LONGEST_LOOP = 16  # tokens of a phrase the model may get stuck in

# Mean log-probability of the tokens: recorded speech stays above -0.6 (its median is -0.16),
# noise, hum and hold music lie between -0.4 and -3, mostly in these few phantom sentences.
_NO_WORDS = -1.0
_DOUBTFUL = -0.37
_PHANTOMS = frozenset({"you", "so", "yeah", "the", "and", "thank you", "thank you for watching"})


class Moonshine:
    """The network and its tokenizer. Thread-safe: a run keeps all its state to itself."""

    __slots__ = ("_decoder", "_empty", "_encoder", "_outputs", "_past", "_pieces")

    def __init__(self, encoder: Path, decoder: Path, tokenizer: Path) -> None:
        self._encoder = open_session(encoder)
        self._decoder = open_session(decoder)
        self._pieces = read_pieces(tokenizer.read_bytes())
        past = [i for i in self._decoder.get_inputs() if i.name.startswith("past_key_values")]
        self._past = [i.name for i in past]
        self._outputs = [
            o.name.replace("present", "past_key_values") for o in self._decoder.get_outputs()[1:]
        ]
        heads, width = past[0].shape[1], past[0].shape[3]
        self._empty = np.zeros((1, heads, 0, width), np.float32)

    def transcribe(self, samples: Samples, should_stop: Callable[[], bool] = lambda: False) -> str:
        """The words in 16 kHz audio, "" for none; at most 15 s make sense to the model.

        `should_stop` is asked before each token; what is known by then is returned.
        """
        if len(samples) < _SHORTEST:
            samples = np.pad(samples, (0, _SHORTEST - len(samples)))
        audio = samples[None]
        mask = np.ones(audio.shape, np.int64)
        hidden = self._encoder.run(None, {"input_values": audio, "attention_mask": mask})[0]
        most = int(len(samples) / RATE * _TOKENS_PER_SECOND) + _TOKENS_SPARE
        tokens, certainty = self._decode(hidden, mask, most, should_stop)
        text = self._text(tokens)
        return text if is_credible(text, certainty) else ""

    def _decode(
        self,
        hidden: npt.NDArray[np.float32],
        mask: npt.NDArray[np.int64],
        most: int,
        should_stop: Callable[[], bool],
    ) -> tuple[list[int], float]:
        """Greedy search: tokens and their mean log-probability, that of the end included.

        The decoder wants the mask in audio samples, not in frames.
        """
        feed = {
            "encoder_hidden_states": hidden,
            "encoder_attention_mask": mask,
            "use_cache_branch": np.array([False]),
            "input_ids": np.array([[_START]], np.int64),
            **dict.fromkeys(self._past, self._empty),
        }
        tokens: list[int] = []
        certainty = 0.0
        while len(tokens) < most and not should_stop():
            logits, *present = self._decoder.run(None, feed)
            scores = logits[0, -1]
            token = int(scores.argmax())
            certainty -= float(np.log(np.exp(scores - scores[token]).sum()))
            if token == _END:
                break
            tokens.append(token)
            if surplus := loop_surplus(tokens):
                del tokens[-surplus:]
                break
            for name, value in zip(self._outputs, present, strict=True):
                # With a cache the decoder returns no encoder keys: the first ones stay.
                if len(tokens) == 1 or ".encoder." not in name:
                    feed[name] = value
            feed["use_cache_branch"] = np.array([True])
            feed["input_ids"] = np.array([[token]], np.int64)
        return tokens, certainty / (len(tokens) + 1)

    def _text(self, tokens: list[int]) -> str:
        joined = b"".join(self._pieces[t] for t in tokens if t >= _FIRST_WORD_PIECE)
        return joined.decode("utf-8", "replace").replace("\u2581", " ").strip()


def is_credible(text: str, certainty: float) -> bool:
    """Whether a transcript of this mean log-probability is of words rather than of noise."""
    if not any(map(str.isalnum, text)):
        return False  # music notes
    if text.lower().rstrip(".!?") in _PHANTOMS:
        return certainty >= _DOUBTFUL
    return certainty >= _NO_WORDS


def read_pieces(data: bytes) -> list[bytes]:
    """The word pieces of a tokenizer file: each a length (one or two bytes), then its bytes."""
    pieces = []
    at = 0
    while at < len(data):
        length = data[at]
        at += 1
        if length >= 128:
            length = (length - 128) * 128 + data[at]
            at += 1
        pieces.append(data[at : at + length])
        at += length
    return pieces


def loop_surplus(tokens: list[int]) -> int:
    """How many tokens at the end only repeat a phrase the model is stuck in, 0 for none.

    "no no no no" and "call me, call me, call me" are speech: short phrases must come oftener.
    """
    for length in range(1, _LONGEST_LOOP + 1):
        times = 8 if length == 1 else 4 if length < 4 else 3
        if len(tokens) >= length * times and tokens[-length * times :] == tokens[-length:] * times:
            return length * (times - 1)
    return 0
