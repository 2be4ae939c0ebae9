"""Reads conversation corpora and cuts them into what the classifier learns from.

A corpus is JSON Lines, one conversation a line: `id`, `source`, `label` ("scam" or
"benign"), `cluster` (near-duplicates share one) and `turns` of `speaker` and `text`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from models.scam.words import spoken_words

# Licences under which a source may shape weights that we ship. Sources with no stated or a
# non-commercial licence are for evaluation only and never reach `fit`.
LICENCES = {
    "ncsu_robocall": "public domain recordings (US FTC)",
    "youtube_scambait": "CC0 as declared by the publisher of the caption set",
    "bothbosu": "Apache-2.0",
    "adv_short": "Apache-2.0",
    "harpervalley": "CC BY 4.0",
    "taskmaster4": "CC BY 4.0",
    "botbots": "MIT",
    "sgd": "CC BY-SA 4.0",
    "ours": "MIT (this project)",
}
OURS = "ours"  # the dialogues written for this project
DIALOGUES = Path(__file__).parent / "data"
UTTERANCE_WORDS = 12  # what a recogniser commits at once: 4 to 6 s of speech


class Turn(msgspec.Struct, frozen=True):
    """One utterance of a corpus conversation."""

    speaker: str
    text: str


class Conversation(msgspec.Struct, frozen=True):
    """One line of a corpus file. Other fields of the line are ignored."""

    id: str
    source: str
    label: str
    cluster: str
    turns: tuple[Turn, ...]
    topic: str | None = None
    scam_type: str | None = None
    tactics: tuple[str, ...] = ()

    @property
    def origin(self) -> str:
        """What can be left out of training as a whole: a source, or a topic of our own."""
        return f"{OURS}/{self.topic}" if self.source == OURS else self.source

    @property
    def is_scam(self) -> bool:
        """Whether the remote party is a scammer."""
        return self.label == "scam"


class View(msgspec.Struct, frozen=True):
    """What one listener hears of a conversation, as utterances of plain words."""

    id: str  # of the conversation
    source: str
    cluster: str
    scam: bool
    utterances: tuple[tuple[str, ...], ...]


def read_conversations(path: Path) -> list[Conversation]:
    """Read a corpus file; raises `msgspec.DecodeError` when a line is not a conversation."""
    decoder = msgspec.json.Decoder(Conversation)
    with path.open("rb") as lines:
        return [decoder.decode(line) for line in lines if line.strip()]


def read_dialogues(folder: Path = DIALOGUES) -> list[Conversation]:
    """Read the dialogues written for this project, in the order of their files' names."""
    return [talk for path in sorted(folder.glob("*.jsonl")) for talk in read_conversations(path)]


def trainable(conversations: Sequence[Conversation]) -> list[Conversation]:
    """Keep what the licences allow into shipped weights."""
    return [talk for talk in conversations if talk.source in LICENCES]


def views(conversation: Conversation) -> Iterator[View]:
    """Yield the remote side, the whole talk, and our side of benign talks.

    Recordings without speaker marks hold both sides, so that each label must come in both
    shapes, else the shape alone tells the label. The victim of a scam is never an example.
    """
    sides: list[Sequence[Turn]] = [conversation.turns]
    speakers = {turn.speaker for turn in conversation.turns}
    if len(speakers) > 1:
        ours = "agent" if "agent" in speakers else "callee"  # whom our agent rang is a callee too
        sides.append([turn for turn in conversation.turns if turn.speaker != ours])
        if not conversation.is_scam:
            sides.append([turn for turn in conversation.turns if turn.speaker == ours])
    for side in sides:
        utterances = tuple(cut for turn in side for cut in cut_words(turn.text))
        if utterances:
            yield View(
                conversation.id,
                conversation.source,
                conversation.cluster,
                conversation.is_scam,
                utterances,
            )


def cut_words(text: str) -> Iterator[tuple[str, ...]]:
    """Cut a long turn as a recogniser would commit it."""
    words = [word.plain for word in spoken_words(text)]
    for at in range(0, len(words), UTTERANCE_WORDS):
        yield tuple(words[at : at + UTTERANCE_WORDS])


def cut_text(text: str) -> Iterator[str]:
    """Like `cut_words`, with the original text between the words kept."""
    words = spoken_words(text)
    for at in range(0, len(words), UTTERANCE_WORDS):
        last = words[min(at + UTTERANCE_WORDS, len(words)) - 1]
        yield text[words[at].start : last.end]
