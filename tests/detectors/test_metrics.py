"""Figures are what their names say, on scores that can be checked by hand."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors import metrics
from detectors.metrics import NEVER, Scored, Table

RISKS = st.floats(0, 1, allow_nan=False)


def scored(
    source: str, scam: bool, *risks: float, cluster: str = "", seconds: float = 2.0
) -> Scored:
    steps = tuple((seconds * number, risk) for number, risk in enumerate(risks, start=1))
    return Scored(source, cluster or f"{source}{risks}", scam, steps)


def crowd(count: int = 200, *, seed: int = 3) -> list[Scored]:
    """Calls of two scam and two benign sources; scams score higher on average and rise."""
    rng = np.random.default_rng(seed)
    calls = []
    for number in range(count):
        scam = number % 2 == 0
        begin = rng.beta(4, 4) if scam else rng.beta(2, 6)
        end = min(1.0, begin + rng.random() / 3) if scam else begin * rng.random()
        source = f"{'scam' if scam else 'benign'}{number % 4}"
        calls.append(scored(source, scam, begin, end, cluster=f"{source}-{number // 8}"))
    return calls


def test_a_table_sums_up_each_conversation() -> None:
    table = Table.of([scored("a", True, 0.1, 0.9, 0.4), scored("b", False)], seconds=(3, 5))
    assert table.final.tolist() == [0.4, NEVER]
    assert table.highest.tolist() == [0.9, NEVER]
    assert table.highest_by[3].tolist() == [0.1, NEVER]
    assert table.highest_by[5].tolist() == [0.9, NEVER]
    assert len(table) == 2


def test_a_big_source_does_not_decide_alone_and_a_tiny_one_neither() -> None:
    source = np.array(["big"] * 400 + ["tiny"] * 4)
    heavy = metrics.weights(source)
    assert heavy[:400].sum() == pytest.approx(1.0)
    assert heavy[400:].sum() == pytest.approx(0.04)


def test_the_threshold_leaves_one_percent_of_the_benign_weight_above() -> None:
    scores = np.arange(1_000) / 1_000
    limit = metrics.threshold(scores, np.array(["a"] * 1_000), 0.01)
    assert (scores > limit).mean() == pytest.approx(0.01, abs=0.0011)


@pytest.mark.parametrize(
    ("scam", "benign", "area"),
    [
        ([0.9, 0.8], [0.1, 0.2], 1.0),
        ([0.1, 0.2], [0.9, 0.8], 0.0),
        ([0.5], [0.5], 0.5),
        ([0.9, 0.1], [0.5, 0.5], 0.5),
        ([], [0.5], math.nan),
        ([0.5], [], math.nan),
    ],
)
def test_the_area_is_the_chance_of_the_right_order(
    scam: list[float], benign: list[float], area: float
) -> None:
    found = metrics.area_under_curve(np.array(scam), np.array(benign))
    assert found == pytest.approx(area, nan_ok=True)


@given(scam=st.lists(RISKS, min_size=1, max_size=30), benign=st.lists(RISKS, min_size=1))
def test_the_area_lies_under_the_drawn_curve(scam: list[float], benign: list[float]) -> None:
    x, y = metrics.roc(np.array(scam), np.array(benign))
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    assert (np.diff(x) >= 0).all()
    assert (np.diff(y) >= 0).all()
    assert np.trapezoid(y, x) == pytest.approx(
        metrics.area_under_curve(np.array(scam), np.array(benign))
    )


def test_precision_counts_both_labels_as_equally_common() -> None:
    reached, precision = metrics.precision_recall(np.array([0.9]), np.array([0.8, 0.1, 0.1]))
    assert reached.tolist() == [1, 1, 1]
    assert precision.tolist() == pytest.approx([1, 1 / (1 + 1 / 3), 0.5])


def test_rates_are_averaged_over_sources() -> None:
    flagged = np.array([True] * 8 + [False] * 2)
    source = np.array(["many"] * 8 + ["few"] * 2)
    assert metrics.mean_over_sources(flagged, source) == 0.5


def test_alarms_of_benign_calls_are_counted_at_a_given_risk() -> None:
    table = Table.of(
        [scored("a", False, 0.7, 0.1), scored("a", False, 0.2), scored("b", True, 0.9)]
    )
    assert metrics.alarms_above(0.6)(table) == 0.5


def test_a_scam_counts_as_flagged_by_the_second_at_which_it_was() -> None:
    benign = [scored("quiet", False, 0.1) for _ in range(200)]
    table = Table.of([scored("s", True, 0.0, 0.9, 0.0, seconds=4.0), *benign], (5, 10))
    assert metrics.flagged_by(5)(table) == 0
    assert metrics.flagged_by(10)(table) == 1
    assert metrics.ever_flagged(table) == 1
    assert metrics.recall(table) == 0  # the last risk is what counts there


def test_risks_that_come_true_are_calibrated() -> None:
    right = [scored("a", number < 3, 0.3) for number in range(10)]
    assert metrics.calibration_error(Table.of(right)) == pytest.approx(0)
    wrong = [scored("a", False, 0.9) for _ in range(10)]
    assert metrics.calibration_error(Table.of(wrong)) == pytest.approx(0.9)


@pytest.mark.parametrize(
    "figure",
    [metrics.auc, metrics.recall, metrics.ever_flagged, metrics.calibration_error],
)
def test_no_figure_is_made_up_out_of_nothing(figure: object) -> None:
    assert callable(figure)
    assert math.isnan(figure(Table.of([])))


def test_an_interval_holds_its_figure_and_is_the_same_each_time() -> None:
    table = Table.of(crowd())
    found = metrics.interval(table, metrics.auc, rounds=100)
    assert found.low < found.value < found.high
    assert found == metrics.interval(table, metrics.auc, rounds=100)


def test_few_clusters_make_wide_intervals() -> None:
    calls = crowd(400)
    apart = [Scored(c.source, f"{n}", c.scam, c.steps) for n, c in enumerate(calls)]
    together = [Scored(c.source, f"{n % 8 // 4}", c.scam, c.steps) for n, c in enumerate(calls)]
    # two clusters whose calls are alike: as good as two calls
    alike = [
        Scored(c.source, c.cluster, c.scam, ((2.0, 0.2 + 0.5 * int(c.cluster) * c.scam),))
        for c in together
    ]
    narrow = metrics.interval(Table.of(apart), metrics.auc, rounds=100)
    wide = metrics.interval(Table.of(alike), metrics.auc, rounds=100)
    assert wide.high - wide.low > narrow.high - narrow.low


def test_an_interval_of_nothing_is_unknown() -> None:
    found = metrics.interval(Table.of([]), metrics.auc, rounds=5)
    assert math.isnan(found.value)
    assert math.isnan(found.low)


def reference(folder: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference_scores", folder / "evaluate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.shared
def test_the_figures_agree_with_the_reference_implementation(shared_data: Path) -> None:
    calls = crowd(600)
    gold = [
        {"id": str(n), "label": "scam" if c.scam else "benign", "source": c.source, "cluster": ""}
        for n, c in enumerate(calls)
    ]
    said = [
        {"id": str(n), "steps": [[k, s * 2.5, risk] for k, (s, risk) in enumerate(c.steps, 1)]}
        for n, c in enumerate(calls)
    ]
    theirs = reference(shared_data).evaluate(gold, said)["macro_core"]
    table = Table.of(calls, (15, 30))
    ours = {
        "auc_vs_core_benign": metrics.auc(table),
        "recall_at_1pct": metrics.recall(table),
        "ever_flagged": metrics.ever_flagged(table),
        "flagged_by_15s": metrics.flagged_by(15)(table),
        "flagged_by_30s": metrics.flagged_by(30)(table),
    }
    assert {name: theirs[name] for name in ours} == pytest.approx(ours, abs=1e-4)
