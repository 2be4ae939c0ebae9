"""How well kinds and tactics are told, on tellers whose words are known."""

from __future__ import annotations

import pytest

from detectors.detector import ScamModel
from detectors.kinds import TACTICS, TYPES
from tests.models.corpora import PARCEL, VIRUS, scam
from voice_server.cli.kind_figures import (
    Told,
    accuracy,
    compare,
    kind_f1,
    precision,
    recall,
    tactic_f1,
    tell,
    tell_left_out,
)


@pytest.fixture(scope="module")
def model() -> ScamModel:
    return ScamModel.load()


def told(is_kind: str, kind: str, is_tactics: str = "", tactics: str = "") -> Told:
    return Told("ours", is_kind, tuple(is_tactics.split()), kind, tuple(tactics.split()))


def test_accuracy_is_the_share_that_is_right_and_f1_counts_each_kind_alike() -> None:
    some = [told("refund", "refund"), told("refund", "refund"), told("job", "refund")]
    assert accuracy(some) == pytest.approx(2 / 3)
    assert kind_f1(some) == pytest.approx((4 / 5 + 0) / 2)  # a refund thrice named, a job never


def test_tactics_are_counted_one_by_one() -> None:
    some = [told("job", "job", "wire urgency", "wire"), told("job", "job", "", "threat")]
    assert precision(some) == 1 / 2
    assert recall(some) == 1 / 2
    assert tactic_f1(some) == pytest.approx(1 / len(TACTICS))


def test_nothing_named_is_neither_precise_nor_recalled() -> None:
    assert (precision([told("job", "job")]), recall([told("job", "job")])) == (0, 0)


def test_the_table_sets_one_teller_beside_the_other() -> None:
    known = [told("refund", "refund", "wire", "wire")]
    other = [told("refund", "job", "wire", "")]
    rows = {row.name: (row.scams, row.ours, row.phrases) for row in compare(known, other)}
    assert rows["kind: accuracy"] == rows["kind: accuracy, ours"] == (1, 1.0, 0.0)
    assert rows["kind: macro F1"] == (1, 1.0, 0.0)
    assert rows["tactics: precision"] == rows["tactics: recall"] == (1, 1.0, 0.0)
    assert compare([], []) == []


def test_a_scam_is_told_by_name_however_small_its_risk(model: ScamModel) -> None:
    one = tell(model, scam(1, "parcel", PARCEL, tactics=("wire",)))
    assert (one.source, one.is_kind, one.is_tactics) == ("ours", "delivery", ("wire",))
    assert one.kind in TYPES
    assert {*one.tactics} <= TACTICS


def test_scams_are_told_by_heads_that_never_saw_their_cluster(model: ScamModel) -> None:
    talks = [
        talk
        for number in range(0, 60, 2)
        for talk in (
            scam(number, "delivery", PARCEL, tactics=("wire",)),
            scam(number + 1, "tech_support", VIRUS, tactics=("remote_access",)),
        )
    ]
    rows = {row.name: row for row in tell_left_out(talks, model)}
    assert rows["kind: accuracy"].scams == len(talks)
    assert rows["kind: accuracy"].ours == 1.0
    assert rows["tactics: recall"].ours == 1.0


def test_without_labels_there_is_no_table(model: ScamModel) -> None:
    assert tell_left_out([scam(1, None, VIRUS)], model) == []
