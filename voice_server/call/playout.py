"""What was sent to the caller's ear, and how much of it was really heard.

A mark proves that everything before it was played. Between two marks the carrier's own
clock, the timestamps of the inbound media, tells how far the playout has come: it is cut
down to whole words, and never reaches past the next mark.
"""

from __future__ import annotations

from collections import deque

import msgspec

MULAW_BYTES_PER_MS = 8


class _Span(msgspec.Struct):
    mark: str
    text: str
    start_ms: int  # on the scale of all audio sent since the ledger was last empty
    end_ms: int


class Playout:
    """The ledger of one call. Pure bookkeeping: never touches the wire."""

    __slots__ = (
        "_anchor_media_ms",
        "_anchor_ms",
        "_aside_until_media_ms",
        "_heard",
        "_sent_ms",
        "_serial",
        "_spans",
    )

    def __init__(self) -> None:
        self._spans: deque[_Span] = deque()
        self._heard: list[str] = []
        self._serial = 0
        self._sent_ms = 0
        self._anchor_ms = 0
        self._anchor_media_ms = 0
        self._aside_until_media_ms = 0

    @property
    def idle(self) -> bool:
        """Nothing sent is still unacknowledged."""
        return not self._spans

    def queue(self, text: str, mulaw_bytes: int, media_ms: int) -> str:
        """Note audio just sent that says `text`; returns the name of the mark to place behind it.

        `media_ms` is the newest inbound timestamp.
        """
        if not self._spans:
            self._anchor_ms, self._anchor_media_ms = self._sent_ms, self._free_at(media_ms)
        self._serial += 1
        start = self._sent_ms
        self._sent_ms = start + mulaw_bytes // MULAW_BYTES_PER_MS
        self._spans.append(_Span(f"m{self._serial}", text, start, self._sent_ms))
        return self._spans[-1].mark

    def interjected(self, mulaw_bytes: int, media_ms: int) -> None:
        """Note audio just sent that is no part of what is said: the next begins behind it."""
        ms = mulaw_bytes // MULAW_BYTES_PER_MS
        self._aside_until_media_ms = self._free_at(media_ms) + ms

    def hushed(self) -> None:
        """What was interjected has been thrown away."""
        self._aside_until_media_ms = 0

    def played(self, mark: str, media_ms: int) -> bool:
        """Take a returned mark; False for one that is not owed (cleared, repeated, invented).

        Carriers keep marks in order, so earlier ones count as returned too.
        """
        if all(span.mark != mark for span in self._spans):
            return False
        while self._spans:
            span = self._spans.popleft()
            self._heard.append(span.text)
            if span.mark == mark:
                self._anchor_ms, self._anchor_media_ms = span.end_ms, self._free_at(media_ms)
                break
        return True

    def take(self) -> str:
        """The text heard since the last take or cut."""
        heard, self._heard = "".join(self._heard), []
        return heard

    def cut(self, media_ms: int) -> str:
        """Forget what is queued (its marks mean nothing from here on); return the text heard."""
        if self._spans:
            first = self._spans[0]
            played_ms = self._reached_ms(media_ms) - first.start_ms
            self._heard.append(part_heard(first.text, played_ms, first.end_ms - first.start_ms))
        self._spans.clear()
        self._sent_ms = 0
        return self.take()

    def _free_at(self, media_ms: int) -> int:
        return max(media_ms, self._aside_until_media_ms)

    def _reached_ms(self, media_ms: int) -> int:
        return self._anchor_ms + max(0, media_ms - self._anchor_media_ms)


def part_heard(text: str, played_ms: int, length_ms: int) -> str:
    """The whole words of a text that fit into the part of its audio that was played."""
    if length_ms <= 0 or played_ms <= 0:
        return ""
    cut = len(text) * played_ms // length_ms
    if cut >= len(text):
        return text
    while cut > 0 and not text[cut].isspace():
        cut -= 1
    return text[:cut]
