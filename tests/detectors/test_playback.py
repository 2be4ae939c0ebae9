"""A written conversation is played as it would have been heard, and the notes add up."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.assessment import Severity
from detectors.detector import ScamModel
from detectors.playback import ALARM, Trace, commits, play
from detectors.transcripts import Said, Talk
from models.scam.corpus import UTTERANCE_WORDS
from models.scam.words import spoken_words
from tests.detectors.speech import BOOKING, ROBOCALL

SPOKEN = ("hello", "my", "name", "is", "–", "Anna,", "and", "it's", "urgent", "…", "42")
WORDS = st.lists(st.sampled_from(SPOKEN), max_size=40)


def talk(*texts: str, speaker: str = "caller") -> Talk:
    turns = [
        Said(line.removeprefix("A: "), "agent" if line.startswith("A: ") else speaker)
        for line in texts
    ]
    return Talk("t", tuple(turns), source="here", label="scam", cluster="k")


def words(count: int) -> str:
    return " ".join(f"word{number}" for number in range(count))


def test_a_long_turn_is_committed_in_pieces() -> None:
    found = list(commits([Said(words(3)), Said(words(30))]))
    assert [commit.turn for commit in found] == [1, 2, 2, 2]
    assert [commit.words for commit in found] == [3, 15, 27, 33]
    assert max(len(commit.segment.text.split()) for commit in found) == UTTERANCE_WORDS
    assert [commit.segment.number for commit in found] == [0, 1, 2, 3]


def test_without_times_words_are_the_clock() -> None:
    found = list(commits([Said(words(5)), Said(words(10))]))
    assert [(c.segment.started_ms, c.segment.ended_ms) for c in found] == [
        (0, 2_000),
        (2_000, 6_000),
    ]


def test_times_of_turns_are_kept_and_shared_out_among_their_pieces() -> None:
    found = list(commits([Said(words(24), start=10.0, end=20.0), Said(words(5))]))
    spans = [(c.segment.started_ms, c.segment.ended_ms) for c in found]
    assert spans == [(10_000, 15_000), (15_000, 20_000), (20_000, 22_000)]


@given(texts=st.lists(WORDS.map(" ".join), max_size=5))
def test_every_piece_lies_where_it_says_and_no_word_is_lost(texts: list[str]) -> None:
    turns = [Said(text) for text in texts]
    found = list(commits(turns))
    for commit in found:
        text = turns[commit.turn - 1].text
        assert text[commit.offset :].startswith(commit.segment.text)
    assert [c.words for c in found] == sorted(c.words for c in found)
    spoken = [word.plain for text in texts for word in spoken_words(text)]
    assert [word.plain for c in found for word in spoken_words(c.segment.text)] == spoken


def last_words(turns: Sequence[Said]) -> int:
    return sum(len(said.text.split()) for said in turns)


def test_a_scam_gets_an_alarm_with_its_turn_words_and_seconds(model: ScamModel) -> None:
    trace = play(model, talk(*ROBOCALL))
    assert trace.severity is Severity.CRITICAL
    assert trace.alarm_turn is not None
    assert trace.alarm_words is not None
    assert trace.alarm_seconds == trace.alarm_words / 2.5
    assert trace.type
    assert trace.score == trace.steps[-1][2]
    assert trace.highest == max(step[2] for step in trace.steps)
    assert len(trace.seconds) == len(trace.steps)
    assert trace.steps[-1][1] == last_words(talk(*ROBOCALL).turns)
    assert (trace.source, trace.label, trace.cluster) == ("here", "scam", "k")
    assert trace.model_version == model.manifest.model_version


def test_the_alarm_is_the_first_step_of_a_high_severity(model: ScamModel) -> None:
    trace = play(model, talk(*ROBOCALL))
    step = next(step for step in trace.steps if step[1] == trace.alarm_words)
    assert step[2] >= model.manifest.bands.high
    assert ALARM is Severity.HIGH


def test_an_honest_call_gets_none(model: ScamModel) -> None:
    trace = play(model, talk(*BOOKING))
    assert (trace.alarm_turn, trace.alarm_words, trace.alarm_seconds) == (None, None, None)
    assert trace.severity is Severity.MINIMAL
    assert trace.steps[-1][0] == len(BOOKING)  # turns of both sides are counted


def test_evidence_stands_in_the_turn_it_is_said_to(model: ScamModel) -> None:
    said = talk("A: good day", words(20) + " " + ROBOCALL[1] + " " + ROBOCALL[2])
    trace = play(model, said)
    assert trace.evidence
    for proof in trace.evidence:
        text = said.turns[proof.turn - 1].text
        assert text[proof.start : proof.end].startswith(proof.excerpt.removesuffix("…"))
        assert proof.speaker == "caller"
    assert any(proof.start > len(words(20)) for proof in trace.evidence)


@pytest.mark.parametrize("texts", [(), ("",), ("...", "–")])
def test_a_silent_conversation_has_no_steps(model: ScamModel, texts: tuple[str, ...]) -> None:
    trace = play(model, talk(*texts))
    assert trace.steps == ()
    assert (trace.score, trace.severity, trace.evidence) == (0.0, Severity.MINIMAL, ())
    assert trace.scored.steps == ()


def test_the_label_and_the_source_are_not_looked_at(model: ScamModel) -> None:
    known = talk(*ROBOCALL)
    unknown = Talk("t", known.turns)
    blind = msgspec.structs.replace(play(model, unknown), source="here", label="scam", cluster="k")
    assert blind == play(model, known)


def test_a_trace_is_told_in_json_as_scorers_read_it(model: ScamModel) -> None:
    trace = play(model, talk(*ROBOCALL))
    told = msgspec.json.decode(msgspec.json.encode(trace))
    assert told["steps"][0] == [1, trace.steps[0][1], trace.steps[0][2]]
    assert told["severity"] == "critical"
    assert msgspec.json.decode(msgspec.json.encode(trace), type=Trace) == trace


def test_figures_count_a_call_without_cluster_for_itself(model: ScamModel) -> None:
    trace = play(model, Talk("alone", talk(*ROBOCALL).turns, source="s", label="benign"))
    assert trace.scored.cluster == "alone"
    assert not trace.scored.scam
    assert trace.scored.steps[-1] == (trace.seconds[-1], trace.score)


def test_words_that_a_recogniser_had_later_count_from_then_on(model: ScamModel) -> None:
    turns = tuple(
        Said(text, "caller", 10.0 * n, 10.0 * n + 6, known=10.0 * n + 7)
        for n, text in enumerate(ROBOCALL)
    )
    trace = play(model, Talk("late", turns))
    assert trace.seconds[-1] == 27.0
    assert trace.alarm_seconds is not None
    assert trace.alarm_seconds % 10 == 7
    assert next(commits(turns)).segment.ended_ms == 6_000


def heard(text: str, known: float, *, provisional: bool = False) -> Said:
    return Said(text, "caller", 0.0, known, known, provisional=provisional)


def test_what_a_recogniser_hands_over_at_once_is_one_utterance() -> None:
    (commit,) = commits([heard(words(60), 20.0)])
    assert (commit.words, commit.segment.text) == (60, words(60))


def test_provisional_words_are_replaced_by_those_that_stand() -> None:
    turns = [
        heard("buy", 1.0, provisional=True),
        heard("buy gift", 2.0, provisional=True),
        heard("by chance", 3.0),
        heard("yes", 4.0),
    ]
    found = list(commits(turns))
    assert [commit.provisional for commit in found] == [True, True, False, False]
    assert [commit.turn for commit in found] == [1, 1, 1, 2]
    assert [commit.segment.number for commit in found] == [0, 0, 0, 1]
    assert [commit.words for commit in found] == [1, 2, 2, 3]


def test_an_alarm_in_mid_sentence_counts_from_then_on(model: ScamModel) -> None:
    early = [heard(" ".join(ROBOCALL[:2]), 6.0, provisional=True)]
    trace = play(model, Talk("t", (*early, heard(" ".join(ROBOCALL), 12.0))))
    late = play(model, Talk("t", (heard(" ".join(ROBOCALL), 12.0),)))
    assert (trace.alarm_seconds, late.alarm_seconds) == (6.0, 12.0)
    assert trace.score == late.score
    assert trace.evidence == late.evidence


def test_the_score_is_that_of_the_words_that_stand(model: ScamModel) -> None:
    turns = (heard("yes please", 1.0), heard(" ".join(ROBOCALL), 9.0, provisional=True))
    trace = play(model, Talk("t", turns))
    assert trace.score == trace.steps[0][2]
    assert trace.highest == trace.steps[1][2]
    assert trace.evidence == ()
    assert trace.alarm_seconds == 9.0
