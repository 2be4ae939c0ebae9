from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_server.llm.receptionist.intents import (
    Intent,
    count_off_topic,
    find_intents,
    sounds_foreign,
)

MEANT = {
    Intent.YES: [
        "yes", "Yes.", "yeah", "yep", "yes please", "that's right", "correct", "sure", "okay",
        "that's correct", "sounds good", "absolutely", "go ahead", "uh huh", "mm hmm", "exactly",
        "yes that's all correct", "perfect", "of course", "Yea.", "right", "no problem, go ahead",
    ],
    Intent.NO: [
        "no", "No.", "nope", "nah", "no thanks", "that's wrong", "that's not right", "not correct",
        "no it isn't", "Know.", "Now.", "incorrect", "not really", "no no no",
    ],
    Intent.GOODBYE: [
        "bye", "goodbye", "Good-bye.", "that's all", "have a nice day", "nothing else",
        "I have to go", "bye bye",
    ],
    Intent.HUMAN: [
        "can I talk to a human", "I want a real person", "operator", "let me speak to someone",
        "transfer me please", "put me through to the office", "customer service",
        "can I speak with a representative", "Give me your manager.", "a real person please",
    ],
    Intent.SKIP: [
        "skip", "skip that", "I'd rather not say", "I don't know", "I don't have one", "no idea",
        "I don't want to give that", "next question",
    ],
    Intent.REPEAT: [
        "can you repeat that", "say that again", "pardon", "what did you say", "come again",
        "I didn't hear you", "repeat please", "sorry, what was that?",
    ],
    Intent.WAIT: ["hold on", "one moment", "just a second", "hang on a minute", "wait"],
    Intent.CHANGE: [
        "change the address", "the name is wrong", "can we change the time", "a different day",
        "you got my name wrong", "the number is not right",
    ],
    Intent.CANCEL: ["cancel my order", "I want to cancel", "cancel the appointment"],
    Intent.LOOK_UP: [
        "where is my order", "I want to check the status of my order", "when is my appointment",
        "I already have an appointment",
    ],
    Intent.NEVER_MIND: ["never mind", "forget it", "I changed my mind", "not interested"],
    Intent.MESSAGE: ["can I leave a message", "please call me back"],
    Intent.WRONG_NUMBER: [
        "wrong number", "I have the wrong number", "sorry I misdialed",
        "isn't this the pizza place",
    ],
    Intent.PRICE: ["how much is it", "what does it cost", "do you charge", "can I get a quote"],
    Intent.HOURS: ["what are your opening hours", "when do you close", "are you open on Sunday"],
    Intent.WHO: ["who is this", "who am I talking to", "what company is this"],
    Intent.ROBOT: ["are you a robot", "am I talking to a machine", "are you a real person"],
    Intent.KEYPAD: ["I'll type it in", "can I use the keypad", "let me type it", "I will enter it"],
    Intent.THIS_NUMBER: ["this number", "the number I'm calling from", "same number is fine"],
    Intent.OTHER_NUMBER: ["another number", "a different number", "use my cell phone"],
    Intent.GREETING: ["hello", "hi there", "good morning"],
    Intent.THANKS: ["thanks", "thank you very much"],
    Intent.OFF_TOPIC: [
        "your credit card number", "buy gift cards", "your car's extended warranty",
        "this is the IRS", "your computer has a virus", "press one now", "you have won a prize",
    ],
    Intent.FOREIGN: [
        "hola necesito un plomero", "ich brauche einen Klempner", "bonjour je suis", "你好 我 需要",
        "Здравствуйте мне нужен",
    ],
    Intent.QUESTION: ["can you come today?", "what do you do", "where are you"],
}  # fmt: skip
ROWS = [(intent, text) for intent, texts in MEANT.items() for text in texts]


@pytest.mark.parametrize(("intent", "text"), ROWS)
def test_what_is_meant_is_heard(intent: Intent, text: str) -> None:
    assert intent in find_intents(text)


@pytest.mark.parametrize(
    ("intent", "text"),
    [
        (Intent.YES, "no that's not right"),
        (Intent.YES, "it's not correct"),
        (Intent.YES, "right now my sink is leaking"),
        (Intent.YES, "not okay"),
        (Intent.YES, "correct the address"),
        (Intent.NO, "there is no hot water"),
        (Intent.NO, "I don't know"),
        (Intent.NO, "no problem"),
        (Intent.NO, "yes"),
        (Intent.NO, "the north side"),
        (Intent.GOODBYE, "by the way"),
        (Intent.HUMAN, "personally I think so"),
        (Intent.OFF_TOPIC, "my kitchen sink is leaking"),
        (Intent.OFF_TOPIC, "12 Oak Street"),
        (Intent.CANCEL, "my sink is leaking"),
        (Intent.WRONG_NUMBER, "Mary Jones"),
        (Intent.SKIP, "12 Oak Street"),
        (Intent.WAIT, "the waiter"),
        (Intent.FOREIGN, "my name is Juan de la Cruz"),
        (Intent.FOREIGN, "no"),
        (Intent.FOREIGN, "the kitchen sink is leaking"),
    ],
)
def test_what_is_not_meant_is_not_heard(intent: Intent, text: str) -> None:
    assert intent not in find_intents(text)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("my sink is leaking", 0),
        ("do you take credit card", 1),
        ("this is amazon, your bank account and credit card are at risk", 3),
        ("gift cards, gift cards, gift cards", 1),
    ],
)
def test_different_things_off_topic_are_counted(text: str, count: int) -> None:
    assert count_off_topic(text) == count


@given(st.text(max_size=200))
def test_any_text_has_known_intents(text: str) -> None:
    assert all(isinstance(intent, Intent) for intent in find_intents(text))
    assert sounds_foreign(text) in {True, False}
