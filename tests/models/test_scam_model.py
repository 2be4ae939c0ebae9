"""The shipped scam model: whole, the right shape, the same answers, small and quick."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest

from detectors.classifier import Classifier, Memory
from models.inference import onnxruntime as ort
from models.scam.corpus import LICENCES
from models.scam.features import DIMENSION, VERSION
from models.scam.manifest import (
    FOLDER,
    Manifest,
    ModelError,
    read_manifest,
    read_model,
    write_model,
)
from models.scam.operating_points import BANDS

SIZE_LIMIT = 5_000_000
SENTENCE = "your social security number has been suspended press 1 to speak with an officer"


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    return read_manifest()


@pytest.fixture(scope="module")
def content(manifest: Manifest) -> bytes:
    return read_model(manifest)


def test_the_weights_match_their_checksum_and_are_small(manifest: Manifest, content: bytes) -> None:
    assert hashlib.sha256(content).hexdigest() == manifest.sha256
    assert len(content) <= SIZE_LIMIT


def test_the_manifest_agrees_with_the_code(manifest: Manifest) -> None:
    assert (manifest.features, manifest.dimension) == (VERSION, DIMENSION)
    assert manifest.bands == BANDS
    assert {source.name for source in manifest.sources} <= LICENCES.keys()
    assert all(source.licence == LICENCES[source.name] for source in manifest.sources)


def test_inputs_and_outputs_have_the_agreed_shape(content: bytes) -> None:
    session = ort.InferenceSession(content, providers=["CPUExecutionProvider"])
    shapes = {each.name: (each.type, len(each.shape)) for each in session.get_inputs()}
    assert shapes == {
        "features": ("tensor(int64)", 2),
        "before": ("tensor(float)", 2),
        "after": ("tensor(float)", 2),
        "score": ("tensor(float)", 1),
        "energy": ("tensor(float)", 1),
    }
    assert [each.name for each in session.get_outputs()] == ["next_score", "next_energy", "margin"]


def test_a_pinned_sentence_keeps_its_margin(content: bytes) -> None:
    (reading,) = Classifier(content).read([Memory().step(SENTENCE.split())])
    assert reading.margin == pytest.approx(4.621, abs=0.01)


def test_an_utterance_takes_well_under_three_milliseconds(content: bytes) -> None:
    classifier, memory = Classifier(content), Memory()
    words = (SENTENCE.split() * 4)[:48]
    times = []
    for _ in range(200):
        began = time.thread_time()
        memory.keep(classifier.read([memory.step(words)])[0])
        times.append(time.thread_time() - began)
    assert np.quantile(times, 0.5) < 0.003


def test_damaged_weights_are_refused(manifest: Manifest, content: bytes, tmp_path: Path) -> None:
    write_model(tmp_path, content[:-1] + b"x", manifest)
    with pytest.raises(ModelError, match="checksum"):
        read_model(read_manifest(tmp_path), tmp_path)


@pytest.mark.parametrize("missing", ["model.onnx", "manifest.json"])
def test_missing_files_are_named(
    manifest: Manifest, content: bytes, tmp_path: Path, missing: str
) -> None:
    write_model(tmp_path, content, manifest)
    (tmp_path / missing).unlink()
    with pytest.raises(ModelError, match=missing):
        read_model(read_manifest(tmp_path), tmp_path)


def test_a_model_for_other_features_is_refused(
    manifest: Manifest, content: bytes, tmp_path: Path
) -> None:
    write_model(tmp_path, content, msgspec.structs.replace(manifest, features="other"))
    with pytest.raises(ModelError, match="features"):
        read_manifest(tmp_path)


def test_a_broken_manifest_is_refused(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(ModelError, match="not valid"):
        read_manifest(tmp_path)


def test_the_card_and_the_figures_belong_to_this_model(manifest: Manifest) -> None:
    assert manifest.model_version in (FOLDER / "EVALUATION.md").read_text(encoding="utf-8")
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert all(source.name in card for source in manifest.sources)
