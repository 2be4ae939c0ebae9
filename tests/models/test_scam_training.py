"""Training on a small corpus: what is taught, that it learns, and that it is repeatable."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner, Result
from numpy.typing import NDArray

from detectors.classifier import Classifier, Memory
from detectors.detector import ScamModel
from models.scam.corpus import (
    LICENCES,
    UTTERANCE_WORDS,
    Conversation,
    Turn,
    cut_text,
    cut_words,
    read_conversations,
    read_dialogues,
    trainable,
    views,
)
from models.scam.export import to_onnx
from models.scam.fit import Weights, examples, fit, inverse_document_frequencies
from models.scam.folds import origin_folds
from models.scam.manifest import read_manifest, read_model
from models.scam.operating_points import PRIOR
from models.scam.train import manifest_of, sources_of
from tests.models import corpora
from voice_server.cli.train import command


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return corpora.write(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def talks(folder: Path) -> list[Conversation]:
    return read_conversations(folder / "train.jsonl")


def ignore(share: float) -> None:
    assert 0 <= share <= 1


def train(talks: Sequence[Conversation], *, seed: int = 1) -> Weights:
    cut = [view for talk in trainable(talks) for view in views(talk)]
    return fit(examples(cut, seed=seed), np.full(len(cut), True), progress=ignore)


def frequencies(talks: Sequence[Conversation]) -> NDArray[np.float32]:
    cut = [view for talk in talks for view in views(talk)]
    return inverse_document_frequencies(examples(cut, seed=1), np.full(len(cut), True))


def margin(classifier: Classifier, text: str) -> float:
    (reading,) = classifier.read([Memory().step(text.split())])
    return reading.margin


def test_only_licensed_sources_are_taught(talks: list[Conversation]) -> None:
    assert {talk.source for talk in trainable(talks)} == {"ncsu_robocall", "bothbosu", "botbots"}
    assert not {"switchboard", "paired_yt", "personal_calls", "syn_misc"} & LICENCES.keys()


def test_sources_are_counted(talks: list[Conversation]) -> None:
    counts = {source.name: (source.scam, source.benign) for source in sources_of(talks)}
    assert counts == {"bothbosu": (8, 8), "botbots": (0, 8), "ncsu_robocall": (8, 0)}


def test_the_victims_words_are_no_example_of_a_scam() -> None:
    turns = (Turn("caller", "pay now"), Turn("callee", "oh no"))
    scam = Conversation("1", "bothbosu", "scam", "1", turns)
    benign = Conversation("2", "bothbosu", "benign", "2", turns)
    heard = [view.utterances for view in views(scam)]
    assert heard == [(("pay", "now"), ("oh", "no")), (("pay", "now"),)]
    assert len(list(views(benign))) == 3
    rung = (Turn("agent", "hello"), Turn("callee", "pay now"))
    assert [view.utterances for view in views(Conversation("4", "ours", "scam", "4", rung))] == [
        (("hello",), ("pay", "now")),
        (("pay", "now"),),
    ]
    assert list(views(Conversation("3", "sgd", "benign", "3", ()))) == []


def test_text_and_words_are_cut_at_the_same_places() -> None:
    text = "Hello, there! " * 15
    cuts = list(cut_words(text))
    assert [len(words) for words in cuts] == [UTTERANCE_WORDS, UTTERANCE_WORDS, 6]
    assert list(cut_text(text))[2] == "Hello, there! Hello, there! Hello, there"
    assert list(cut_text("")) == list(cut_words("")) == []


def test_a_feature_of_one_cluster_alone_counts_nothing(talks: list[Conversation]) -> None:
    lonely = Conversation("9", "sgd", "benign", "9", (Turn("customer", "zebra"),))
    assert not frequencies([lonely]).any()
    known = frequencies(talks)
    assert (known >= 0).all()
    assert known.any()


def test_the_model_learns_and_is_the_same_each_time(talks: list[Conversation]) -> None:
    weights = train(talks, seed=3)
    content = to_onnx(weights)
    assert content == to_onnx(train(talks, seed=3))
    classifier = Classifier(content)
    for scam, benign in zip(corpora.SCAM, corpora.BENIGN, strict=True):
        assert margin(classifier, scam) > margin(classifier, benign) + 0.5


def test_the_exported_model_computes_what_was_fitted(talks: list[Conversation]) -> None:
    weights = train(talks, seed=3)
    step = Memory().step(corpora.SCAM[1].split())
    value = weights.idf[step.features] * step.after
    expected = value @ weights.weight[step.features]
    expected = expected / np.sqrt(np.square(value).sum() + weights.damping) + weights.bias
    (reading,) = Classifier(to_onnx(weights)).read([step])
    assert reading.margin == pytest.approx(float(expected), abs=1e-4)


def test_what_a_conversation_teaches_does_not_depend_on_what_else_is_read(
    talks: list[Conversation],
) -> None:
    kept = [talk for talk in trainable(talks) if talk.source != "botbots"]
    alone = train(kept)
    cut = [view for talk in trainable(talks) for view in views(talk)]
    taught = np.array([view.source != "botbots" for view in cut])
    among = fit(examples(cut, seed=1), taught, progress=ignore)
    assert to_onnx(among) == to_onnx(alone)


def test_another_seed_loses_other_words(talks: list[Conversation]) -> None:
    assert to_onnx(train(talks, seed=1)) != to_onnx(train(talks, seed=2))


def test_training_without_one_label_is_refused(talks: list[Conversation]) -> None:
    with pytest.raises(ValueError, match="scam and benign"):
        train([talk for talk in talks if talk.is_scam])


def test_a_source_can_be_left_out(talks: list[Conversation]) -> None:
    (fold,) = (one for one in origin_folds(talks, quick=False) if one.name == "ncsu_robocall")
    assert {talk.source for talk in fold.left_out(talks)} == {"ncsu_robocall"}
    kept = train(fold.kept(talks))
    assert not np.array_equal(kept.weight, train(talks).weight)


def test_the_manifest_carries_the_sources(talks: list[Conversation]) -> None:
    manifest = manifest_of(b"content", seed=5, fusion=PRIOR, sources=sources_of(talks))
    decoded = msgspec.json.decode(msgspec.json.encode(manifest), type=type(manifest))
    assert decoded == manifest
    assert manifest.seed == 5
    assert [source.licence for source in manifest.sources] == [
        LICENCES[name] for name in ("botbots", "bothbosu", "ncsu_robocall")
    ]


def test_our_own_dialogues_are_left_out_by_topic(talks: list[Conversation]) -> None:
    def own(number: int, topic: str, text: str) -> Conversation:
        turns = (Turn("caller", text),)
        return Conversation(f"{topic}-{number}", "ours", "scam", f"{number}", turns, topic=topic)

    mixed = [*talks, *(own(n, t, f"{t} zebra") for t in ("bank", "rent") for n in range(3))]
    assert {talk.origin for talk in mixed} >= {"ours/bank", "ours/rent", "botbots"}
    (fold,) = (one for one in origin_folds(mixed, quick=False) if one.name == "ours/bank")
    without = train(fold.kept(mixed))
    bank = Memory().step(["bank"]).features[0]
    rent = Memory().step(["rent"]).features[0]
    assert without.idf[bank] == 0
    assert without.idf[rent] > 0


def test_the_shipped_dialogues_can_be_read() -> None:
    dialogues = read_dialogues()
    assert {talk.source for talk in dialogues} == {"ours"}
    assert all(talk.topic for talk in dialogues)
    assert {talk.is_scam for talk in dialogues} == {True, False}


def run(data: Path, out: Path, dialogues: Path, jobs: int = 1) -> Result:
    places = ["--data", str(data), "--out", str(out), "--dialogues", str(dialogues)]
    return CliRunner().invoke(command, ["scam", *places, "--jobs", str(jobs)])


def test_the_command_writes_a_model_that_loads(folder: Path, tmp_path: Path) -> None:
    result = run(folder, tmp_path / "out", tmp_path)
    assert result.exit_code == 0, result.output
    model = ScamModel.load(tmp_path / "out")
    assert model.version in result.output
    assert model.heads is None  # nothing of this corpus says what kind of scam it is
    assert read_model(read_manifest(tmp_path / "out"), tmp_path / "out")


def test_two_processes_write_the_same_model_as_one(folder: Path, tmp_path: Path) -> None:
    for jobs in (1, 2):
        assert run(folder, tmp_path / str(jobs), tmp_path, jobs).exit_code == 0
    one, two = (
        {path.name: path.read_bytes() for path in (tmp_path / jobs).iterdir()} for jobs in "12"
    )
    assert one == two
    assert "model.onnx" in one


def test_the_command_finds_the_corpus_folder_below(tmp_path: Path) -> None:
    corpora.write(tmp_path / "data" / "corpus")
    result = run(tmp_path / "data", tmp_path, tmp_path)
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no train.jsonl"),
        ("{}\n", "not valid"),
        (json.dumps(corpora.line("sgd", 1, False, ("caller", "hi"))) + "\n", "scam and benign"),
    ],
)
def test_the_command_says_what_is_wrong_with_a_corpus(
    tmp_path: Path, content: str | None, message: str
) -> None:
    (tmp_path / "none").mkdir()
    if content is not None:
        (tmp_path / "train.jsonl").write_text(content, encoding="utf-8")
    result = run(tmp_path, tmp_path, tmp_path / "none")
    assert result.exit_code == 1
    assert message in result.output
    assert not (tmp_path / "model.onnx").exists()
