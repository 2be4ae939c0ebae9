"""Evidence kept apart, and what becomes of the risk without a part of it."""

from __future__ import annotations

import msgspec
import pytest

from detectors.conversation import ConversationDetector
from detectors.detector import ScamModel
from detectors.left_out import ABLATIONS, Heard, judge, scored
from detectors.left_out import play as play_blindly
from detectors.playback import play
from detectors.speed import measure
from detectors.transcripts import Said, Talk
from models.scam.corpus import Conversation, Turn
from tests.detectors.speech import BOOKING, ROBOCALL


def talk(*lines: str, source: str = "ours") -> Conversation:
    turns = tuple(
        Turn("agent", line[3:]) if line.startswith("A: ") else Turn("caller", line)
        for line in lines
    )
    return Conversation("1", source, "scam", "c", turns, topic="bank")


def hear(model: ScamModel, call: Conversation) -> Heard:
    return judge(play_blindly(model.manifest, call), model.classifier)


def final(model: ScamModel, call: Conversation, name: str = "everything") -> float:
    manifest = model.manifest
    (one,) = scored([hear(model, call)], manifest.fusion, mask=ABLATIONS[name])
    return one.steps[-1][1]


def everybody(*lines: str) -> Conversation:
    """The lines, each said by two watched parties and by our agent in turn."""
    turns = (Turn(who, line) for line in lines for who in ("caller", "unknown", "agent"))
    return msgspec.structs.replace(talk(), turns=tuple(turns))


@pytest.mark.parametrize(
    "call", [talk(*ROBOCALL), talk(*BOOKING), everybody(*ROBOCALL), everybody(*BOOKING)]
)
def test_the_risk_is_that_of_the_command(model: ScamModel, call: Conversation) -> None:
    said = [msgspec.convert(msgspec.to_builtins(turn), Said) for turn in call.turns]
    trace = play(model, Talk(id="1", turns=tuple(said)))
    manifest = model.manifest
    (one,) = scored([hear(model, call)], manifest.fusion)
    assert [risk for _, risk in one.steps] == pytest.approx([step[2] for step in trace.steps])
    assert [seconds for seconds, _ in one.steps] == pytest.approx(trace.seconds, abs=0.01)


def test_a_robocall_is_less_risky_without_any_of_its_detectors(model: ScamModel) -> None:
    whole = final(model, talk(*ROBOCALL))
    for name in ("without phrases and keywords", "without the classifier"):
        assert final(model, talk(*ROBOCALL), name) < whole
    assert final(model, talk(*ROBOCALL), "without behaviour") <= whole


def test_topics_of_our_own_can_be_told_apart(model: ScamModel) -> None:
    manifest = model.manifest
    heard = [hear(model, talk("hello"))]
    assert scored(heard, manifest.fusion)[0].source == "ours"
    apart = scored(heard, manifest.fusion, by_origin=True)
    assert apart[0].source == "ours/bank"


def test_a_call_without_words_has_no_moment(model: ScamModel) -> None:
    heard = hear(model, talk())
    assert heard.moments == ()
    assert scored([heard], model.manifest.fusion)[0].steps == ()


def test_the_evidence_of_a_conversation_is_that_of_its_watched_parties(model: ScamModel) -> None:
    detector = ConversationDetector(model)
    assert detector.evidence() == ()
    heard = hear(model, talk("A: hello", "your account is frozen"))
    assert [len(moment.parties) for moment in heard.moments] == [0, 1]


def test_the_cost_of_an_utterance_is_small(model: ScamModel) -> None:
    speed = measure(model, [*ROBOCALL, *BOOKING] * 5, 1_000)
    assert 0 < speed.median_us <= speed.p95_us < 50_000
    assert 0 < speed.batched_us < 5_000
    assert speed.call_bytes < 2_000_000
    assert speed.file_bytes == 1_000
    assert measure(model, [], 0).median_us == 0
