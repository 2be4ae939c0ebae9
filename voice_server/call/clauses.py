"""Cuts a model's stream of text into pieces that can be spoken."""

from __future__ import annotations

import re

_FIRST_MIN = 12  # characters: the first piece may be short, so that speech starts early
_CLAUSE_MIN = 60
_SENTENCE_END = re.compile(r"[.!?…][\"')\]]*\s+")
_CLAUSE_END = re.compile(r"[,;:–—]\s+")
_ABBREVIATION = re.compile(
    r"(?:\b(?:mr|mrs|ms|dr|st|no|vs|etc|approx)|\b[a-z])\.\s+$", re.IGNORECASE
)


class Clauses:
    """Collects text and hands out whole clauses; concatenated they are the text unchanged."""

    __slots__ = ("_first", "_text")

    def __init__(self) -> None:
        self._text = ""
        self._first = True

    def add(self, text: str) -> str:
        """Take some more text; returns what has become sayable, "" if nothing has."""
        self._text += text
        cut = self._last_cut()
        if cut == 0:
            return ""
        piece, self._text = self._text[:cut], self._text[cut:]
        self._first = False
        return piece

    def rest(self) -> str:
        """What is left when no more text comes."""
        piece, self._text = self._text, ""
        return piece

    def _last_cut(self) -> int:
        cut = 0
        for end in _SENTENCE_END.finditer(self._text):
            if not _ABBREVIATION.search(self._text, 0, end.end()):
                cut = end.end()
        if cut:
            return cut
        least = _FIRST_MIN if self._first else _CLAUSE_MIN
        for end in _CLAUSE_END.finditer(self._text):
            if end.end() >= least:
                cut = end.end()
        return cut
