"""How the risk must not move when a call is changed in a way that does not matter."""

from __future__ import annotations

import random
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detectors.assessment import Assessment, Segment, Severity
from detectors.conversation import ConversationDetector
from detectors.detector import ScamModel
from detectors.fusion import Evidence
from tests.detectors.speech import BOOKING, HARMLESS, ROBOCALL, conversation
from tests.detectors.test_scenarios import HONEST, SCAMS

# How far harmless changes may move the risk. What is raised most is `my credit card was charged`:
# the phrase weighs less where it opens what is said.
RAISED, MOVED, SPLIT = 0.2, 0.1, 0.15
ANSWERED = 0.2  # a caller whom somebody answers is a little less like a recording
FEW = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
CALLS = st.sampled_from([*SCAMS.values(), *HONEST.values(), BOOKING])
EITHER = {
    **{f"scam: {n}": c for n, c in SCAMS.items()},
    **{f"honest: {n}": c for n, c in HONEST.items()},
}


def hear(model: ScamModel, segments: Sequence[Segment]) -> list[Assessment]:
    detector = ConversationDetector(model)
    return [detector.feed([segment]) for segment in segments]


def evidence(model: ScamModel, lines: Sequence[str]) -> tuple[Evidence, ...]:
    detector = ConversationDetector(model)
    detector.feed(conversation(*lines))
    return detector.evidence()


def last(model: ScamModel, lines: Sequence[str]) -> float:
    return hear(model, conversation(*lines))[-1].risk


def highest(model: ScamModel, lines: Sequence[str]) -> float:
    return max(view.risk for view in hear(model, conversation(*lines)))


def halves(line: str, at: float) -> list[str]:
    """Cut a line between two words, keeping who says it."""
    ours = "A: " if line.startswith("A: ") else ""
    words = line.removeprefix("A: ").split()
    place = max(1, min(len(words) - 1, round(at * len(words))))
    parts = [words[:place], words[place:]]
    return [ours + " ".join(part) for part in parts if part]


@FEW
@given(
    lines=CALLS, added=st.lists(st.tuples(st.integers(0, 9), st.sampled_from(HARMLESS)), max_size=8)
)
def test_harmless_remarks_never_raise_the_risk_by_much(
    model: ScamModel, lines: tuple[str, ...], added: list[tuple[int, str]]
) -> None:
    longer = list(lines)
    for place, remark in added:
        longer.insert(min(place, len(longer)), remark)
    assert highest(model, longer) <= highest(model, lines) + RAISED


@pytest.mark.parametrize("name", EITHER)
@pytest.mark.parametrize("courtesy", ["thank you very much", "hello good morning", "sorry please"])
def test_courtesies_say_nothing_to_the_classifier(
    model: ScamModel, name: str, courtesy: str
) -> None:
    lines = EITHER[name]
    for longer in ([courtesy, *lines], [*lines[:2], courtesy, *lines[2:]]):
        (plain,), (polite,) = (evidence(model, each) for each in (lines, longer))
        assert polite.margin == pytest.approx(plain.margin, abs=1e-4)
        assert polite.caller_words == plain.caller_words


@FEW
@given(lines=CALLS, added=st.lists(st.sampled_from(HARMLESS), max_size=8))
def test_harmless_remarks_afterwards_do_not_hide_a_scam(
    model: ScamModel, lines: tuple[str, ...], added: list[str]
) -> None:
    assert highest(model, [*lines, *added]) >= highest(model, lines)


@pytest.mark.parametrize("name", EITHER)
def test_fillers_hardly_matter(model: ScamModel, name: str) -> None:
    lines = EITHER[name]
    filled = [line.replace(" and ", " and uh ").replace(" is ", " is um ") for line in lines]
    assert highest(model, filled) == pytest.approx(highest(model, lines), abs=MOVED)


@pytest.mark.parametrize("name", EITHER)
def test_case_and_punctuation_do_not_matter(model: ScamModel, name: str) -> None:
    lines = EITHER[name]
    written = [
        line if line.startswith("A: ") else line.capitalize().replace(" and ", ", and ") + "."
        for line in lines
    ]
    assert last(model, written) == pytest.approx(last(model, lines), abs=1e-6)


