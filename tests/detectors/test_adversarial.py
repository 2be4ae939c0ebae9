"""Callers who try to slip through, calls that only sound like scams, and all kinds of rubbish."""

from __future__ import annotations

import gc
import random
import sys
from collections.abc import Iterable, Sequence
from itertools import cycle, islice
from types import FrameType, FunctionType, ModuleType

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detectors.assessment import Assessment, Segment, Severity
from detectors.conversation import ConversationDetector
from detectors.detector import ScamModel
from detectors.keywords import KEYWORDS
from tests.detectors.calls import (
    ABOUT_SCAMS,
    ASIDES,
    FOREIGN_SCAMS,
    INJECTIONS,
    LANGUAGES,
    PARAPHRASED,
    POLITE_HONEST,
    POLITE_SCAM,
)
from tests.detectors.noise import HOMOPHONES, misheard, word_error_rate
from tests.detectors.speech import BOOKING, HARMLESS, ROBOCALL, conversation
from tests.detectors.test_scenarios import HONEST, SCAMS

LONG = 10_000


def hear(model: ScamModel, lines: Sequence[str]) -> list[Assessment]:
    detector = ConversationDetector(model)
    return [detector.feed([segment]) for segment in conversation(*lines)]


def highest(model: ScamModel, lines: Sequence[str]) -> float:
    return max(view.risk for view in hear(model, lines))


def worst(model: ScamModel, lines: Sequence[str]) -> Severity:
    return max((view.severity for view in hear(model, lines)), key=lambda band: band.rank)


def noisy(lines: Sequence[str], rate: float, rng: random.Random) -> list[str]:
    """Only the caller is misheard: we know what our agent said."""
    return [line if line.startswith("A: ") else misheard(line, rate, rng) for line in lines]


# Asks in other words


@pytest.mark.parametrize("ask", PARAPHRASED)
def test_most_wordings_of_an_ask_are_noticed(model: ScamModel, ask: str) -> None:
    opening, wordings = PARAPHRASED[ask]
    noticed = [worst(model, (*opening, wording)).rank >= 2 for wording in wordings]
    assert sum(noticed) >= 3, noticed


def test_a_scam_is_riskier_than_any_honest_call_however_it_is_worded(model: ScamModel) -> None:
    honest = sorted(highest(model, lines) for lines in HONEST.values())
    typical = honest[len(honest) // 2]
    for opening, wordings in PARAPHRASED.values():
        for wording in wordings:
            assert highest(model, (*opening, wording)) > typical


def test_a_kind_and_patient_scammer_is_riskier_than_a_kind_and_patient_florist(
    model: ScamModel,
) -> None:
    assert highest(model, POLITE_SCAM) > highest(model, POLITE_HONEST) + 0.2


def test_a_kind_and_patient_scammer_is_noticed_in_the_end(model: ScamModel) -> None:
    assert worst(model, POLITE_SCAM).rank >= Severity.MEDIUM.rank


def test_a_kind_and_patient_florist_is_left_in_peace(model: ScamModel) -> None:
    assert worst(model, POLITE_HONEST).rank <= Severity.LOW.rank


# What a recogniser makes of it


@pytest.mark.parametrize(("rate", "floor"), [(0.05, 0.85), (0.1, 0.75), (0.2, 0.55), (0.3, 0.35)])
def test_scams_are_seen_through_recognition_errors(
    model: ScamModel, rate: float, floor: float
) -> None:
    rng = random.Random(11)
    calls = [noisy(lines, rate, rng) for lines in SCAMS.values() for _ in range(4)]
    alarmed = [worst(model, call).rank >= Severity.HIGH.rank for call in calls]
    assert sum(alarmed) >= floor * len(alarmed)


@pytest.mark.parametrize(("rate", "limit"), [(0.05, 0.02), (0.1, 0.02), (0.2, 0.02), (0.3, 0.05)])
def test_recognition_errors_make_hardly_any_honest_call_a_scam(
    model: ScamModel, rate: float, limit: float
) -> None:
    """A victim's report that loses its "somebody said" cannot be told from the scam itself."""
    rng = random.Random(12)
    calls = [noisy(lines, rate, rng) for lines in HONEST.values() for _ in range(4)]
    heard = [worst(model, call) for call in calls]
    assert sum(band.rank >= Severity.HIGH.rank for band in heard) <= limit * len(heard)
    assert all(band.rank < Severity.CRITICAL.rank for band in heard)


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.2, 0.3])
def test_the_noise_is_as_loud_as_it_says(rate: float) -> None:
    rng = random.Random(13)
    said = " ".join(line for lines in SCAMS.values() for line in lines) + " " + " ".join(HOMOPHONES)
    rates = [word_error_rate(said, misheard(said, rate, rng)) for _ in range(5)]
    assert sum(rates) / 5 == pytest.approx(rate, rel=0.35)


