"""The caller's side of the conversation: voice, words, keys and patience."""

from __future__ import annotations

from voice_server.call.events import Expectation
from voice_server.call.policy import Policy
from voice_server.call.turns import Edge, VoiceGate, patience_ms


class CallerSide:
    """What the caller is doing and what we still owe to hear.

    `utterance` counts the pauses that were committed to the transcriber; `transcript_at` is
    when the newest words arrived, -1 before the first.
    """

    __slots__ = (
        "_gate",
        "_keys",
        "_keys_at",
        "_last_words",
        "_policy",
        "_pressed_at",
        "_transcribed",
        "expects",
        "partial",
        "silences",
        "transcript_at",
        "utterance",
    )

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._gate = VoiceGate(policy.commit_ms)
        self._keys = ""
        self._keys_at = 0  # of the newest complete entry
        self._pressed_at = 0
        self._last_words = ""
        self._transcribed = 0
        self.expects = Expectation.ANYTHING
        self.partial = ""
        self.silences = 0  # prompts spoken into the present silence
        self.transcript_at = -1
        self.utterance = 0

    @property
    def speaking(self) -> bool:
        """Voice is on the line right now."""
        return self._gate.open

    @property
    def spoke_at(self) -> int:
        """The newest moment that held voice."""
        return self._gate.last_voice_at

    @property
    def done_at(self) -> int:
        """The newest moment that held voice or completed an entry of keys."""
        return max(self._gate.last_voice_at, self._keys_at)

    @property
    def active_at(self) -> int:
        """The newest moment that held voice or a key."""
        return max(self._gate.last_voice_at, self._pressed_at)

    @property
    def span(self) -> tuple[int, int]:
        """When the present or last utterance began, and its newest moment that held voice."""
        return self._gate.onset_at, self._gate.last_voice_at

    @property
    def transcribed(self) -> bool:
        """Every committed utterance has its final transcript."""
        return self._transcribed >= self.utterance

    @property
    def entering(self) -> bool:
        """Keys were pressed and more may follow."""
        return bool(self._keys)

    @property
    def finished_at(self) -> int:
        """When the present silence has lasted long enough to mean "your turn"."""
        return self.spoke_at + patience_ms(
            self._policy.end_of_turn_ms, self.expects, self._last_words
        )

    def away(self) -> None:
        """Their line is cut: what was in the making will never be complete."""
        self._gate = VoiceGate(self._policy.commit_ms)
        self._keys, self.partial = "", ""
        self.give_up_transcript()

    def barges_in(self, now: int) -> bool:
        """Has talked long enough for it to count as an interruption."""
        return self._gate.open and now - self._gate.onset_at >= self._policy.barge_in_ms

    def score(self, percent: int, now: int) -> None:
        """Take the voice activity model's view."""
        self._gate.score(percent, now)

    def hear(self, loudness: int, now: int) -> Edge | None:
        """Take one frame; a closing edge is one more utterance to commit."""
        edge = self._gate.hear(loudness, now)
        if edge is Edge.CLOSED:
            self.utterance += 1
        return edge

    def seems_to_say(self, text: str) -> bool:
        """Take a partial transcript; False when it is the one we have."""
        changed, self.partial = text != self.partial, text
        return changed

    def transcript(self, text: str, utterance: int, now: int) -> None:
        """Take a final transcript; `utterance` 0 is the service's own cut."""
        if utterance:
            self._transcribed = max(self._transcribed, min(utterance, self.utterance))
        self.partial = ""
        if text:
            self._last_words, self.transcript_at, self.silences = text, now, 0

    def give_up_transcript(self) -> None:
        """The transcriber does not answer: stop waiting for it."""
        self._transcribed = self.utterance

    def next_prompt(self) -> str | None:
        """The words for one more silence, None when all were spoken into it."""
        prompts = self._policy.silence_prompts
        if self.silences == len(prompts):
            return None
        self.silences += 1
        return prompts[self.silences - 1]

    def press(self, digit: str, now: int) -> bool:
        """Take one key; True when it completes the entry."""
        self._keys += digit
        self._pressed_at = now
        self.silences = 0
        return digit == "#"

    def take_keys(self, now: int) -> str:
        """The keys pressed since the last take."""
        keys, self._keys = self._keys, ""
        self.transcript_at = self._keys_at = now
        return keys

    def asked(self, expects: Expectation) -> None:
        """The agent has spoken; what comes next answers this kind of question."""
        self.expects, self._last_words = expects, ""
