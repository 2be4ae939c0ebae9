"""Calls put into a situation, and ways to make things happen to them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from detectors.assessment import Assessment, Finding, Severity
from voice_server.call import Call, Policy
from voice_server.call import commands as c
from voice_server.call import events as e

LOUD, QUIET = 60, 0
FRAME = bytes(160)
T = TypeVar("T")

QUIETLY = Policy(greeting="")
GREETING = "Hello, this is Ann. How can I help?"


class Scene:
    """A call with a clock: `do` feeds events at the present time, the `say`s let it pass."""

    def __init__(self, policy: Policy = QUIETLY) -> None:
        self.call = Call(policy)
        self.now = 0
        self.all: list[c.Command] = []
        self._unplayed: list[str] = []

    def do(self, *events: e.Event) -> list[c.Command]:
        """Feed events now; returns their commands."""
        out: list[c.Command] = []
        for event in events:
            out += self.call.handle(event, self.now)
        self.all += out
        for command in out:
            if isinstance(command, c.PlaceMark):
                self._unplayed.append(command.name)
            elif isinstance(command, c.StopPlaying):
                self._unplayed.clear()
        return out

    def wait(self, ms: int) -> list[c.Command]:
        """Let time pass without a sound; deadlines fire when they are due."""
        out: list[c.Command] = []
        until = self.now + ms
        while (due := self.call.deadline) is not None and due <= until:
            self.now = max(self.now, due)
            out += self.do(e.TimePassed())
        self.now = until
        return out

    def frames(self, loudness: int, ms: int) -> list[c.Command]:
        """The caller's line at one loudness for a while, deadlines included."""
        out: list[c.Command] = []
        for _ in range(ms // 20):
            out += self.wait(20)
            out += self.do(e.AudioHeard(FRAME, loudness, self.now))
        return out

    def voice(self, ms: int = 400) -> list[c.Command]:
        return self.frames(LOUD, ms)

    def hush(self, ms: int = 400) -> list[c.Command]:
        return self.frames(QUIET, ms)

    def utter(self, text: str, *, ms: int = 400) -> list[c.Command]:
        """The caller says something, pauses, and its transcript arrives."""
        out = self.voice(ms) + self.hush(300)
        for command in only(c.Commit, out):
            out += self.do(e.FinalTranscript(text, command.utterance))
        return out

    def ask(self, text: str = "My tap leaks.") -> c.Think:
        """The caller says something and waits; returns the question put to the model."""
        out = self.utter(text) + self.hush(1_600)
        return only(c.Think, out)[-1]

    def reply(self, text: str, **end: object) -> list[c.Command]:
        """The model answers the turn in one piece."""
        turn = self.turn
        return self.do(e.ReplyText(turn, text), e.ReplyEnded(turn, **end))  # type: ignore[arg-type]

    def speak(self, text: str, *, ms: int = 1_000, last: bool = True) -> list[c.Command]:
        """The voice delivers audio for the turn."""
        out = self.do(e.SpeechReady(self.turn, bytes(8 * ms), text))
        return out + self.do(e.SpeechEnded(self.turn)) if last else out

    def played(self) -> list[c.Command]:
        """The carrier returns every mark it owes."""
        out: list[c.Command] = []
        while self._unplayed:
            out += self.do(e.MarkPlayed(self._unplayed.pop(0)))
        return out

    def answer(self, text: str, **end: object) -> list[c.Command]:
        """The model answers, the voice says it, the caller hears it all."""
        return self.reply(text, **end) + self.speak(text) + self.played()

    @property
    def turn(self) -> int:
        return self.call.agent.number


def only(kind: type[T], commands: Iterable[object]) -> list[T]:
    """The commands of one kind."""
    return [command for command in commands if isinstance(command, kind)]


def without(commands: Sequence[c.Command], *kinds: type) -> list[c.Command]:
    """The commands that are not of these kinds."""
    return [command for command in commands if not isinstance(command, kinds)]


def started(policy: Policy = QUIETLY) -> Scene:
    """A call whose media stream is open."""
    scene = Scene(policy)
    scene.do(e.MediaStarted())
    return scene


def thinking(policy: Policy = QUIETLY, text: str = "My tap leaks.") -> Scene:
    """The model has been asked and has not answered."""
    scene = started(policy)
    scene.ask(text)
    return scene


def speaking(text: str = "We can fix that. When?", policy: Policy = QUIETLY) -> Scene:
    """The agent's whole answer is on its way to the caller's ear, one second long."""
    scene = thinking(policy)
    scene.reply(text)
    scene.speak(text)
    return scene


def view(severity: Severity, through: int = 0, *, detectors: int = 2) -> Assessment:
    """An assessment of a band, supported by so many detectors."""
    names = ("pattern", "classifier", "behaviour")[:detectors]
    finding = Finding("pattern", "gift_card", 0.9, through, 0, 4, "gift")
    return Assessment(
        risk=severity.rank / 4,
        confidence=0.9,
        severity=severity,
        through=through,
        scam_type="refund",
        detectors=names,
        findings=(finding,),
    )
