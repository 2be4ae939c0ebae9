from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.testing.network import tone
from voice_server.call.voice_activity import loudness
from voice_server.testing import (
    Conversation,
    Monologue,
    Move,
    Script,
    ScriptedCaller,
    ScriptError,
    SilentCaller,
    Turn,
    WavCaller,
    caller_for,
    wav,
)
from voice_server.testing.caller import AUDIBLE, COMFORT
from voice_server.testing.report import spurts

VOICE = tone(10_000)
AGENT = tone(20)


def talk(caller, agent_speaks=(), *, until: int = 60_000) -> list[tuple[int, Move]]:
    """What a caller did and when, on a line where the agent speaks in the given spans (ms)."""
    moves = []
    for now in range(20, until + 20, 20):
        speaking = any(begin < now <= end for begin, end in agent_speaks)
        move = caller.move(AGENT if speaking else COMFORT, now)
        moves.append((now, move))
        if move.hangs_up:
            break
    return moves


def spoke(moves) -> list[tuple[int, int]]:
    """First and last instant of each stretch of speech."""
    spans: list[tuple[int, int]] = []
    for now, move in moves:
        if loudness(move.mulaw) < AUDIBLE:
            continue
        if spans and now - spans[-1][1] == 20:
            spans[-1] = (spans[-1][0], now)
        else:
            spans.append((now, now))
    return spans


def keys(moves) -> list[tuple[int, str]]:
    return [(now, move.digits) for now, move in moves if move.digits]


def hung_up_at(moves) -> int | None:
    return next((now for now, move in moves if move.hangs_up), None)


def conversation(*turns: Turn, **script) -> Conversation:
    return Conversation(Script(turns=turns, respond=True, **script), VOICE)


ONE_SECOND = Turn(start=0, end=1)


def test_a_turn_follows_600_ms_after_the_agent_has_finished():
    moves = talk(conversation(ONE_SECOND), [(0, 2000), (2400, 3000)])
    assert spoke(moves) == [(3600, 4580)]


def test_each_turn_waits_for_the_agent_to_answer_the_one_before():
    caller = conversation(ONE_SECOND, Turn(start=2, end=2.5))
    moves = talk(caller, [(0, 1000), (5000, 7000), (9000, 10_000)])
    assert spoke(moves) == [(1600, 2580), (7600, 8080)]
    assert hung_up_at(moves) == 11_500


def test_the_agent_s_last_words_spoken_over_do_not_count_as_an_answer():
    caller = conversation(Turn(start=0, end=1, interrupt_after_s=0.5), ONE_SECOND)
    moves = talk(caller, [(0, 1560), (4000, 5000)])
    assert spoke(moves)[1][0] == 5600


def test_a_click_is_not_an_answer():
    moves = talk(conversation(ONE_SECOND, max_wait_s=5), [(100, 160)])
    assert spoke(moves)[0][0] == 5160


def test_without_an_answer_the_caller_goes_on_after_its_longest_wait():
    moves = talk(conversation(ONE_SECOND, ONE_SECOND, max_wait_s=3))
    assert spoke(moves) == [(3000, 3980), (6980, 7960)]
    assert hung_up_at(moves) == 10_960


def test_a_pause_makes_the_caller_wait_longer():
    moves = talk(conversation(Turn(start=0, end=1, pause_s=1.5)), [(0, 1000)])
    assert spoke(moves)[0][0] == 3100


def test_an_interruption_speaks_into_the_agent():
    moves = talk(conversation(Turn(start=0, end=1, interrupt_after_s=0.8)), [(1000, 9000)])
    assert spoke(moves) == [(1800, 2780)]


def test_an_interruption_of_an_agent_who_was_quicker_is_an_ordinary_turn():
    moves = talk(conversation(Turn(start=0, end=1, interrupt_after_s=5)), [(1000, 2000)])
    assert spoke(moves)[0][0] == 2600


def test_keys_are_pressed_one_after_the_other_in_silence():
    moves = talk(conversation(Turn(digits="12#")), [(0, 1000)])
    assert keys(moves) == [(1600, "1"), (1840, "2"), (2080, "#")]
    assert spoke(moves) == []


def test_keys_may_be_pressed_while_speaking():
    moves = talk(conversation(Turn(start=0, end=1, digits="1")), [(0, 1000)])
    assert keys(moves) == [(1600, "1")]
    assert spoke(moves) == [(1600, 2580)]


def test_the_caller_hangs_up_after_the_agent_s_closing():
    moves = talk(conversation(ONE_SECOND), [(0, 1000), (3000, 4000), (5000, 6000)])
    assert hung_up_at(moves) == 7500


def test_a_caller_told_to_stay_stays():
    moves = talk(conversation(ONE_SECOND, hang_up=False), [(0, 1000), (3000, 4000)])
    assert hung_up_at(moves) is None


