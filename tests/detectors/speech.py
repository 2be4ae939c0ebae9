"""Builders for segments: who says what, one after the other."""

from __future__ import annotations

from detectors.assessment import Segment

MS_PER_WORD = 400


def conversation(*lines: str, speaker: str = "caller") -> list[Segment]:
    """Make segments of lines; "A: " and "C: " in front name agent and caller."""
    segments: list[Segment] = []
    clock = 0
    for number, line in enumerate(lines):
        who = {"A: ": "agent", "C: ": "caller"}.get(line[:3], speaker)
        text = line[3:] if line[:3] in ("A: ", "C: ") else line
        ends = clock + MS_PER_WORD * max(1, len(text.split()))
        segments.append(Segment(number, who, text, clock, ends))
        clock = ends
    return segments


ROBOCALL = (
    "this is an important message from the social security administration",
    "your social security number has been suspended for criminal activity in texas",
    "press one to speak with an officer or a warrant will be issued for your arrest",
)
BOOKING = (
    "A: Hello, how can I help you today?",
    "hi my kitchen sink is leaking it is quite urgent",
    "A: I'm sorry to hear that. What is your name and address?",
    "my name is anna miller and i live at 12 oak street",
    "A: And your phone number?",
    "it is five five five two one three four",
    "A: When would you like us to come?",
    "tomorrow morning would be great",
)
HARMLESS = (
    "yes please",
    "thank you very much",
    "the weather is lovely today",
    "i will be at home after five",
    "my daughter plays football on sundays",
    "could you say that again",
    "let me find a pen",
    "the house has a blue door",
    "we moved here two years ago",
    "the dog is a bit loud sorry",
)
