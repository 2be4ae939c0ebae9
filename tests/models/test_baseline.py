"""The plain baseline: the same figures as fitting everything anew, from texts counted once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from scipy.sparse import hstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from models.scam.baseline import Baseline, Texts, beginnings, examples_of
from models.scam.corpus import Conversation, Turn, views
from tests.models import corpora

TAUGHT = [*corpora.SCAM, *corpora.BENIGN]
LABELS = [True] * 4 + [False] * 4
ASKED = ["your account needs a plumber", "press one for a large latte", "nothing known"]


def anew(taught: Sequence[str], scam: Sequence[bool], asked: Sequence[str]) -> list[float]:
    """What scikit-learn alone makes of it."""
    vectorizers = (
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 4), sublinear_tf=True),
    )
    rows = hstack([each.fit_transform(taught) for each in vectorizers])
    model = LogisticRegression(
        C=3.0, class_weight="balanced", solver="liblinear", dual=True, random_state=1
    ).fit(rows, scam)
    return model.predict_proba(hstack([each.transform(asked) for each in vectorizers]))[:, 1]


def test_it_learns() -> None:
    scam, benign = Baseline(Texts(TAUGHT), TAUGHT, LABELS, seed=1).read(
        [corpora.SCAM[0], corpora.BENIGN[0]]
    )
    assert scam > benign


@pytest.mark.parametrize("left_out", [(), (0, 7), (1, 2, 4, 5)])
def test_it_knows_of_texts_only_what_it_was_taught(left_out: tuple[int, ...]) -> None:
    kept = [number for number in range(8) if number not in left_out]
    taught, scam = [TAUGHT[number] for number in kept], [LABELS[number] for number in kept]
    texts = Texts([*TAUGHT, *ASKED])
    found = Baseline(texts, taught, scam, seed=1).read(ASKED)
    assert found == pytest.approx(anew(taught, scam, ASKED), abs=1e-9)


def test_a_text_that_was_not_counted_is_refused() -> None:
    baseline = Baseline(Texts(TAUGHT), TAUGHT, LABELS, seed=1)
    with pytest.raises(KeyError):
        baseline.read(["never counted"])


def test_a_call_is_scored_after_its_beginnings() -> None:
    long = Conversation("1", "sgd", "scam", "1", (Turn("caller", "please wait " * 60),))
    assert [moment for moment, _ in beginnings(long)] == [4.8, 10.0, 14.8, 30.0, 48.0]
    texts = Texts([*TAUGHT, *(text for _, text in beginnings(long))])
    steps = Baseline(texts, TAUGHT, LABELS, seed=1).steps(long)
    assert [moment for moment, _ in steps] == [4.8, 10.0, 14.8, 30.0, 48.0]
    assert all(0 < chance < 1 for _, chance in steps)


def test_it_is_taught_the_beginnings_that_the_model_is_taught() -> None:
    talk = Conversation("1", "sgd", "scam", "1", (Turn("caller", "one two " * 20),))
    texts, scam = examples_of(list(views(talk)))
    assert [len(text.split()) for text in texts] == [24, 40]
    assert np.array(scam).all()
