"""The dialogues written for this project: what is shipped is sound, and faults are found."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.scam.corpus import Conversation, Turn, read_dialogues
from models.scam.data_check import nearness, separation, shared_runs, telling_grams
from models.scam.dialogues import Report, load, main, report

WORDS = ("well", "so", "then", "right", "now")  # few, so that chance spreads them evenly
ROWS = 40


def row(number: int, label: str, topic: str = "bank") -> dict[str, Any]:
    """A dialogue of random words: nothing in it can tell the label."""
    dice = random.Random(f"{number}{label}")
    cluster = f"ours-{topic}-{number}"
    turns = [
        {"speaker": speaker, "text": " ".join(dice.choices(WORDS, k=12))}
        for speaker in ("caller", "callee", "caller", "callee")
    ]
    return {
        "id": f"{cluster}-{label[0]}",
        "source": "ours",
        "licence": "MIT (this project)",
        "origin": "written",
        "label": label,
        "scam_type": "other" if label == "scam" else None,
        "tactics": ["urgency"] if label == "scam" else [],
        "lang": "en",
        "cluster": cluster,
        "topic": topic,
        "turns": turns,
    }


def rows() -> list[dict[str, Any]]:
    return [row(number, label) for number in range(ROWS) for label in ("scam", "benign")]


def checked(
    folder: Path, lines: list[dict[str, Any]], against: Sequence[Conversation] = ()
) -> Report:
    (folder / "bank.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    dialogues, faults = load(folder)
    return report(dialogues, against, faults=faults)


@pytest.fixture(scope="module")
def shipped() -> Report:
    dialogues, faults = load()
    return report(dialogues, faults=faults)


def test_the_shipped_dialogues_have_no_faults(shipped: Report) -> None:
    assert shipped.faults == ()


def test_there_are_enough_dialogues_on_every_topic(shipped: Report) -> None:
    assert shipped.dialogues >= 1500
    assert all(scam >= 30 and benign >= 30 for scam, benign in shipped.topics.values())
    assert sum(sum(both) for both in shipped.topics.values()) == shipped.dialogues


def test_shape_alone_hardly_tells_the_label(shipped: Report) -> None:
    assert {shape.name: shape.auc for shape in shipped.shapes if abs(shape.auc - 0.5) > 0.15} == {}


def test_dialogues_like_a_recognisers_output_are_common(shipped: Report) -> None:
    assert 0.4 < shipped.asr_like < 0.7


def test_training_reads_the_same_dialogues(shipped: Report) -> None:
    assert len(read_dialogues()) == shipped.dialogues


def test_the_readme_prints_what_the_tool_finds(shipped: Report) -> None:
    card = Path("models/scam/data/README.md")
    text = (Path(__file__).parents[2] / card).read_text(encoding="utf-8")
    missing = [line for line in shipped.as_text().splitlines() if line.rstrip() not in text]
    assert missing == []


def test_sound_dialogues_pass(tmp_path: Path) -> None:
    found = checked(tmp_path, rows())
    assert found.faults == ()
    assert (found.dialogues, found.clusters) == (2 * ROWS, ROWS)
    assert found.topics["bank"] == (ROWS, ROWS)
    assert found.tactics == {"urgency": ROWS}


@pytest.mark.parametrize(
    ("place", "change", "fault"),
    [
        (0, {"label": "fraud"}, "bank.jsonl:1: Invalid enum value"),
        (1, {"tactics": ["charm"]}, "bank.jsonl:2: Invalid enum value"),
        (0, {"scam_type": "spells"}, "bank.jsonl:1: Invalid enum value"),
        (0, {"topic": "spells"}, "bank.jsonl:1: Invalid enum value"),
        (0, {"turns": []}, "bank.jsonl:1: Expected `array` of length >= 1"),
        (0, {"turns": [{"speaker": "caller", "text": ""}]}, "bank.jsonl:1: Expected `str`"),
        (0, {"turns": [{"speaker": "ghost", "text": "hi"}]}, "bank.jsonl:1: Invalid enum value"),
        (0, {"mood": "grim"}, "bank.jsonl:1: Object contains unknown field `mood`"),
        (0, {"topic": "doctor"}, "bank.jsonl:1: topic doctor is another file's"),
        (0, {"topic": "doctor"}, "ours-bank-0: a cluster holds one topic"),
        (0, {"label": "benign"}, "ours-bank-0-s: the id must be ours-bank-0-b"),
        (0, {"scam_type": None}, "ours-bank-0-s: a scam has a scam_type, a benign dialogue none"),
        (1, {"scam_type": "job"}, "ours-bank-0-b: a scam has a scam_type, a benign dialogue none"),
        (1, {"tactics": ["wire"]}, "ours-bank-0-b: a benign dialogue has no tactics"),
        (0, {"tactics": ["wire", "wire"]}, "ours-bank-0-s: a tactic is named twice"),
        (0, {"id": "ours-bank-1-s"}, "ours-bank-1-s: the id is used 2 times"),
        (1, {"cluster": "ours-bank-99"}, "ours-bank-0: the scam has no benign twin"),
        (0, {"cluster": "theirs-1"}, "theirs-1: the cluster must be named ours-bank-<number>"),
    ],
)
def test_a_broken_line_is_named(
    tmp_path: Path, place: int, change: dict[str, Any], fault: str
) -> None:
    lines = rows()
    lines[place] |= change
    assert any(found.startswith(fault) for found in checked(tmp_path, lines).faults)


def test_a_missing_twin_is_found(tmp_path: Path) -> None:
    lines = [line for line in rows() if line["id"] != "ours-bank-3-b"]
    assert checked(tmp_path, lines).faults == ("ours-bank-3: the scam has no benign twin",)


def test_benign_dialogues_need_no_twin(tmp_path: Path) -> None:
    lines = [line for line in rows() if line["id"] != "ours-bank-3-s"]
    assert checked(tmp_path, lines).faults == ()


def test_a_near_duplicate_of_another_cluster_is_found(tmp_path: Path) -> None:
    lines = rows()
    lines[6]["turns"] = [*lines[0]["turns"][:3], lines[6]["turns"][3]]
    (fault,) = checked(tmp_path, lines).faults
    assert fault.startswith("ours-bank-0-s and ours-bank-3-s: near-duplicates (0.")


def test_twins_may_share_half_but_not_all(tmp_path: Path) -> None:
    lines = rows()
    lines[1]["turns"] = [*lines[0]["turns"][:3], lines[1]["turns"][3]]
    assert checked(tmp_path, lines).faults == ()
    lines[1]["turns"] = lines[0]["turns"]
    assert checked(tmp_path, lines).faults == (
        "ours-bank-0-s and ours-bank-0-b: near-duplicates (1.00)",
    )


def test_a_word_that_gives_the_label_away_is_found(tmp_path: Path) -> None:
    lines = rows()
    for line in lines[:12:2]:
        line["turns"][1]["text"] += " crikey"
    found = checked(tmp_path, lines)
    assert "gives the label away: 'crikey'" in found.faults
    assert "  crikey                6    0" in found.as_text()


def test_a_word_of_both_labels_is_no_giveaway(tmp_path: Path) -> None:
    lines = rows()
    for line in lines:
        line["turns"][1]["text"] += " crikey"
    assert "gives the label away: 'crikey'" not in checked(tmp_path, lines).faults


def test_a_topic_of_mostly_one_label_is_found(tmp_path: Path) -> None:
    lines = rows() + [row(100 + number, "benign") for number in range(ROWS)]
    assert checked(tmp_path, lines).faults == ("bank: 40 scam to 80 benign is out of balance",)


def public(text: str) -> Conversation:
    return Conversation("p-1", "public", "benign", "p", (Turn("caller", text),))


def test_words_copied_from_another_corpus_are_found(tmp_path: Path) -> None:
    lines = rows()
    copied = "You really, REALLY should have told my cousin about twenty goats"
    lines[4]["turns"][2]["text"] = copied
    found = checked(tmp_path, lines, [public(f"well {copied.lower()} last year")])
    (run,) = found.shared
    assert (run.id, run.other) == ("ours-bank-2-s", "p-1")
    assert run.words == "you really really should have told my cousin about 20 goats"
    assert found.faults == ("ours-bank-2-s: repeats p-1",)


def test_a_set_phrase_of_nine_words_is_listed_but_no_fault(tmp_path: Path) -> None:
    lines = rows()
    phrase = "thank you for calling how can i help you"
    lines[4]["turns"][0]["text"] = phrase
    found = checked(tmp_path, lines, [public(phrase)])
    assert [run.words for run in found.shared] == [phrase]
    assert found.faults == ()


def test_runs_are_told_apart_and_reach_the_end_of_the_other_text() -> None:
    first, second = [f"a{i}" for i in range(12)], [f"b{i}" for i in range(9)]
    other = public(" ".join([*first, "gap", *second]))
    found = list(shared_runs(["x", "y"], [first, second], [other]))
    assert [(run.id, run.words) for run in found] == [
        ("x", " ".join(first)),
        ("y", " ".join(second)),
    ]
    assert list(shared_runs(["x"], [first], [public("a0 a1 a2")])) == []


def test_log_odds_point_to_the_label_that_holds_the_words() -> None:
    said = [["pay", "now"], ["pay", "now"], ["pay", "later"], ["pay", "later"]]
    odds = {one.gram: one for one in telling_grams(said, [True, True, False, False])}
    assert odds["pay now"].log_odds > 0 > odds["later"].log_odds
    assert odds["pay"].log_odds == 0
    assert (odds["now"].scam, odds["now"].benign) == (2, 0)


@given(st.lists(st.lists(st.sampled_from("abc"), max_size=20), max_size=6))
def test_nearness_is_the_jaccard_index_of_runs_of_five(said: list[list[str]]) -> None:
    sets = [{tuple(words[at : at + 5]) for at in range(len(words) - 4)} for words in said]
    expected = {
        (a, b): len(sets[a] & sets[b]) / len(sets[a] | sets[b])
        for b in range(len(said))
        for a in range(b)
        if sets[a] & sets[b]
    }
    assert {(a, b): score for a, b, score in nearness(said)} == pytest.approx(expected)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=20))
def test_separation_counts_pairs_that_are_ranked_right(pairs: list[tuple[int, bool]]) -> None:
    scam = [value for value, is_scam in pairs if is_scam]
    benign = [value for value, is_scam in pairs if not is_scam]
    wins = [(a > b) + (a == b) / 2 for a in scam for b in benign]
    expected = sum(wins) / len(wins) if wins else 0.5
    found = separation([float(value) for value, _ in pairs], [is_scam for _, is_scam in pairs])
    assert found == pytest.approx(expected)


def test_the_command_prints_text_and_fails_on_faults(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checked(tmp_path, rows())
    assert main([str(tmp_path)]) == 0
    assert capsys.readouterr().out.endswith("faults: 0\n")
    checked(tmp_path, [*rows()[1:], row(50, "scam")])
    assert main([str(tmp_path)]) == 1
    assert "  ours-bank-50: the scam has no benign twin\n" in capsys.readouterr().out


def test_the_command_prints_json_and_reads_other_corpora(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours, others = tmp_path / "ours", tmp_path / "others"
    ours.mkdir()
    others.mkdir()
    checked(ours, rows())
    stolen = row(0, "scam") | {"id": "p-1", "source": "public"}
    (others / "train.jsonl").write_text(json.dumps(stolen))
    assert main([str(ours), "--against", str(others), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["faults"] == ["ours-bank-0-s: repeats p-1"]
    assert found["dialogues"] == 2 * ROWS


def test_an_empty_folder_is_reported_as_empty(tmp_path: Path) -> None:
    dialogues, faults = load(tmp_path)
    found = report(dialogues, faults=faults)
    assert (found.dialogues, found.nearest, found.faults) == (0, 0.0, ())
