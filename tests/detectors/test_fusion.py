"""How evidence becomes risk, confidence and a band."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.assessment import Severity, independent
from detectors.fusion import (
    Band,
    Evidence,
    fuse,
    sigmoid,
    speaking_detectors,
    terms,
)
from models.scam.manifest import Fusion, read_manifest
from models.scam.operating_points import BANDS, PRIOR

FUSION = read_manifest().fusion
NOTHING = Evidence(None, 0.0, 0.0, 0.0, 0)
amounts = st.floats(0, 20)
evidences = st.builds(
    Evidence,
    margin=st.none() | st.floats(-30, 30),
    pattern=amounts,
    keyword=amounts,
    behaviour=amounts,
    caller_words=st.integers(0, 5_000),
    other_words=st.integers(0, 5_000),
)


def risk(**changes: float) -> float:
    return fuse(msgspec.structs.replace(NOTHING, **changes), FUSION).risk


def test_without_evidence_the_risk_is_minimal_and_nobody_speaks() -> None:
    verdict = fuse(NOTHING, FUSION)
    assert verdict.risk < BANDS.low
    assert verdict.detectors == ()
    assert verdict.confidence == 0.0


@given(evidences)
def test_risk_and_confidence_are_shares(evidence: Evidence) -> None:
    verdict = fuse(evidence, FUSION)
    assert 0 <= verdict.risk <= 1
    assert 0 <= verdict.confidence <= 1


@given(evidences, st.sampled_from(["pattern", "keyword", "behaviour"]), amounts)
def test_more_evidence_never_lowers_the_risk(evidence: Evidence, kind: str, more: float) -> None:
    richer = msgspec.structs.replace(evidence, **{kind: getattr(evidence, kind) + more})
    assert fuse(richer, FUSION).risk >= fuse(evidence, FUSION).risk - 1e-12


@given(evidences, st.floats(-30, 30), st.floats(0, 30))
def test_a_surer_classifier_never_lowers_the_risk(
    evidence: Evidence, margin: float, more: float
) -> None:
    calmer, surer = (
        msgspec.structs.replace(evidence, margin=value) for value in (margin, margin + more)
    )
    assert fuse(surer, FUSION).risk >= fuse(calmer, FUSION).risk - 1e-12


def test_risks_of_calls_that_are_surely_scams_still_differ() -> None:
    risks = [risk(margin=margin, pattern=4.0, caller_words=60) for margin in (1.0, 2.0, 4.0)]
    assert risks == sorted(set(risks))


def test_there_is_one_term_for_each_slope() -> None:
    assert len(terms(NOTHING)) == len(Fusion.__struct_fields__)
    assert PRIOR.bias == pytest.approx(
        sum(
            slope * term
            for slope, term in zip(msgspec.structs.astuple(PRIOR), terms(NOTHING), strict=True)
        )
        - PRIOR.silence
    )


@given(amounts, amounts)
def test_keywords_and_behaviour_alone_never_reach_high(keyword: float, behaviour: float) -> None:
    assert risk(keyword=keyword, behaviour=behaviour) < BANDS.high


def test_a_classifier_that_hears_nothing_odd_takes_little_away() -> None:
    heard = {"pattern": 6.0, "caller_words": 40}
    assert risk(**heard, margin=-20.0) == risk(**heard, margin=-1.0)


def test_before_a_word_is_heard_a_call_is_calm() -> None:
    assert risk(caller_words=0) < BANDS.low


def test_one_detector_alone_raises_the_alarm_and_no_more() -> None:
    band = Band(BANDS)
    assert band.move(1.0, Severity.HIGH) is Severity.HIGH
    assert band.move(1.0) is Severity.CRITICAL


def test_the_longer_a_call_the_more_evidence_it_takes() -> None:
    assert risk(pattern=1.5, caller_words=2_000) < risk(pattern=1.5, caller_words=100)


@pytest.mark.parametrize(
    ("speaking", "count"),
    [
        ((), 0),
        (("pattern",), 1),
        (("pattern", "keyword"), 1),
        (("keyword", "classifier"), 2),
        (("pattern", "keyword", "behaviour", "classifier"), 3),
    ],
)
def test_phrases_and_keywords_count_as_one_detector(speaking: tuple[str, ...], count: int) -> None:
    assert independent(speaking) == count


def test_weak_evidence_does_not_make_a_detector_speak() -> None:
    weak = Evidence(margin=-1.0, pattern=0.3, keyword=0.3, behaviour=0.2, caller_words=9)
    assert speaking_detectors(weak) == ()


def test_disagreement_and_few_words_lower_the_confidence() -> None:
    def confidence(**changes: float) -> float:
        sure = Evidence(margin=4.0, pattern=3.0, keyword=0.0, behaviour=0.0, caller_words=100)
        return fuse(msgspec.structs.replace(sure, **changes), FUSION).confidence

    assert confidence() > 0.9
    assert confidence(margin=-4.0) < confidence()
    assert confidence(caller_words=5) < confidence()


def lower(value: float, margin: float) -> float:
    """The risk whose log odds are so much lower."""
    odds = max(value, 1e-12) / max(1 - value, 1e-12) * math.exp(-margin)
    return odds / (1 + odds)


def test_a_band_rises_at_once_and_falls_only_past_its_margin() -> None:
    band = Band(BANDS)
    assert band.move(BANDS.high) is Severity.HIGH
    assert band.move(lower(BANDS.high, BANDS.margin / 2)) is Severity.HIGH
    assert band.move(lower(BANDS.high, BANDS.margin + 0.01)) is Severity.MEDIUM
    assert band.move(BANDS.critical) is Severity.CRITICAL
    assert band.move(0.0) is Severity.MINIMAL


@given(st.sampled_from([BANDS.low, BANDS.medium, BANDS.high, BANDS.critical]), st.integers(1, 50))
def test_a_risk_that_trembles_around_a_threshold_does_not_flap(edge: float, times: int) -> None:
    band = Band(BANDS)
    band.move(edge)
    settled = band.severity
    for number in range(times):
        band.move(lower(edge, (-1) ** number * BANDS.margin / 4))
        assert band.severity is settled


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60))
def test_the_band_is_never_below_what_the_risk_reached(risks: list[float]) -> None:
    band, fresh = Band(BANDS), Severity.MINIMAL
    for value in risks:
        fresh = Band(BANDS).move(value)
        assert band.move(value).rank >= fresh.rank
        assert Band(BANDS).move(lower(value, -BANDS.margin - 1e-9)).rank >= band.severity.rank


@given(st.floats(-1e6, 1e6))
def test_the_sigmoid_never_overflows(log_odds: float) -> None:
    assert 0 <= sigmoid(log_odds) <= 1
