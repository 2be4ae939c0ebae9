"""`voice-server detect` reads every form; flaws cost nothing else; scorers can read its JSON."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from detectors.assessment import Severity
from detectors.playback import Trace
from tests.conftest import shared_folder
from tests.detectors.speech import BOOKING, ROBOCALL
from voice_server.cli import main
from voice_server.cli.traces import comparison, described, document, sparkline, summary


def line(name: str, texts: tuple[str, ...], **fields: str) -> str:
    turns = [
        {
            "speaker": "agent" if text.startswith("A: ") else "caller",
            "text": text.removeprefix("A: "),
        }
        for text in texts
    ]
    return json.dumps({"id": name, **fields, "turns": turns})


def detect(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["detect", *map(str, arguments)], catch_exceptions=False)


def objects(result: Result) -> list[dict[str, Any]]:
    return [json.loads(text) for text in result.stdout.splitlines()]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "talks.jsonl"
    lines = [
        line("robo", ROBOCALL, source="s", label="scam", cluster="r"),
        line("book", BOOKING, source="b", label="benign", cluster="k"),
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_a_corpus_is_told_in_words(corpus: Path) -> None:
    result = detect(corpus)
    assert result.exit_code == 0
    first, second = result.stdout.index("robo"), result.stdout.index("book")
    told = result.stdout[first:second]
    for part in ("critical", "alarm     turn ", "type      government", "ssn_suspended"):
        assert part in told
    assert "has been suspended" in told
    assert "alarm" not in result.stdout[second:]
    assert "2 conversations, 1 alarms; of 1 scams 100.0%, of 1 benign 0.0%" in result.stderr


def test_json_has_one_object_a_line_with_a_step_for_every_utterance(corpus: Path) -> None:
    result = detect("--json", corpus)
    robo, book = objects(result)
    assert robo["id"] == "robo"
    assert robo["severity"] == "critical"
    assert robo["alarm_turn"] in (1, 2)
    assert robo["alarm_seconds"] == robo["alarm_words"] / 2.5
    assert robo["type"] == "government_tax"
    assert robo["steps"][-1][:2] == [3, sum(len(text.split()) for text in ROBOCALL)]
    assert robo["steps"][-1][2] == robo["score"]
    assert isinstance(robo["tactics"], list)
    assert {*robo["learned"]} <= {*robo["tactics"]}
    assert {"turn", "start", "end", "name", "weight"} <= set(robo["evidence"][0])
    assert (book["alarm_turn"], book["alarm_words"], book["alarm_seconds"]) == (None,) * 3
    assert [turn for turn, *_ in book["steps"]] == list(range(1, len(BOOKING) + 1))


def test_the_label_is_not_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(
        line("a", ROBOCALL, label="benign") + "\n" + line("a", ROBOCALL, label="scam") + "\n"
    )
    one, other = objects(detect("--json", path))
    assert one["steps"] == other["steps"]


def test_plain_text_and_notes_are_read_too(tmp_path: Path) -> None:
    plain = tmp_path / "plain.txt"
    plain.write_text("Caller: " + "\nCaller: ".join(ROBOCALL))
    notes = tmp_path / "notes.json"
    turns = [
        {"channel": 0, "start": 10.0 * n, "end": 10.0 * n + 4, "text": text}
        for n, text in enumerate(ROBOCALL)
    ]
    notes.write_text(json.dumps({"id": "noted", "turns": turns}))
    written, noted = objects(detect("--json", plain, notes))
    assert (written["id"], noted["id"]) == ("plain", "noted")
    assert [s[2] for s in written["steps"]] == pytest.approx([s[2] for s in noted["steps"]])
    assert written["alarm_turn"] == noted["alarm_turn"]
    assert 10 * (noted["alarm_turn"] - 1) <= noted["alarm_seconds"] <= 10 * noted["alarm_turn"] - 6


def test_flaws_are_named_and_the_rest_is_done(corpus: Path, tmp_path: Path) -> None:
    corpus.write_text(corpus.read_text() + '\n{"id": "half"\n' + line("after", BOOKING))
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF....")
    empty = tmp_path / "empty.txt"
    empty.write_text("\n")
    result = detect("--json", corpus, tmp_path / "gone.txt", empty)
    assert result.exit_code == 1
    assert [each["id"] for each in objects(result)] == ["robo", "book", "after"]
    assert f"error: {corpus}:3: not valid JSON" in result.stderr
    assert f"error: {tmp_path / 'gone.txt'}: cannot be read" in result.stderr
    assert f"error: {empty}: no words in it" in result.stderr


def test_an_error_shows_no_transcript(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"id": "x", "turns": [{"text": "my pin is 4711", "speaker": 5}]}')
    result = detect(path)
    assert result.exit_code == 1
    assert "4711" not in result.output


def test_no_file_at_all_is_a_usage_error() -> None:
    assert CliRunner().invoke(main, ["detect"]).exit_code == 2


@pytest.mark.slow
def test_more_processes_give_the_same_answers_in_the_same_order(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    lines = [line(f"c{n}", (ROBOCALL if n % 3 else BOOKING)[: n % 4 + 1]) for n in range(40)]
    path.write_text("\n".join(lines))
    alone, together = detect("--json", path), detect("--json", "--jobs", "2", path)
    assert [each["id"] for each in objects(together)] == [f"c{n}" for n in range(40)]
    assert objects(together) == objects(alone)


def test_a_report_is_written_beside_the_output(corpus: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    result = detect("--report", page, corpus)
    assert result.exit_code == 0
    html = page.read_text(encoding="utf-8")
    assert html.startswith("<!doctype html>")
    assert "has been suspended" in re.sub("<[^>]*>", "", html)
    assert "ROC AUC" in html
    assert f"report: {page}" in result.stderr


def test_a_report_that_cannot_be_written_is_an_error(corpus: Path, tmp_path: Path) -> None:
    result = detect("--report", tmp_path / "no" / "such" / "folder.html", corpus)
    assert result.exit_code == 1
    assert "cannot write" in result.stderr


@pytest.mark.shared
def test_the_reference_scorer_takes_the_json(tmp_path: Path) -> None:
    shared = shared_folder()
    assert shared is not None
    spec = importlib.util.spec_from_file_location("scores", shared / "data" / "evaluate.py")
    assert spec is not None
    assert spec.loader is not None
    scores = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(scores)
    gold_file = shared / "data" / "corpus" / "dev_hard.jsonl"
    result = detect("--json", gold_file)
    gold = [json.loads(text) for text in gold_file.read_text(encoding="utf-8").splitlines()]
    found = scores.evaluate(gold, objects(result))
    assert result.exit_code == 0
    assert found["n"] == len(gold)
    assert found["missing"] == 0
    assert found["macro_core"]["auc_vs_core_benign"] > 0.8


def trace(**changes: Any) -> Trace:
    fields = {
        **dict(id="x", score=0.1, severity=Severity.MINIMAL, highest=0.1, confidence=0.5),
        **dict(alarm_turn=None, alarm_words=None, alarm_seconds=None, type="", tactics=()),
        **dict(learned=()),
        **dict(detectors=(), steps=((1, 4, 0.1),), seconds=(1.6,), evidence=(), source="s"),
        **dict(label="", cluster="", model_version="m"),
    }
    return Trace(**(fields | changes))


@pytest.mark.parametrize(
    ("risks", "drawn"),
    [([], ""), ([0.0, 0.5, 1.0], "▁▅█"), ([0.1, 0.99] * 40, "█" * 32), ([0.0] * 33, "▁" * 32)],
)
def test_a_sparkline_never_hides_a_peak(risks: list[float], drawn: str) -> None:
    steps = tuple((n, n, risk) for n, risk in enumerate(risks, 1))
    assert sparkline(trace(steps=steps)) == drawn


def test_a_silent_conversation_is_told_as_such() -> None:
    assert "nothing said" in described(trace(steps=(), seconds=()))


def test_tactics_without_evidence_are_told_as_learned() -> None:
    told = described(trace(type="refund", tactics=("threat", "wire"), learned=("wire",)))
    assert "  tactics   threat, wire (learned)" in told.splitlines()


@pytest.mark.parametrize("label", ["", "scam", "benign"])
def test_figures_need_both_labels(label: str) -> None:
    assert summary([trace(label=label)]) == "1 conversations, 0 alarms"


def test_a_recording_stands_beside_its_exact_transcript() -> None:
    alarm = trace(id="a#exact", alarm_seconds=4.0, highest=0.9, severity=Severity.CRITICAL)
    grid = comparison([trace(id="a"), alarm, trace(id="b")])
    columns = [list(column.cells) for column in grid.columns]
    assert columns[0] == ["a", "b"]
    assert columns[2] == ["no alarm, 0.10 minimal"] * 2
    assert columns[4] == ["4.0 s, 0.90 critical", ""]


def test_the_comparison_is_a_page_too() -> None:
    alarm = trace(id="a#exact", label="scam", alarm_turn=1, alarm_seconds=4.0, highest=0.9)
    page = document([trace(id="a", label="scam"), alarm])
    rows = [line for line in page.splitlines() if line.startswith("| ")]
    assert rows[0] == "| call | label | heard | evidence | exact | evidence |"
    assert rows[1] == "| --- | --- | --- | --- | --- | --- |"
    assert rows[2] == "| a | scam | no alarm, 0.10 minimal |  | 4.0 s, 0.90 minimal |  |"
    assert "Model `m`" in page
    assert "- 1 conversations, 0 alarms\n- exact transcripts: 1 conversations, 1 alarms\n" in page


def test_a_page_is_written_where_it_is_wished(corpus: Path, tmp_path: Path) -> None:
    page = tmp_path / "recordings.md"
    result = detect("--markdown", page, corpus)
    assert result.exit_code == 0
    assert f"table: {page}" in result.stderr
    assert "| robo | scam |" in page.read_text(encoding="utf-8")


def test_a_page_that_cannot_be_written_is_an_error(corpus: Path, tmp_path: Path) -> None:
    result = detect("--markdown", tmp_path / "no" / "such" / "page.md", corpus)
    assert result.exit_code == 1
    assert "cannot write" in result.stderr