def test_a_script_without_turns_listens_and_leaves():
    assert hung_up_at(talk(conversation(), [(0, 1000)])) == 2500


def test_the_voice_is_cut_from_the_wav_at_the_turn_s_seconds():
    voice = b"\x01" * 8000 + b"\x02" * 8000
    caller = Conversation(Script(turns=(Turn(start=0.99, end=1.01),), max_wait_s=0), voice)
    assert caller.move(COMFORT, 20).mulaw == b"\x01" * 80 + b"\x02" * 80


def test_the_same_line_gives_the_same_conversation():
    def once():
        turns = (ONE_SECOND, Turn(digits="5"), Turn(start=2, end=3, interrupt_after_s=0.2))
        return talk(conversation(*turns), [(0, 900), (3000, 4000), (6000, 9000)])

    assert once() == once()


def test_a_monologue_plays_from_the_start_lingers_and_hangs_up():
    moves = talk(Monologue(VOICE[: 8 * 500], linger_ms=300), [(0, 400)])
    assert spoke(moves) == [(20, 500)]
    assert hung_up_at(moves) == 820


def test_a_monologue_may_stay_on_the_line():
    assert hung_up_at(talk(Monologue(b"", hang_up=False))) is None


def test_a_silent_caller_presses_keys_and_leaves():
    moves = talk(SilentCaller(2000, digits="42", digits_at_ms=1000))
    assert keys(moves) == [(1000, "4"), (1240, "2")]
    assert spoke(moves) == []
    assert hung_up_at(moves) == 2000


@pytest.fixture
def recording(tmp_path):
    path = tmp_path / "tap.wav"
    wav.write(path, tone(3000), b"\xff" * 100)
    return path


def sidecar(path, text: str) -> None:
    path.with_suffix(".json").write_text(text)


TALKATIVE = """{"id": "tap", "file": "tap.wav", "respond": true, "from": "+12025550199",
  "to": "+12025550100", "label": "benign", "turns": [{"start": 0, "end": 1, "text": "Hi"}]}"""


def test_a_wav_without_a_sidecar_plays_from_its_start(recording):
    caller = caller_for(recording)
    assert type(caller) is WavCaller
    assert caller.move(COMFORT, 20).mulaw == tone(20)


def test_a_sidecar_that_responds_makes_a_conversation(recording):
    sidecar(recording, TALKATIVE)
    caller = caller_for(recording)
    assert type(caller) is ScriptedCaller
    assert (caller.script.from_number, caller.script.to_number) == ("+12025550199", "+12025550100")
    assert spoke(talk(caller, [(0, 1000)])) == [(1600, 2580)]


def test_the_sidecar_s_own_path_will_do(recording):
    sidecar(recording, TALKATIVE)
    assert ScriptedCaller(recording.with_suffix(".json")).script.id == "tap"


def test_a_scripted_caller_needs_a_script(recording):
    with pytest.raises(ScriptError, match="respond"):
        ScriptedCaller(recording)


@pytest.mark.parametrize(
    ("turn", "complaint"),
    [
        ('{"start": 2, "end": 1}', "turn 1: says nothing"),
        ('{"text": "Hi"}', "turn 1: says nothing"),
        ('{"start": 2, "end": 9}', "outside the wav"),
        ('{"start": -1, "end": 1}', "outside the wav"),
        ('{"digits": "12 34"}', "0-9"),
        ('{"start": "one"}', r"turns\[0\].start"),
    ],
)
def test_a_script_that_cannot_be_spoken_is_refused_with_the_turn_s_number(
    recording, turn, complaint
):
    sidecar(recording, f'{{"respond": true, "turns": [{turn}]}}')
    with pytest.raises(ScriptError, match=complaint):
        ScriptedCaller(recording)


def test_a_corpus_sidecar_with_odd_turns_still_plays(recording):
    sidecar(recording, '{"turns": [{"channel": 1, "start": 90, "end": 95, "text": "x"}]}')
    assert isinstance(caller_for(recording), WavCaller)


def shared_calls() -> Path:
    home = os.environ.get("VOICE_SERVER_SHARED")
    folder = Path(home) if home else Path(__file__).parents[3] / "shared"
    return folder / "data" / "calls"


@pytest.mark.shared
def test_every_real_recording_can_be_played():
    recordings = sorted(shared_calls().glob("*.wav"))
    if not recordings:
        pytest.skip("no shared recordings; set VOICE_SERVER_SHARED to their folder")
    for recording in recordings:
        caller = caller_for(recording)
        said = [caller.move(COMFORT, now).mulaw for now in range(20, 30_000, 20)]
        assert spurts(b"".join(said)), recording.name