# Talk about scams


@pytest.mark.parametrize("name", ABOUT_SCAMS)
def test_talk_about_scams_raises_no_alarm(model: ScamModel, name: str) -> None:
    assert worst(model, ABOUT_SCAMS[name]).rank < Severity.HIGH.rank


@pytest.mark.parametrize("name", ABOUT_SCAMS)
def test_talk_about_scams_never_ends_a_call_even_if_it_is_misheard(
    model: ScamModel, name: str
) -> None:
    rng = random.Random(14)
    for _ in range(5):
        assert worst(model, noisy(ABOUT_SCAMS[name], 0.1, rng)).rank < Severity.CRITICAL.rank


# Orders to the detector


@pytest.mark.parametrize("order", INJECTIONS)
@pytest.mark.parametrize("name", ["bank", "arrest", "remote access"])
def test_an_order_to_look_away_hides_no_scam(model: ScamModel, name: str, order: str) -> None:
    plain = highest(model, SCAMS[name])
    assert highest(model, (order, *SCAMS[name])) >= plain - 0.1
    assert worst(model, (order, *SCAMS[name], order)).rank >= Severity.HIGH.rank


@pytest.mark.parametrize("order", INJECTIONS)
def test_an_order_to_look_away_makes_an_honest_call_no_scam(model: ScamModel, order: str) -> None:
    assert worst(model, (*BOOKING, order)).rank <= Severity.MEDIUM.rank


# Other languages


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_honest_call_in_another_language_stays_quiet(model: ScamModel, language: str) -> None:
    assert worst(model, LANGUAGES[language] * 3).rank <= Severity.LOW.rank


@pytest.mark.parametrize("language", LANGUAGES)
def test_little_confidence_is_claimed_in_another_language(model: ScamModel, language: str) -> None:
    english = hear(model, BOOKING)[-1].confidence
    assert hear(model, LANGUAGES[language] * 3)[-1].confidence <= 0.5 * english


@pytest.mark.parametrize("language", FOREIGN_SCAMS)
def test_a_scam_in_another_language_is_missed_but_nothing_is_claimed(
    model: ScamModel, language: str
) -> None:
    """What the card says of other languages; a model that can do more may change this."""
    views = hear(model, FOREIGN_SCAMS[language])
    assert max(view.severity.rank for view in views) < Severity.HIGH.rank
    assert views[-1].confidence <= 0.5 * hear(model, ROBOCALL)[-1].confidence


@pytest.mark.parametrize("name", ["bank", "arrest", "remote access"])
def test_asides_in_another_language_hide_no_scam(model: ScamModel, name: str) -> None:
    mixed = [part for pair in zip(cycle(ASIDES), SCAMS[name], strict=False) for part in pair]
    assert worst(model, mixed).rank >= Severity.HIGH.rank


def test_an_honest_call_in_two_languages_stays_quiet(model: ScamModel) -> None:
    mixed = [part for pair in zip(cycle(ASIDES), BOOKING, strict=False) for part in pair]
    assert worst(model, mixed).rank <= Severity.LOW.rank


# Words in the making


