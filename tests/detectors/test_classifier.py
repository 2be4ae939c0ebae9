"""The linear model, live: batches, increments, and its cost."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.classifier import Classifier, Memory
from detectors.detector import ScamModel
from models.scam.features import DIMENSION, features

SENTENCE = "your account card was charged press please call the plumber sink water yes"
WORDS = SENTENCE.split()
texts = st.lists(st.lists(st.sampled_from(WORDS), max_size=12), min_size=1, max_size=8)


def follow(classifier: Classifier, utterances: list[list[str]]) -> float:
    memory, margin = Memory(), 0.0
    for words in utterances:
        (reading,) = classifier.read([memory.step(words)])
        memory.keep(reading)
        margin = reading.margin
    return margin


@settings(max_examples=40)
@given(utterances=texts)
def test_increments_add_up_to_the_whole_text(model: ScamModel, utterances: list[list[str]]) -> None:
    memory = Memory()
    whole = memory.step([])
    counts = np.zeros(DIMENSION, dtype=np.int64)
    for words in utterances:
        np.add.at(counts, features(words), 1)
    found = np.flatnonzero(counts)
    step = type(whole)(
        found,
        np.zeros(len(found), dtype=np.float32),
        np.log2(1.0 + counts[found]).astype(np.float32),
        0.0,
        0.0,
    )
    (reading,) = model.classifier.read([step])
    assert follow(model.classifier, utterances) == pytest.approx(reading.margin, abs=1e-3)


@settings(max_examples=25)
@given(batch=texts)
def test_a_batch_reads_as_its_calls_alone(model: ScamModel, batch: list[list[str]]) -> None:
    together = model.classifier.read([Memory().step(words) for words in batch])
    alone = [model.classifier.read([Memory().step(words)])[0] for words in batch]
    for one, other in zip(together, alone, strict=True):
        assert one.margin == pytest.approx(other.margin, abs=1e-4)


def test_an_empty_batch_and_an_empty_text_are_fine(model: ScamModel) -> None:
    assert model.classifier.read([]) == []
    memory = Memory()
    (reading,) = model.classifier.read([memory.step([])])
    assert np.isfinite(reading.margin)
    assert not memory.heard


def test_the_work_of_an_utterance_does_not_grow_with_the_call() -> None:
    memory = Memory()
    widths = [len(memory.step(WORDS).features) for _ in range(500)]
    assert set(widths) == {widths[0]}


def test_counts_stop_at_their_limit() -> None:
    memory = Memory()
    for _ in range(100):
        step = memory.step(["water"] * 30)
    assert step.before.max() == step.after.max() == 8.0
