"""Learning kinds and tactics on a few lines: who is taught, what is learned and written."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from click.testing import CliRunner

from detectors.detector import ScamDetector, ScamModel
from detectors.kinds import TACTICS, TYPES
from models.inference import onnxruntime as ort
from models.scam import kinds
from models.scam.corpus import LICENCES, Conversation, Turn
from models.scam.dialogues import ScamType
from models.scam.export import heads_to_onnx
from models.scam.folds import FOLDS, cluster_folds
from models.scam.kinds import CORPUS_KINDS, ENOUGH, fit_heads, kind_of, labelled
from models.scam.manifest import FOLDER, read_kinds, read_manifest
from tests.detectors.speech import conversation
from tests.models import corpora
from tests.models.corpora import PARCEL, VIRUS, scam
from voice_server.cli.lessons import teach_kinds
from voice_server.cli.train import command

SIZE_LIMIT = 5_000_000


def few() -> list[Conversation]:
    """Twice as many as are enough, of two kinds with a tactic each."""
    return [
        talk
        for number in range(0, 4 * ENOUGH, 2)
        for talk in (
            scam(number, "delivery", f"{PARCEL} {number}", tactics=("wire", "charm")),
            scam(number + 1, "tech_support", VIRUS, tactics=("remote_access",)),
        )
    ]


def test_every_kind_of_the_corpora_and_every_tactic_has_a_name_that_detections_know() -> None:
    assert {*CORPUS_KINDS.values(), kinds.OTHER} == TYPES
    assert {*kinds.TACTICS} == TACTICS
    assert {kind_of(scam(1, name, "")) for name in get_args(ScamType)} <= TYPES


@pytest.mark.parametrize(
    ("named", "kind"),
    [("ssn", "government_tax"), ("robocall", "robocall"), ("landlord", "other"), (None, "other")],
)
def test_the_names_of_corpora_become_ours(named: str | None, kind: str) -> None:
    assert kind_of(scam(1, named, "")) == kind


def test_only_scams_of_a_known_kind_and_a_licensed_source_are_taught() -> None:
    assert "switchboard" not in LICENCES
    talks = [
        scam(1, "refund", "refund"),
        scam(2, None, "no kind"),
        scam(3, "refund", "no licence", source="switchboard"),
        scam(4, "refund", "honest", label="benign"),
    ]
    assert labelled(talks) == talks[:1]


def test_what_there_are_few_of_is_left_to_the_phrases() -> None:
    talks = [*few(), scam(900, "job", "wire me the fee", tactics=("urgency",))]
    heads = fit_heads(talks)
    assert heads is not None
    assert heads.types == ("delivery", "tech_support")
    assert heads.tactics == ("remote_access", "wire")  # a tactic that nobody knows is not learned


@pytest.mark.parametrize("talks", [[], few()[::2], few()[:2]])
def test_without_two_kinds_to_tell_apart_nothing_is_learned(talks: list[Conversation]) -> None:
    assert fit_heads(talks) is None


def test_other_sources_teach_kinds_alone() -> None:
    talks = [
        scam(
            n,
            "refund" if n % 2 else "reward",
            "a refund" if n % 2 else "a prize",
            source="bothbosu",
        )
        for n in range(2 * ENOUGH)
    ]
    heads = fit_heads(talks)
    assert heads is not None
    assert (heads.types, heads.tactics) == (("lottery", "refund"), ())
    assert heads.weight.shape == (kinds.PLACES, 2)


def test_the_victims_words_teach_nothing() -> None:
    loud = [
        msgspec.structs.replace(talk, turns=(Turn("callee", "purple elephants"), *talk.turns[1:]))
        for talk in few()
    ]
    one, other = fit_heads(few()), fit_heads(loud)
    assert one is not None
    assert other is not None
    assert heads_to_onnx(one) == heads_to_onnx(other)


def test_a_kind_is_named_before_other_when_both_are_as_likely() -> None:
    same = [
        scam(n, "refund" if n % 2 else "charity", "we are calling about you")
        for n in range(2 * ENOUGH)
    ]
    heads = fit_heads(same)
    assert heads is not None
    gap = heads.bias[heads.types.index("refund")] - heads.bias[heads.types.index("other")]
    assert gap == pytest.approx(kinds.HANDICAP_OF_OTHER, abs=1e-4)


def test_a_cluster_is_left_out_whole_and_once() -> None:
    talks = [scam(n, "refund", "hello", cluster=f"{n // 3}") for n in range(60)]
    folds = cluster_folds(talks)
    assert len(folds) == FOLDS
    assert sorted(id for fold in folds for id in fold.ids) == sorted(talk.id for talk in talks)
    for fold in folds:
        inside = {talk.cluster for talk in fold.left_out(talks)}
        assert not inside & {talk.cluster for talk in fold.kept(talks)}


def test_the_same_scams_give_the_same_bytes() -> None:
    one, two = teach_kinds(few()), teach_kinds(few())
    assert one is not None
    assert one == two
    assert one[1].sha256 == hashlib.sha256(one[0]).hexdigest()


def test_the_command_writes_heads_that_tell_kinds_and_tactics(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    corpora.write(tmp_path)
    with (tmp_path / "train.jsonl").open("ab") as file:
        file.writelines(msgspec.json.encode(talk) + b"\n" for talk in few())
    places = ["--data", tmp_path, "--out", tmp_path / "out", "--dialogues", tmp_path / "none"]
    result = CliRunner().invoke(command, ["scam", *map(str, places)])
    assert result.exit_code == 0, result.output
    assert read_manifest(tmp_path / "out").files == ("model.onnx", "kinds.onnx")
    model = ScamModel.load(tmp_path / "out")
    for text, kind, tactic in (
        (PARCEL, "delivery", "wire"),
        (VIRUS, "tech_support", "remote_access"),
    ):
        detector = ScamDetector(model)
        detector.feed(conversation(text))
        assert detector.scam_type() == kind
        assert tactic in detector.tactics()


def test_the_shipped_heads_are_small_and_have_the_agreed_shape() -> None:
    entry = read_manifest().kinds
    assert entry is not None
    content = read_kinds(entry)
    assert len(content) <= SIZE_LIMIT
    session = ort.InferenceSession(content, providers=["CPUExecutionProvider"])
    names = len(entry.types) + len(entry.tactics)
    assert {each.name: each.shape for each in session.get_inputs()} == {
        "features": ["width"],
        "before": ["width"],
        "after": ["width"],
        "scores": [names],
        "energy": [],
    }
    outputs = [each.name for each in session.get_outputs()]
    assert outputs == ["next_scores", "next_energy", "log_odds"]
    assert {*entry.types} == TYPES
    assert {*entry.tactics} <= TACTICS


def test_every_file_of_the_shipped_model_lies_in_the_package() -> None:
    assert all((FOLDER / name).is_file() for name in read_manifest().files)
