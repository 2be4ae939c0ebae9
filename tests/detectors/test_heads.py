"""Learned heads for kinds and tactics: what they hear, and that the risk does not depend on it."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from detectors.assessment import Assessment, Severity
from detectors.classifier import Memory
from detectors.conversation import ConversationDetector
from detectors.detector import ScamDetector, ScamModel
from detectors.heads import HEADS, Heads, Leaning
from detectors.kinds import TACTICS, TYPES, blended_type, learned_tactics
from models.scam.export import heads_to_onnx
from models.scam.features import features
from models.scam.kinds import DAMPING, PLACES
from models.scam.kinds import Heads as Fitted
from models.scam.manifest import FOLDER, MANIFEST_FILE, Kinds, ModelError, read_manifest
from models.scam.train import kinds_of
from tests.detectors.speech import BOOKING, HARMLESS, ROBOCALL, conversation
from tests.detectors.test_scenarios import HONEST, SCAMS

TYPE_NAMES, TACTIC_NAMES = ("delivery", "other", "refund"), ("threat", "urgency")
FEW = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
LINES = st.lists(st.sampled_from([*ROBOCALL, *HARMLESS, "", "12 34"]), min_size=1, max_size=8)


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    drawn = np.random.default_rng(1)
    names = len(TYPE_NAMES) + len(TACTIC_NAMES)
    return Fitted(
        TYPE_NAMES,
        TACTIC_NAMES,
        drawn.normal(size=(PLACES, names)).astype(np.float32),
        drawn.normal(size=names).astype(np.float32),
    )


@pytest.fixture(scope="module")
def heads(fitted: Fitted) -> Heads:
    content = heads_to_onnx(fitted)
    return Heads(content, kinds_of(fitted, content))


@pytest.fixture(scope="module")
def plain(model: ScamModel) -> ScamModel:
    """The shipped model without its heads."""
    return ScamModel(model.classifier, model.manifest)


def listen(heads: Heads, lines: Sequence[str]) -> Leaning | None:
    memory, leaning = Memory(), None
    for line in lines:
        leaning = heads.read(memory.step(line.split()), leaning)
    return leaning


def odds(leaning: Leaning | None) -> list[float]:
    assert leaning is not None
    return [*leaning.types.values(), *leaning.tactics.values()]


def expected(fitted: Fitted, lines: Sequence[str]) -> NDArray[np.float64]:
    """The definition, without a model file and over the whole talk."""
    grams = np.concatenate([features(line.split()) for line in lines])
    found, counts = np.unique(grams, return_counts=True)
    value = np.log2(1.0 + counts)
    pull = value @ fitted.weight[found % PLACES].astype(np.float64)
    return np.asarray(pull / np.sqrt(np.square(value).sum() + DAMPING) + fitted.bias)


def leaning_to(tactic_odds: float = 0.5, **log_odds: float) -> Leaning:
    """What heads would have heard; names of tactics are told from those of kinds."""
    types = {name: value for name, value in log_odds.items() if name in TYPES}
    tactics = {name: value for name, value in log_odds.items() if name in TACTICS}
    kinds = Kinds("kinds.onnx", "", tuple(types), tuple(tactics), 1.0, tactic_odds)
    return Leaning(kinds, types, tactics, np.zeros(len(log_odds), np.float32), 1.0)


def without_what_is_learned(view: Assessment) -> Assessment:
    said = tuple(each for each in view.predictions if each.model != HEADS)
    return msgspec.structs.replace(
        view, scam_type="", tactics=(), predictions=said, processing_us=0
    )


@FEW
@given(lines=LINES)
def test_utterance_by_utterance_the_file_computes_what_the_weights_say_of_the_whole(
    fitted: Fitted, heads: Heads, lines: list[str]
) -> None:
    leaning = listen(heads, lines)
    if leaning is None:
        assert not any(len(features(line.split())) for line in lines)
    else:
        assert odds(leaning) == pytest.approx(expected(fitted, lines), abs=1e-4)


def test_kinds_and_tactics_keep_their_names(fitted: Fitted, heads: Heads) -> None:
    leaning = listen(heads, ROBOCALL)
    assert leaning is not None
    assert tuple(leaning.types) == fitted.types
    assert tuple(leaning.tactics) == fitted.tactics


def test_reading_on_leaves_what_was_read_as_it_was(heads: Heads) -> None:
    memory = Memory()
    first = heads.read(memory.step(ROBOCALL[0].split()), None)
    assert first is not None
    kept = (first.scores.tolist(), first.energy, odds(first))
    second = heads.read(memory.step(ROBOCALL[1].split()), first)
    assert odds(second) != odds(first)
    assert (first.scores.tolist(), first.energy, odds(first)) == kept


@pytest.mark.parametrize("words", [[], ["hello"], ["uh", "um"]])
def test_nothing_to_hear_leans_nowhere(heads: Heads, words: list[str]) -> None:
    assert heads.read(Memory().step(words), None) is None
    leaning = listen(heads, ["buy gift cards"])
    assert heads.read(Memory().step(words), leaning) is leaning


@pytest.mark.parametrize("lines", [*SCAMS.values(), *HONEST.values(), BOOKING, ROBOCALL])
def test_risks_bands_and_findings_are_the_same_with_and_without_heads(
    model: ScamModel, plain: ScamModel, lines: tuple[str, ...]
) -> None:
    assert model.heads is not None
    learned, phrases = ConversationDetector(model), ConversationDetector(plain)
    for segment in conversation(*lines):
        one, other = learned.feed([segment]), phrases.feed([segment])
        assert without_what_is_learned(one) == without_what_is_learned(other)


@pytest.mark.parametrize("lines", [*SCAMS.values(), *HONEST.values(), BOOKING, ROBOCALL])
def test_only_what_is_odd_has_a_kind_and_tactics_and_their_names_are_known(
    model: ScamModel, lines: tuple[str, ...]
) -> None:
    detector = ScamDetector(model)
    for segment in conversation(*lines):
        view = detector.feed([segment])
        labels = [said.label for said in view.predictions if said.model == HEADS]
        if view.severity is Severity.MINIMAL:
            assert (view.scam_type, view.tactics, labels) == ("", (), [])
        else:
            assert view.scam_type in TYPES
            assert len({*view.tactics} & TACTICS) == len(view.tactics)
            assert {*labels} <= {view.scam_type, *view.tactics}
            assert all(0 < said.probability < 1 for said in view.predictions)


def test_tactics_that_a_phrase_shows_come_first_and_are_not_told_as_learned(
    model: ScamModel, plain: ScamModel
) -> None:
    for lines in (*SCAMS.values(), ROBOCALL):
        one = ScamDetector(model).feed(conversation(*lines))
        other = ScamDetector(plain).feed(conversation(*lines))
        learned = tuple(p.label for p in one.predictions if p.label in TACTICS)
        assert one.tactics == (*other.tactics, *learned)


def test_a_talk_without_words_has_neither_kind_nor_tactics(model: ScamModel) -> None:
    view = ScamDetector(model).feed(conversation("", "...", "uh hello", "A: press one"))
    assert (view.scam_type, view.tactics) == ("", ())
    assert {said.model for said in view.predictions} == {"fusion"}


def test_a_copy_and_its_original_hear_apart(model: ScamModel) -> None:
    detector, untouched = ScamDetector(model), ScamDetector(model)
    for one in (detector, untouched):
        one.feed(conversation(*ROBOCALL[:1]))
    copy.copy(detector).feed(conversation(*SCAMS["bank"]))
    detector.preview(conversation("buy gift cards and tell nobody")[0])
    one, other = (each.feed(conversation(*ROBOCALL)[1:]) for each in (detector, untouched))
    assert one.tactics == other.tactics
    assert one.predictions == other.predictions


@pytest.mark.parametrize(
    ("points", "leaning", "kind"),
    [
        ({}, {"delivery": -1.0, "refund": 0.5}, "refund"),
        ({"delivery": 1.0}, {"delivery": -1.0, "refund": 0.5}, "refund"),
        ({"delivery": 2.0}, {"delivery": -1.0, "refund": 0.5}, "delivery"),
        ({"government": 1.0}, {"delivery": -1.0, "refund": 0.5}, "refund"),
        ({"government": 2.0}, {"delivery": -1.0, "refund": 0.5}, "government_tax"),
    ],
)
def test_phrases_and_heads_name_a_kind_together_also_one_without_a_head(
    points: dict[str, float], leaning: dict[str, float], kind: str
) -> None:
    assert blended_type(points, leaning_to(**leaning)) == kind


def test_tactics_are_named_from_the_operating_point_on_the_likeliest_first() -> None:
    heard = {"refund": 2.0, "threat": 0.5, "urgency": 0.9, "wire": 0.4}
    assert learned_tactics(leaning_to(**heard)) == ("urgency", "threat")
    assert learned_tactics(leaning_to(tactic_odds=0.95, **heard)) == ()


def shipped_in(folder: Path, **changes: object) -> Path:
    """Copy the shipped model, with another entry for the heads."""
    manifest = read_manifest()
    for name in manifest.files:
        shutil.copy(FOLDER / name, folder)
    entry = manifest.kinds and msgspec.structs.replace(manifest.kinds, **changes)
    changed = msgspec.json.encode(msgspec.structs.replace(manifest, kinds=entry))
    (folder / MANIFEST_FILE).write_bytes(changed)
    return folder


def test_a_model_from_before_there_were_heads_tells_kinds_from_phrases(
    plain: ScamModel, tmp_path: Path
) -> None:
    told = msgspec.json.decode((FOLDER / MANIFEST_FILE).read_bytes())
    del told["kinds"]
    shipped_in(tmp_path)
    (tmp_path / MANIFEST_FILE).write_bytes(msgspec.json.encode(told))
    (tmp_path / "kinds.onnx").unlink()
    old = ScamModel.load(tmp_path)
    assert old.heads is None
    views = [ScamDetector(one).feed(conversation(*SCAMS["bank"])) for one in (old, plain)]
    assert views[0].scam_type in TYPES
    assert (views[0].scam_type, views[0].tactics) == (views[1].scam_type, views[1].tactics)
    assert {said.model for said in views[0].predictions} == {"classifier", "fusion"}


@pytest.mark.parametrize("changes", [{"types": ("romance",)}, {"tactics": ("urgency", "charm")}])
def test_heads_with_names_nobody_knows_are_refused(
    tmp_path: Path, changes: dict[str, tuple[str, ...]]
) -> None:
    with pytest.raises(ModelError, match=r"does not know \((romance|charm)\); reinstall"):
        ScamModel.load(shipped_in(tmp_path, **changes))


def test_missing_and_damaged_heads_are_refused_by_name(tmp_path: Path) -> None:
    file = shipped_in(tmp_path) / "kinds.onnx"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ModelError, match=r"checksum of kinds\.onnx"):
        ScamModel.load(tmp_path)
    file.unlink()
    with pytest.raises(ModelError, match=r"cannot read kinds\.onnx"):
        ScamModel.load(tmp_path)
