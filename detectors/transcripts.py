"""Reads written conversations: corpus lines, the notes beside recordings, and plain text.

A flaw in one line or file must not cost the rest, so that readers yield flaws beside
conversations instead of raising.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

UNKNOWN = "unknown"
_REMOTE, _OURS = "caller", "agent"
# "Mrs. Miller: good morning". More than three words before a colon are a sentence.
_PREFIX = re.compile(r"\s*([^\W\d_][\w.'’-]*(?: [\w.'’-]+){0,2})\s*:(?:\s+|$)")
_PREFIX_LIMIT = 40


class Said(msgspec.Struct, frozen=True, omit_defaults=True):
    """One turn; `start` and `end` are seconds since the call began, None where unknown.

    `known` is when a recogniser had the words of the turn, all at once; None = as they were
    said. A `provisional` turn is what it made of the beginning of the party's next turn that is
    not. `channel` is given by notes beside recordings: 0 is the remote party, others are ours.
    """

    text: str
    speaker: str = UNKNOWN
    start: float | None = None
    end: float | None = None
    known: float | None = None
    channel: int | None = None
    provisional: bool = False

    @property
    def party(self) -> str:
        """Who speaks, by the channel where there is one: lines are surer than names."""
        if self.channel is None:
            return self.speaker.strip().lower() or UNKNOWN
        return _REMOTE if self.channel == 0 else _OURS


class Talk(msgspec.Struct, frozen=True, omit_defaults=True):
    """One conversation. `label`, where it is known, is "scam" or "benign"."""

    id: str
    turns: tuple[Said, ...]
    source: str = ""
    label: str = ""
    cluster: str = ""

    @property
    def spoken(self) -> tuple[Said, ...]:
        """The turns that stand, without what was provisional."""
        return tuple(said for said in self.turns if not said.provisional)


class Flaw(msgspec.Struct, frozen=True):
    """Something that could not be read; `line` counts from 1, 0 = the whole file."""

    path: str
    line: int
    reason: str

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}" if self.line else self.path
        return f"{place}: {self.reason}"


def read_talks(path: Path) -> Iterator[Talk | Flaw]:
    """Read a file of any of the forms; the form is told by its name and first character.

    `.json` holds one conversation, what begins with a brace one conversation a line, the
    rest is plain text.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        yield Flaw(str(path), 0, f"cannot be read ({error.strerror})")
        return
    content = content.removeprefix(b"\xef\xbb\xbf")
    if path.suffix.lower() == ".json":
        yield _one(path, content)
    elif content.lstrip().startswith(b"{"):
        yield from _lines(path, content)
    else:
        yield _plain(path, content)


def _one(path: Path, content: bytes) -> Talk | Flaw:
    try:
        return msgspec.json.decode(content, type=Talk)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return Flaw(str(path), 0, _why(error))


def _lines(path: Path, content: bytes) -> Iterator[Talk | Flaw]:
    decoder = msgspec.json.Decoder(Talk)
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            yield decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            yield Flaw(str(path), number, _why(error))


def _why(error: Exception) -> str:
    if isinstance(error, msgspec.ValidationError):
        return f"not a conversation: {error}"
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8"
    return f"not valid JSON: {error}"


def _plain(path: Path, content: bytes) -> Talk | Flaw:
    turns: list[Said] = []
    speaker = UNKNOWN
    for number, raw in enumerate(content.split(b"\n"), start=1):
        try:
            line = raw.decode()
        except UnicodeDecodeError:
            return Flaw(str(path), number, "not UTF-8; save the transcript as UTF-8 text")
        if "\0" in line:
            return Flaw(str(path), number, "not text: it holds zero bytes")
        prefix = _PREFIX.match(line[:_PREFIX_LIMIT])
        if prefix:
            speaker = prefix.group(1).lower()
            line = line[prefix.end() :]
        if line.strip():
            turns.append(Said(line.strip(), speaker))
    if not turns:
        return Flaw(str(path), 0, "no words in it; a transcript has one utterance a line")
    return Talk(path.stem, tuple(turns))
