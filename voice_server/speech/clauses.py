"""Cutting an agent's words into pieces worth speaking at once.

The first piece is short, so that the caller hears something soon; later pieces are longer,
for a voice sounds better the more it sees. Together they are the text, space for space.
"""

from __future__ import annotations

import re

_SENTENCE_END = re.compile(r"[.!?…]['\")\]’”]*(\s+|$)")
_CLAUSE_END = re.compile(r"(?:[,;:]['\")\]’”]*|\s[-–—]|—)\s+")
_JOINT = re.compile(r"\s+(?=(?:and|but|or|so|because|that|which|if|when|while|then|to|for)\s)")
_ABBREVIATION = re.compile(
    r"(?:\b(?:Mr|Mrs|Ms|Dr|St|Ave|Rd|Blvd|Apt|No|Jr|Sr|Prof|Mt|Ft|vs|approx|appt|e\.g|i\.e|"
    r"Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec|Mon|Tues?|Wed|Thur?s?|Fri)|\b[A-Za-z])\.$"
)
_FIRST_LEAST, _FIRST_MOST = 10, 60
_LEAST, _MOST = 40, 180


class ClauseCutter:
    """Takes text in pieces of any size, gives clauses as soon as their end is certain."""

    __slots__ = ("_first", "_rest")

    def __init__(self) -> None:
        self._rest = ""
        self._first = True

    def add(self, piece: str) -> list[str]:
        """The clauses that this piece completes, in order, maybe none."""
        self._rest += piece
        return self._cut(ended=False)

    def finish(self) -> list[str]:
        """What is left when no more text comes."""
        return self._cut(ended=True)

    def _cut(self, *, ended: bool) -> list[str]:
        clauses = []
        while self._rest and (end := self._end(ended=ended)):
            clauses.append(self._rest[:end])
            self._rest = self._rest[end:]
            self._first = self._first and not clauses[-1].strip()
        return clauses

    def _end(self, *, ended: bool) -> int:
        """Where the next clause ends, 0 when more text may change that."""
        least, most = (_FIRST_LEAST, _FIRST_MOST) if self._first else (_LEAST, _MOST)
        text = self._rest
        sentence = self._sentence_end(text)
        window = text[: sentence or len(text)]
        clause = next((m.end() for m in _CLAUSE_END.finditer(window) if m.end() >= least), 0)
        if clause and clause <= most and len(window) > most // 2:
            return clause
        if sentence and sentence <= most:
            return sentence
        if len(window) > most:
            return _forced(window, least, most)
        return sentence or (len(text) if ended else 0)

    @staticmethod
    def _sentence_end(text: str) -> int:
        for match in _SENTENCE_END.finditer(text):
            before = text[: match.start() + 1]
            # A dot at the very end after a digit may be a decimal point.
            is_open = not match[1] and before[-2:-1].isdigit()
            if before.strip(" .!?…") and not is_open and not _ABBREVIATION.search(before):
                return match.end()
        return 0


def _forced(text: str, least: int, most: int) -> int:
    """A place to cut a long stretch without punctuation: before a joining word, or any word."""
    for pattern in (_JOINT, re.compile(r"\s+")):
        ends = [m.end() for m in pattern.finditer(text, least, most)]
        if ends:
            return ends[-1]
    return most
