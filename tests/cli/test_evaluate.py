"""`voice-server evaluate scam`, on a corpus of a few lines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from models.scam.corpus import LICENCES, Conversation, Turn, read_conversations
from models.scam.folds import campaign_folds, origin_folds
from tests.models import corpora
from voice_server.cli.evaluate import command, half_of, lot, thinned


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = corpora.write(tmp_path_factory.mktemp("corpus"))
    hard = [
        corpora.line("adv_short", 1, True, ("caller", corpora.SCAM[0])),
        corpora.line("adv_short", 2, False, ("caller", corpora.BENIGN[0])),
        corpora.line("paired_yt", 3, True, ("unknown", corpora.SCAM[1])),
        corpora.line("paired_yt", 4, False, ("unknown", corpora.BENIGN[1])),
    ]
    text = "".join(json.dumps(each) + "\n" for each in hard)
    (made / "dev_hard.jsonl").write_text(text, encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def talks(folder: Path) -> list[Conversation]:
    return read_conversations(folder / "train.jsonl")


def own(topic: str, number: int) -> Conversation:
    turns = (Turn("caller", "hello"),)
    return Conversation(f"{topic}-{number}", "ours", "scam", f"{number}", turns, topic=topic)


def test_every_origin_is_left_out_once(talks: list[Conversation]) -> None:
    mixed = [*talks, own("bank", 1), own("rent", 1)]
    origins = ["botbots", "bothbosu", "ncsu_robocall", "ours/bank", "ours/rent"]
    assert [fold.name for fold in origin_folds(mixed, quick=False)] == origins
    quick = origin_folds(mixed, quick=True)
    assert sorted(name for fold in quick for name in fold.name.split(", ")) == origins
    for folds in (quick, origin_folds(mixed, quick=False), campaign_folds(mixed)):
        left_out = [talk.id for fold in folds for talk in fold.left_out(mixed)]
        assert sorted(left_out) == sorted(talk.id for talk in mixed if talk.source in LICENCES)
        for fold in folds:
            assert not fold.ids & {talk.id for talk in fold.kept(mixed)}


def test_a_campaign_is_left_out_whole_and_a_source_with_honest_calls_too(
    talks: list[Conversation],
) -> None:
    sets = [
        {(each.source, each.cluster) for each in fold.left_out(talks)}
        for fold in campaign_folds(talks)
    ]
    assert len([found for found in sets if any(source == "botbots" for source, _ in found)]) == 1
    assert len([found for found in sets if any(source == "bothbosu" for source, _ in found)]) == 1
    robocalls = [
        {cluster for source, cluster in found if source == "ncsu_robocall"} for found in sets
    ]
    assert len([found for found in robocalls if found]) > 1
    assert sum(map(len, robocalls)) == len(set().union(*robocalls))


def test_thinning_keeps_the_same_few_of_each_kind(talks: list[Conversation]) -> None:
    kept = thinned(talks, 2)
    assert kept == thinned(talks, 2)
    counts: dict[tuple[str, bool], int] = {}
    for talk in kept:
        counts[talk.source, talk.is_scam] = counts.get((talk.source, talk.is_scam), 0) + 1
    assert set(counts.values()) == {2}


def test_twins_are_drawn_and_halved_together() -> None:
    one, other = own("bank", 7), own("bank", 7)
    assert lot(one) == lot(other)
    assert 0 <= lot(one) < 1
    assert half_of(one) == half_of(other)
    assert {half_of(own("bank", number)) for number in range(20)} == {0, 1}


@pytest.mark.slow
def test_the_command_writes_every_table(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    places = ["--data", str(folder), "--out", str(tmp_path), "--dialogues", str(tmp_path / "none")]
    result = CliRunner().invoke(command, ["scam", *places, "--quick", "--json", "--jobs", "1"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert {
        "summary",
        "campaigns",
        "left_out",
        "hard",
        "ablations",
        "learning_curve",
        "without",
        "kinds",
        "speed",
    } <= found.keys()
    names = {line["name"] for line in found["summary"]}
    assert "calibration error (ECE)" in names
    assert found["without"][0][0] == "nothing"
    assert {name for names, *_ in found["without"][1:] for name in names.split(", ")} == {
        "botbots",
        "bothbosu",
        "ncsu_robocall",
    }
    page = (tmp_path / "EVALUATION.md").read_text(encoding="utf-8")
    for title in ("Left-out sources", "dev_hard", "Without one of the detectors", "Cost"):
        assert f"## {title}" in page


def test_a_folder_without_a_corpus_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(command, ["scam", "--data", str(tmp_path)])
    assert result.exit_code == 1
    assert "no train.jsonl" in result.output
