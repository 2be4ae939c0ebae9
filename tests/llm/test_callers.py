"""The synthetic callers of tests/callers: on paper, and through the local recogniser."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from tests.llm.conversation import Conversation
from voice_server.call.history import CallerSaid
from voice_server.testing import script as scripts
from voice_server.testing import wav

FOLDER = Path(__file__).parents[1] / "callers"
MAX_BYTES = 400_000
Hear = Callable[[str, scripts.Turn], str]

# What each call must come to: the order's details, or the tool that ends it.
ORDERS = {
    "book_plumbing": {
        "service_type": "plumbing",
        "customer_phone": "+12025550147",
        "scheduled_at": "2026-11-23T10:00:00-05:00",
    },
    "book_cleaning_interrupting": {
        "service_type": "cleaning",
        "customer_phone": "+12025550143",
        "scheduled_at": "2026-11-27T15:00:00-05:00",
    },
}
NAMES_AND_PLACES = {
    "book_plumbing": ("Mary Cooper", "12 Oak Street"),
    "book_cleaning_interrupting": ("Peter Brown", "45 Elm Avenue"),
}
ENDINGS = {
    "book_plumbing": "end_call",
    "book_cleaning_interrupting": "end_call",
    "ask_for_human": "transfer_call",
    "wrong_number": "end_call",
    "scam_refund": "end_call",
}
TALKING = sorted(ENDINGS)
NAMES = [*TALKING, "silent_caller"]


def as_written(name: str, turn: scripts.Turn) -> str:
    return turn.text


def play(name: str, hear: Hear = as_written) -> Conversation:
    """Let a caller talk to the receptionist without any audio."""
    caller = scripts.read_script(FOLDER / f"{name}.json")
    call = Conversation(caller.from_number)
    for index, turn in enumerate(caller.turns):
        if call.ended:
            break
        following = caller.turns[index + 1] if index + 1 < len(caller.turns) else None
        interrupted = following is not None and following.interrupt_after_s is not None
        if turn.digits:
            call.say("#" + turn.digits)
        else:
            call.take(CallerSaid(hear(name, turn)), heard=40 if interrupted else None)
    return call


@pytest.mark.parametrize("name", NAMES)
def test_a_caller_is_a_small_mulaw_file_with_a_script_that_fits(name: str) -> None:
    caller, voice = scripts.read_caller(FOLDER / f"{name}.json")
    assert (FOLDER / caller.file).stat().st_size < MAX_BYTES
    assert caller.id == name
    ends = [turn.end for turn in caller.turns if not turn.digits]
    assert ends == sorted(ends)
    assert all(end <= len(voice) / wav.SAMPLE_RATE for end in ends)


@pytest.mark.parametrize("name", NAMES)
def test_a_callers_numbers_are_fictitious(name: str) -> None:
    caller = scripts.read_script(FOLDER / f"{name}.json")
    keyed = ["+1" + turn.digits.rstrip("#") for turn in caller.turns if turn.digits]
    for number in (caller.from_number, caller.to_number, *keyed):
        assert re.fullmatch(r"\+1\d{3}55501\d\d", number)


@pytest.mark.parametrize("name", TALKING)
def test_a_callers_words_lead_where_they_should(name: str) -> None:
    check(name, play(name))


def check(name: str, call: Conversation) -> None:
    assert call.tools
    assert call.tools[-1].name == ENDINGS[name]
    if name in ORDERS:
        assert ORDERS[name].items() <= call.order.items()
        assert (call.order["customer_name"], call.order["customer_address"]) == (
            NAMES_AND_PLACES[name]
        )
    else:
        assert len(call.tools) == 1


def test_who_asks_for_a_human_leaves_a_message_where_there_is_none() -> None:
    call = Conversation(can_transfer=False)
    call.say(*(turn.text for turn in scripts.read_script(FOLDER / "ask_for_human.json").turns))
    assert [used.name for used in call.tools] == ["take_message", "end_call"]


@pytest.mark.weights
@pytest.mark.parametrize("name", TALKING)
def test_a_caller_heard_by_the_local_recogniser_is_understood(name: str, hear: Hear) -> None:
    check(name, play(name, hear))


@pytest.mark.weights
def test_the_local_recogniser_gets_most_words_of_the_callers_right(hear: Hear) -> None:
    wrong = total = 0
    for name in TALKING:
        for turn in scripts.read_script(FOLDER / f"{name}.json").turns:
            if not turn.digits:
                expected, found = plain(turn.text), plain(hear(name, turn))
                wrong += distance(expected, found)
                total += len(expected)
    assert wrong / total < 0.15


NUMBERS = {"twelve": "12", "ten": "10", "forty": "40", "five": "5", "two": "2", "three": "3"}


def plain(text: str) -> list[str]:
    return [NUMBERS.get(word, word) for word in re.findall(r"[a-z']+|\d+", text.lower())]


def distance(left: list[str], right: list[str]) -> int:
    """Edits between two word lists."""
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, start=1):
        diagonal, row[0] = row[0], i
        for j, b in enumerate(right, start=1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (a != b))
    return row[-1]


@pytest.fixture(scope="module")
def hear() -> Hear:
    """Transcribe a turn as the server does: mu-law, resampled, Moonshine tiny."""
    from models.weights import Weights, WeightsMissing
    from voice_server.speech import g711
    from voice_server.speech.moonshine import RATE, Moonshine
    from voice_server.speech.resample import resample

    weights = Weights()
    try:
        model = Moonshine(
            *(weights.path(f"moonshine_{part}") for part in ("encoder", "decoder", "tokenizer"))
        )
    except WeightsMissing:
        pytest.skip("needs the weights: voice-server models pull")
    voices = {name: scripts.read_caller(FOLDER / f"{name}.json")[1] for name in TALKING}

    def transcribe(name: str, turn: scripts.Turn) -> str:
        start, end = (int(at * wav.SAMPLE_RATE) for at in (turn.start, turn.end))
        margin = int(0.2 * wav.SAMPLE_RATE)
        mulaw = voices[name][max(0, start - margin) : end + margin]
        samples = resample(g711.decode_float(mulaw), wav.SAMPLE_RATE, RATE)
        return model.transcribe(np.asarray(samples, np.float32))

    return transcribe


def test_scripts_are_plain_json() -> None:
    for name in NAMES:
        assert isinstance(msgspec.json.decode((FOLDER / f"{name}.json").read_bytes()), dict)