@FEW
@given(seed=st.integers(0, 10_000), name=st.sampled_from(sorted(EITHER)))
def test_the_order_of_harmless_remarks_hardly_matters(
    model: ScamModel, seed: int, name: str
) -> None:
    shuffled = list(HARMLESS)
    random.Random(seed).shuffle(shuffled)
    plain = last(model, [*HARMLESS, *EITHER[name]])
    assert last(model, [*shuffled, *EITHER[name]]) == pytest.approx(plain, abs=SPLIT)


@FEW
@given(name=st.sampled_from(sorted(EITHER)), place=st.integers(0, 8), at=st.floats(0.2, 0.8))
def test_an_utterance_cut_in_two_moves_the_risk_by_little(
    model: ScamModel, name: str, place: int, at: float
) -> None:
    lines = list(EITHER[name])
    place = min(place, len(lines) - 1)
    cut = [*lines[:place], *halves(lines[place], at), *lines[place + 1 :]]
    assert last(model, cut) == pytest.approx(last(model, lines), abs=SPLIT)


@pytest.mark.parametrize("name", SCAMS)
def test_nothing_our_agent_says_raises_an_alarm(model: ScamModel, name: str) -> None:
    ours = [msgspec.structs.replace(s, speaker="agent") for s in conversation(*SCAMS[name] * 3)]
    assert {view.severity for view in hear(model, ours)} == {Severity.MINIMAL}


@pytest.mark.parametrize(
    "notice",
    [
        "A: For your safety: we never ask for gift cards, passwords or one-time codes.",
        "A: This sounds like a scam. Please hang up and call your bank.",
        "A: Your payment is overdue. Press one to pay by card now.",
    ],
)
@pytest.mark.parametrize("name", EITHER)
def test_a_notice_of_our_agent_lowers_the_risk_by_little_and_raises_it_never(
    model: ScamModel, name: str, notice: str
) -> None:
    lines = EITHER[name]
    before, after = last(model, lines), last(model, [*lines, notice])
    assert before - ANSWERED < after <= before
    assert highest(model, [notice, *lines]) <= highest(model, lines) + RAISED


@pytest.mark.parametrize("name", EITHER)
@pytest.mark.parametrize("speaker", ["callee", "customer", "unknown", "mrs. miller"])
def test_what_the_other_party_is_called_does_not_matter(
    model: ScamModel, name: str, speaker: str
) -> None:
    segments = conversation(*EITHER[name])
    renamed = [
        segment if segment.speaker == "agent" else msgspec.structs.replace(segment, speaker=speaker)
        for segment in segments
    ]
    assert hear(model, renamed)[-1].risk == hear(model, segments)[-1].risk


@pytest.mark.parametrize("name", SCAMS)
def test_a_scam_against_our_customer_is_seen_on_either_line(model: ScamModel, name: str) -> None:
    """The victim is no agent of ours: both are watched, and the victim does not calm it down."""
    swap = {"agent": "callee", "caller": "caller"}
    segments = conversation(*SCAMS[name])
    one = [msgspec.structs.replace(s, speaker=swap[s.speaker]) for s in segments]
    swap = {"agent": "caller", "caller": "callee"}
    other = [msgspec.structs.replace(s, speaker=swap[s.speaker]) for s in segments]
    alone = max(view.risk for view in hear(model, segments))
    assert max(view.risk for view in hear(model, one)) >= alone - MOVED
    assert max(view.risk for view in hear(model, other)) >= alone - MOVED


def test_the_clock_alone_changes_nothing(model: ScamModel) -> None:
    late = [
        msgspec.structs.replace(s, started_ms=s.started_ms + 600_000, ended_ms=s.ended_ms + 600_000)
        for s in conversation(*ROBOCALL)
    ]
    assert hear(model, late)[-1].risk == hear(model, conversation(*ROBOCALL))[-1].risk