@pytest.mark.parametrize("name", HONEST)
def test_half_heard_words_of_an_honest_call_raise_no_alarm(model: ScamModel, name: str) -> None:
    """Partial transcripts are misheard more often than what is committed, and end anywhere."""
    rng = random.Random(15)
    detector = ConversationDetector(model)
    heard: list[Severity] = []
    for segment in conversation(*HONEST[name]):
        words = segment.text.split()
        for count in range(2, len(words) + 1, 2):
            text = misheard(" ".join(words[:count]), 0.15, rng)
            tail = msgspec.structs.replace(segment, text=text)
            heard.append(detector.preview(tail).severity)
        detector.feed([segment])
    assert max(heard, key=lambda band: band.rank).rank < Severity.CRITICAL.rank
    assert sum(band.rank >= Severity.HIGH.rank for band in heard) <= 0.02 * len(heard)


# Nothing, little, and rubbish


@pytest.mark.parametrize("text", ["", "   ", "…", "?!", "\n\t", "--", "\u200b", "🙂🙂"])
def test_silence_changes_nothing(model: ScamModel, text: str) -> None:
    assert hear(model, (text,) * 5)[-1].severity is Severity.MINIMAL
    before, *_, after = hear(model, (ROBOCALL[0], text, text))
    assert after.risk == pytest.approx(before.risk, abs=0.02)


def test_no_single_word_raises_an_alarm(model: ScamModel) -> None:
    words = sorted({*KEYWORDS, *HOMOPHONES, "scam", "yes", "no", "hello", "help", "stop"})
    alarmed = [word for word in words if worst(model, (word,)).rank >= Severity.HIGH.rank]
    assert alarmed == []


@pytest.mark.parametrize("word", ["bitcoin", "police", "urgent", "no", "transfer", "gift", "scam"])
def test_no_word_said_over_and_over_ends_a_call(model: ScamModel, word: str) -> None:
    assert worst(model, (word,) * 60).rank < Severity.CRITICAL.rank
    assert worst(model, (" ".join([word] * 60),)).rank < Severity.CRITICAL.rank


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(st.text(max_size=200), max_size=6), ours=st.booleans())
def test_rubbish_is_taken_calmly(model: ScamModel, lines: list[str], ours: bool) -> None:
    detector = ConversationDetector(model)
    for number, text in enumerate(lines):
        speaker = "agent" if ours and number % 2 else "caller"
        view = detector.feed([Segment(number, speaker, text, number * 1_000, number * 1_000 + 900)])
        assert 0 <= view.risk <= 1
        assert 0 <= view.confidence <= 1
        for finding in view.findings:
            assert 0 <= finding.start <= finding.end <= len(lines[finding.segment])


# Very long calls


def endless(seed: int) -> Iterable[str]:
    """Chatter whose words never quite repeat, with a sentence of a real call now and then."""
    rng = random.Random(seed)
    spoken = [line for lines in (*HONEST.values(), HARMLESS, BOOKING) for line in lines]
    for line in cycle(spoken):
        if rng.random() < 0.3:
            yield line
        else:
            yield " ".join(f"w{rng.randrange(30_000)}" for _ in range(10))


def memory_of(root: object) -> int:
    """Bytes that live and die with one detector; the shared model does not count."""
    shared = (ScamModel, ModuleType, FunctionType, type)
    seen: set[int] = set()
    found, queue = 0, [root]
    while queue:
        thing = queue.pop()
        if id(thing) not in seen and not isinstance(thing, shared):
            seen.add(id(thing))
            found += sys.getsizeof(thing)
            queue += gc.get_referents(thing)
    return found


def calls_made(detector: ConversationDetector, segments: Sequence[Segment]) -> int:
    """Count the functions, of Python and of C, that these segments take."""
    count = 0

    def note(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        for segment in segments:
            detector.feed([segment])
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.slow
def test_ten_thousand_utterances_cost_no_more_each_than_the_first_thousand(
    model: ScamModel,
) -> None:
    segments = conversation(*islice(endless(5), LONG))
    # the same words early and late; both times heard before, so that nothing is new
    probe = conversation(*HARMLESS)
    detector = ConversationDetector(model)
    for segment in segments[:1_000]:
        detector.feed([segment])
    detector.feed(probe)
    early, memory = calls_made(detector, probe), memory_of(detector)
    for segment in segments[1_000:]:
        detector.feed([segment])
    detector.feed(probe)
    late = calls_made(detector, probe)
    assert late <= 1.5 * early
    assert memory_of(detector) <= 1.5 * memory + 300_000
