"""The conversation as the caller experienced it: only words really heard.

A language model gets this and nothing else, so it can be rebuilt from a journal, moved to
another process or another provider in mid-call.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec


class CallerSaid(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """One utterance of the caller."""

    text: str


class CallerPressed(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """Keys the caller pressed in one go, e.g. "5551234#"."""

    digits: str


class AgentSaid(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """What the caller heard of one agent turn.

    `interrupted` tells that more was planned; `note` is the memo the model left with this
    turn (`ReplyEnded.note`), "" when the reply was cut before it ended.
    """

    text: str
    interrupted: bool
    note: str


class ToolUsed(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """A tool request and its result as one record; `result` is None while it still runs.

    Kept even when the turn that asked was abandoned: a booking made is a booking made.
    """

    request_id: str
    name: str
    arguments: str
    result: str | None


Entry: TypeAlias = CallerSaid | CallerPressed | AgentSaid | ToolUsed
History: TypeAlias = tuple[Entry, ...]
