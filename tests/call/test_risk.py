"""What the call does as the scam risk rises and falls."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.assessment import Assessment, Segment, Severity
from tests.call.scenes import view
from voice_server.call.policy import Policy
from voice_server.call.risk import RiskStep, RiskWatch

MINIMAL, LOW, MEDIUM, HIGH, CRITICAL = tuple(Severity)


def steps(policy: Policy, *views: Assessment) -> list[tuple[RiskStep, ...]]:
    watch = RiskWatch(policy)
    return [watch.heed(assessment) for assessment in views]


def test_segments_are_numbered_from_zero_and_keep_their_times():
    watch = RiskWatch(Policy())
    first = watch.segment("caller", "Hello?", 100, 900)
    second = watch.segment("agent", "Good day.", 1_000, 1_500)
    assert first == Segment(0, "caller", "Hello?", 100, 900)
    assert second.number == 1
    assert watch.segments == [first, second]


def test_a_very_long_call_keeps_its_newest_segments_and_goes_on_numbering():
    watch = RiskWatch(Policy())
    for _ in range(1_000):
        watch.segment("caller", "again", 0, 0)
    assert [segment.number for segment in watch.segments] == list(range(800, 1_000))


QUIET = Policy(warn_at=None, verify_at=None, block_at=None, end_at=None)
RECORD, WARN, VERIFY = RiskStep.RECORD, RiskStep.WARN, RiskStep.VERIFY
BLOCK, HAND_OVER, END = RiskStep.BLOCK, RiskStep.HAND_OVER, RiskStep.END


@pytest.mark.parametrize(
    ("bands", "recorded"),
    [
        ([LOW], [True]),
        ([LOW, LOW, LOW], [True, False, False]),
        ([LOW, MEDIUM, HIGH], [True, True, True]),
        ([HIGH, LOW, HIGH], [True, True, True]),  # falling is worth a row too
        ([CRITICAL, CRITICAL], [True, False]),
    ],
)
def test_a_new_band_is_recorded(bands: list[Severity], recorded: list[bool]):
    views = [view(band, through) for through, band in enumerate(bands)]
    assert steps(QUIET, *views) == [(RECORD,) if each else () for each in recorded]


LADDER = Policy(warn_at=LOW, verify_at=MEDIUM, block_at=MEDIUM, hand_over_at=HIGH, end_at=CRITICAL)


@pytest.mark.parametrize(
    ("bands", "answers"),
    [
        ([LOW], [(RECORD, WARN)]),
        ([LOW, LOW], [(RECORD, WARN), ()]),
        ([LOW, MEDIUM], [(RECORD, WARN), (RECORD, VERIFY, BLOCK)]),
        ([MEDIUM, LOW, MEDIUM], [(RECORD, WARN, VERIFY, BLOCK), (RECORD,), (RECORD,)]),
        ([HIGH], [(RECORD, WARN, VERIFY, BLOCK, HAND_OVER)]),
        ([HIGH, CRITICAL], [(RECORD, WARN, VERIFY, BLOCK, HAND_OVER), (RECORD, END)]),
        ([CRITICAL], [(RECORD, WARN, VERIFY, BLOCK, HAND_OVER, END)]),
        ([CRITICAL, CRITICAL], [(RECORD, WARN, VERIFY, BLOCK, HAND_OVER, END), ()]),
    ],
)
def test_each_step_of_the_ladder_is_taken_once_when_its_band_is_reached(
    bands: list[Severity], answers: list[tuple[RiskStep, ...]]
):
    views = [view(band, through) for through, band in enumerate(bands)]
    assert steps(LADDER, *views) == answers


@pytest.mark.parametrize("band", [HIGH, CRITICAL])
def test_one_detector_alone_warns_and_blocks_but_ends_no_call(band: Severity):
    assert steps(LADDER, view(band, detectors=1)) == [(RECORD, WARN, VERIFY, BLOCK)]


def test_a_second_detector_that_joins_in_the_same_band_ends_the_call():
    first, second = view(CRITICAL, detectors=1), view(CRITICAL, 1, detectors=2)
    assert steps(LADDER, first, second)[-1] == (RECORD, HAND_OVER, END)


def test_a_band_that_no_detector_stands_for_calls_for_nothing():
    assert steps(LADDER, view(CRITICAL, detectors=0)) == [(RECORD,)]


def test_steps_that_the_tenant_does_not_want_are_never_taken():
    assert steps(QUIET, view(CRITICAL, detectors=3)) == [(RECORD,)]


def test_the_caller_is_questioned_once_after_the_step():
    watch = RiskWatch(LADDER)
    assert not watch.take_challenge()
    watch.heed(view(MEDIUM))
    assert [watch.take_challenge(), watch.take_challenge()] == [True, False]
    watch.heed(view(HIGH, 1))
    assert not watch.take_challenge()


def test_without_words_to_ask_nobody_is_questioned():
    watch = RiskWatch(msgspec.structs.replace(LADDER, scam_challenge=""))
    assert VERIFY not in watch.heed(view(HIGH))
    assert not watch.take_challenge()


def test_sensitive_tools_are_blocked_from_the_step_on_for_good():
    watch = RiskWatch(msgspec.structs.replace(LADDER, sensitive_tools=("pay", "cancel")))
    watch.heed(view(LOW))
    assert watch.blocked_tools == frozenset()
    watch.heed(view(MEDIUM, 1))
    assert watch.blocked_tools == {"pay", "cancel"}
    watch.heed(view(LOW, 2))
    assert watch.blocked_tools == {"pay", "cancel"}


def test_a_late_assessment_changes_nothing():
    watch = RiskWatch(Policy())
    watch.heed(view(LOW, 5))
    assert watch.heed(view(CRITICAL, 4)) == ()
    assert watch.newest == view(LOW, 5)
    assert watch.worst is LOW


def test_a_second_look_at_the_same_segment_counts():
    assert steps(QUIET, view(LOW, 5), view(HIGH, 5)) == [(RECORD,)] * 2


def test_words_in_the_making_are_shown_once_a_second_as_the_next_segment():
    watch = RiskWatch(Policy())
    watch.segment("agent", "Hello?", 0, 500)
    shown = [watch.preview("caller", f"{at}", 600, at, at) for at in range(1_000, 4_000, 300)]
    assert [segment.ended_ms for segment in shown if segment] == [1_000, 2_200, 3_400]
    assert {segment.number for segment in shown if segment} == {1}
    assert len(watch.segments) == 1


@pytest.mark.parametrize(
    ("views", "bands"),
    [
        ([(HIGH, True)], [HIGH]),
        ([(LOW, False), (HIGH, True)], [LOW, HIGH]),
        ([(HIGH, True), (MEDIUM, True), (HIGH, True)], [HIGH]),  # it wavers: one row
        ([(HIGH, True), (MEDIUM, False)], [HIGH, MEDIUM]),  # taken back
        ([(HIGH, True), (HIGH, False)], [HIGH]),  # confirmed
        ([(LOW, False), (MINIMAL, True)], [LOW]),
        ([(MINIMAL, True)], []),
    ],
)
def test_words_in_the_making_only_raise_the_band(
    views: list[tuple[Severity, bool]], bands: list[Severity]
):
    watch = RiskWatch(QUIET)
    tail = Segment(0, "caller", "buy gift", 0, 900)
    recorded = [
        band
        for band, provisional in views
        if RECORD in watch.heed(view(band), tail if provisional else None)
    ]
    assert recorded == bands


def test_what_cannot_be_taken_back_waits_for_committed_words():
    watch = RiskWatch(LADDER)
    tail = Segment(0, "caller", "buy gift cards", 0, 900)
    assert watch.heed(view(CRITICAL), tail) == (RECORD, WARN, VERIFY, BLOCK)
    watch.segment("caller", "buy gift cards now", 0, 1_500)
    assert watch.heed(view(CRITICAL)) == (RECORD, HAND_OVER, END)


def test_a_view_of_words_that_were_committed_meanwhile_is_late():
    watch = RiskWatch(LADDER)
    tail = watch.preview("caller", "buy gift", 0, 900, 900)
    watch.segment("caller", "by chance", 0, 1_000)
    assert watch.heed(view(HIGH), tail) == ()
    assert watch.newest is None


def test_the_evidence_shows_the_words_that_were_judged_not_those_that_came_of_them():
    watch = RiskWatch(QUIET)
    tail = Segment(0, "caller", "gift cards", 0, 900)
    watch.heed(view(HIGH), tail)
    assert watch.evidence() == (tail,)
    committed = watch.segment("caller", "gifted cards", 0, 1_000)
    assert watch.evidence() == (tail,)
    watch.heed(view(HIGH))
    assert watch.evidence() == (committed,)


def test_phrases_and_keywords_are_one_witness():
    policy = msgspec.structs.replace(LADDER, end_at=HIGH)
    same = msgspec.structs.replace(view(HIGH), detectors=("pattern", "keyword"))
    assert steps(policy, same) == [(RECORD, WARN, VERIFY, BLOCK)]


def test_before_the_first_assessment_there_is_no_evidence():
    watch = RiskWatch(Policy())
    watch.segment("caller", "Buy gift cards.", 0, 0)
    assert watch.evidence() == ()
    assert watch.newest is None
    assert watch.worst is Severity.MINIMAL


def test_the_evidence_is_what_the_findings_point_at():
    watch = RiskWatch(Policy())
    segments = [watch.segment("caller", f"words {n}", 0, 0) for n in range(4)]
    watch.heed(view(HIGH, 2))
    assert watch.evidence() == (segments[2],)


def test_evidence_that_is_long_gone_is_left_out():
    watch = RiskWatch(Policy())
    for _ in range(300):
        watch.segment("caller", "again", 0, 0)
    watch.heed(view(HIGH, 3))
    assert watch.evidence() == ()


@given(st.lists(st.tuples(st.sampled_from(Severity), st.integers(0, 9)), max_size=20))
def test_the_worst_band_never_falls_and_the_newest_view_never_ages(
    views: list[tuple[Severity, int]],
):
    watch = RiskWatch(Policy())
    heeded = []
    for band, through in views:
        before, newest = watch.worst, watch.newest
        watch.heed(view(band, through))
        assert watch.newest is not None
        if newest is None or through >= newest.through:
            heeded.append(band)
        assert watch.newest.through >= (newest.through if newest else 0)
        assert watch.worst.rank >= before.rank
        assert watch.worst is max(heeded, key=lambda severity: severity.rank)
