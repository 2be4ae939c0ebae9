"""Corpora played to detectors: the figures, and floors under them."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from detectors.assessment import Segment, Severity
from detectors.detector import ScamDetector, ScamModel
from detectors.evaluation import (
    SECONDS,
    Outcome,
    area_under_curve,
    as_segments,
    listen,
    outcome,
    tabulate,
)
from models.scam.corpus import UTTERANCE_WORDS, Conversation, Turn, read_conversations

GOLDEN = Path(__file__).parent / "golden.jsonl"
ROBOCALLS = ("rc_amazon_order", "rc_court_warrant", "rc_ssa_legal_threat", "rc_ssn_suspended")


def talk(*turns: tuple[str, str]) -> Conversation:
    return Conversation("x", "made up", "benign", "x", tuple(Turn(*turn) for turn in turns))


def golden(model: ScamModel) -> list[Outcome]:
    return [outcome(each, listen(model, each)) for each in read_conversations(GOLDEN)]


def test_long_turns_are_cut_as_a_recogniser_would() -> None:
    played = list(as_segments(talk(("caller", "one, two " * 15), ("agent", "Yes."))))
    lengths = [len(segment.text.split()) for _, _, segment in played]
    assert lengths == [UTTERANCE_WORDS, UTTERANCE_WORDS, 6, 1]
    assert [turn for turn, _, _ in played] == [1, 1, 1, 2]
    assert [segment.speaker for _, _, segment in played] == ["caller"] * 3 + ["agent"]
    assert [segment.number for _, _, segment in played] == [0, 1, 2, 3]
    assert played[-1][2].ended_ms == round(31 / 2.5 * 1_000)


def test_an_empty_conversation_has_an_outcome(model: ScamModel) -> None:
    result = outcome(talk(), listen(model, talk()))
    assert (result.final_risk, result.worst, result.alarm_seconds) == (0.0, Severity.MINIMAL, None)


def test_area_under_curve_counts_ties_half() -> None:
    assert area_under_curve(np.array([2.0, 3.0]), np.array([1.0])) == 1.0
    assert area_under_curve(np.array([1.0]), np.array([1.0])) == 0.5
    assert area_under_curve(np.array([0.0]), np.array([1.0])) == 0.0
    assert math.isnan(area_under_curve(np.array([]), np.array([1.0])))


def test_a_table_holds_a_row_for_each_source_and_label() -> None:
    flagged = Outcome("a", "s", True, 0.9, 0.9, Severity.CRITICAL, 9.0)
    missed = Outcome("b", "s", True, 0.2, 0.3, Severity.LOW, None)
    quiet = Outcome("c", "s", False, 0.1, 0.1, Severity.MINIMAL, None)
    benign, scam = tabulate([flagged, missed, quiet])
    assert (benign.scam, benign.calls, benign.high) == (False, 1, 0.0)
    assert (scam.calls, scam.auc, scam.high, scam.critical) == (2, 1.0, 0.5, 0.5)
    assert scam.flagged_by == tuple(0.5 if limit >= 9 else 0.0 for limit in SECONDS)


def test_the_golden_calls_keep_their_recall_and_precision(model: ScamModel) -> None:
    results = golden(model)
    scams = [each for each in results if each.scam]
    benign = [each for each in results if not each.scam]
    flagged = [each for each in scams if each.worst.rank >= Severity.HIGH.rank]
    alarmed = [each.id for each in benign if each.worst.rank >= Severity.HIGH.rank]
    assert alarmed == []
    assert len(flagged) >= 0.9 * len(scams)
    assert sum(each.worst is Severity.CRITICAL for each in scams) >= 0.5 * len(scams)


def test_the_golden_calls_get_the_right_type(model: ScamModel) -> None:
    lines = [json.loads(line) for line in GOLDEN.read_text(encoding="utf-8").splitlines()]
    kinds = {line["id"]: line["scam_type"] for line in lines if line["scam_type"]}
    right = 0
    for each in read_conversations(GOLDEN):
        if each.id in kinds:
            *_, last = listen(model, each)
            right += last.assessment.scam_type == kinds[each.id]
    assert right >= 0.8 * len(kinds)


@pytest.mark.shared
@pytest.mark.slow
def test_the_development_set_keeps_its_floor(model: ScamModel, shared_data: Path) -> None:
    talks = read_conversations(shared_data / "corpus" / "dev.jsonl")
    results = [outcome(each, listen(model, each)) for each in talks]
    for row in tabulate(results):
        if not row.scam:
            assert row.high <= 0.02, row
            assert row.critical == 0, row
    scam = [each for each in results if each.scam]
    assert sum(each.worst.rank >= Severity.HIGH.rank for each in scam) >= 0.6 * len(scam)
    assert all(row.auc > 0.85 for row in tabulate(results) if row.scam)


def recorded(path: Path) -> list[Segment]:
    call = json.loads(path.read_text(encoding="utf-8"))
    two = len(call["channels"]) > 1
    turns = sorted(call["turns"], key=lambda turn: turn["start"])
    return [
        Segment(
            number,
            "agent" if two and turn["channel"] == 1 else "caller",
            turn["text"],
            int(turn["start"] * 1_000),
            int(turn["end"] * 1_000),
        )
        for number, turn in enumerate(turns)
    ]


@pytest.mark.shared
def test_real_robocalls_are_flagged_within_sixteen_seconds(
    model: ScamModel, shared_data: Path
) -> None:
    for name in ROBOCALLS:
        detector = ScamDetector(model)
        alarms = [
            segment.ended_ms
            for segment in recorded(shared_data / "calls" / f"{name}.json")
            if detector.feed([segment]).severity.rank >= Severity.HIGH.rank
        ]
        assert alarms, name
        assert alarms[0] <= 16_000, name


@pytest.mark.shared
def test_benign_recordings_never_reach_high(model: ScamModel, shared_data: Path) -> None:
    for path in sorted((shared_data / "calls").glob("*.json")):
        if path.name == "manifest.json" or json.loads(path.read_text())["label"] != "benign":
            continue
        detector = ScamDetector(model)
        worst = max(detector.feed([segment]).severity.rank for segment in recorded(path))
        assert worst < Severity.HIGH.rank, path.stem
