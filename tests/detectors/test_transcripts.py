"""Written conversations of every form are read, and flaws are named without costing the rest."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.transcripts import Flaw, Said, Talk, read_talks

LINE = (
    '{"id":"c1","source":"s","label":"scam","cluster":"k",'
    '"turns":[{"speaker":"Caller","text":"hi"}]}'
)


def read(folder: Path, name: str, content: str | bytes) -> list[Talk | Flaw]:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(read_talks(path))


def turns(folder: Path, text: str) -> list[tuple[str, str]]:
    (talk,) = read(folder, "talk.txt", text)
    assert isinstance(talk, Talk)
    return [(said.party, said.text) for said in talk.turns]


@pytest.mark.parametrize("name", ["talks.jsonl", "talks.ndjson", "talks", "talks.txt"])
def test_a_corpus_is_known_by_its_first_character(tmp_path: Path, name: str) -> None:
    talks = read(tmp_path, name, f"\ufeff{LINE}\n\n{LINE}\n")
    assert talks == [Talk("c1", (Said("hi", "Caller"),), source="s", label="scam", cluster="k")] * 2
    assert isinstance(talks[0], Talk)
    assert talks[0].turns[0].party == "caller"


def test_fields_that_nobody_needs_are_ignored(tmp_path: Path) -> None:
    (talk,) = read(tmp_path, "t.jsonl", '{"id":"x","lang":"en","turns":[{"text":"a","words":[1]}]}')
    assert talk == Talk("x", (Said("a"),))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{oops", "not valid JSON"),
        ('{"turns":[]}', "missing required field `id`"),
        ('{"id":"x","turns":[{"speaker":"a"}]}', "`text`"),
        ('{"id":1,"turns":[]}', "Expected `str`, got `int` - at `$.id`"),
        ("[1,2]", "Expected `object`"),
        ('{"id":"x","turns":"hello"}', "$.turns"),
    ],
)
def test_a_bad_line_is_named_and_the_others_are_read(
    tmp_path: Path, line: str, reason: str
) -> None:
    first, flaw, last = read(tmp_path, "talks.jsonl", f"{LINE}\n{line}\n{LINE}\n")
    assert isinstance(first, Talk)
    assert isinstance(last, Talk)
    assert isinstance(flaw, Flaw)
    assert str(flaw).startswith(f"{tmp_path / 'talks.jsonl'}:2: ")
    assert reason in str(flaw)


def test_a_line_that_is_not_utf8_is_a_flaw(tmp_path: Path) -> None:
    _, flaw = read(tmp_path, "talks.jsonl", LINE.encode() + b'\n{"id":"\xff","turns":[]}')
    assert isinstance(flaw, Flaw)
    assert flaw.line == 2


def test_notes_beside_a_recording_are_one_conversation_told_apart_by_channel(
    tmp_path: Path,
) -> None:
    (talk,) = read(
        tmp_path,
        "call.json",
        """{"id": "call", "label": "benign", "duration_s": 9.5, "turns": [
             {"channel": 1, "speaker": "clerk", "start": 0.5, "end": 2.0, "text": "Hello."},
             {"channel": 0, "speaker": "agent", "start": 2.5, "end": 4.0, "text": "Hi."}]}""",
    )
    assert isinstance(talk, Talk)
    assert [(said.party, said.start, said.end) for said in talk.turns] == [
        ("agent", 0.5, 2.0),
        ("caller", 2.5, 4.0),
    ]


@pytest.mark.parametrize("content", ["[]", "", '{"id":"x"', '{"id":"x"}'])
def test_notes_that_hold_no_conversation_are_a_flaw_of_the_file(
    tmp_path: Path, content: str
) -> None:
    (flaw,) = read(tmp_path, "call.json", content)
    assert isinstance(flaw, Flaw)
    assert flaw.line == 0
    assert str(flaw).startswith(f"{tmp_path / 'call.json'}: not ")


def test_plain_text_has_an_utterance_a_line(tmp_path: Path) -> None:
    assert turns(tmp_path, "good morning\n\n  how are you  \r\n") == [
        ("unknown", "good morning"),
        ("unknown", "how are you"),
    ]


def test_speakers_stand_in_front_and_go_on_until_the_next(tmp_path: Path) -> None:
    text = "Agent: hello: what can I do\nMrs. O'Neill: my sink leaks\nreally badly\nagent:\nOK"
    assert turns(tmp_path, text) == [
        ("agent", "hello: what can I do"),
        ("mrs. o'neill", "my sink leaks"),
        ("mrs. o'neill", "really badly"),
        ("agent", "OK"),
    ]


@pytest.mark.parametrize(
    "line",
    [
        "at 10:30 we meet",
        "one thing I would like to say: thanks",
        "https://example.com is the page",
        ": nothing before it",
        "12: a number",
    ],
)
def test_not_every_colon_follows_a_speaker(tmp_path: Path, line: str) -> None:
    assert turns(tmp_path, line) == [("unknown", line)]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no words"),
        (b"\n \n", "no words"),
        (b"hello\nf\xfcr\n", "not UTF-8"),
        (b"hello\0world", "zero bytes"),
    ],
)
def test_what_is_no_text_is_a_flaw(tmp_path: Path, content: bytes, reason: str) -> None:
    (flaw,) = read(tmp_path, "talk.txt", content)
    assert isinstance(flaw, Flaw)
    assert reason in flaw.reason


def test_a_file_that_is_not_there_is_a_flaw(tmp_path: Path) -> None:
    (missing,) = read_talks(tmp_path / "none.txt")
    (folder,) = read_talks(tmp_path)
    assert isinstance(missing, Flaw)
    assert isinstance(folder, Flaw)
    assert "cannot be read (No such file or directory)" in str(missing)
    assert "cannot be read" in str(folder)


@given(content=st.binary(max_size=300), name=st.sampled_from(["t.json", "t.jsonl", "t.txt"]))
def test_any_bytes_are_a_conversation_or_a_flaw(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, name: str
) -> None:
    for found in read(tmp_path_factory.getbasetemp(), name, content):
        assert isinstance(found, Talk | Flaw)


def test_what_stands_is_told_from_what_was_provisional() -> None:
    turns = (Said("buy", provisional=True), Said("by chance"), Said("yes"))
    assert [said.text for said in Talk("t", turns).spoken] == ["by chance", "yes"]
