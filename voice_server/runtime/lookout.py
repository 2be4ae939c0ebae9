"""Shows a call's words to the scam detector, one look at a time and in order."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from detectors.assessment import Segment
from voice_server.call import events as e
from voice_server.ports import RiskTrack


class Lookout:
    """What waits to be seen by the detector of one call.

    `start` runs the work beside the call; what the detector says is fed back as events. Words
    in the making are seen after all that is committed, the newest alone.
    """

    __slots__ = ("_feed", "_looking", "_segments", "_start", "_tail", "_track")

    def __init__(
        self,
        track: RiskTrack,
        start: Callable[[Callable[[], Coroutine[Any, Any, None]]], object],
        feed: Callable[[e.RiskAssessed], None],
    ) -> None:
        self._track = track
        self._start = start
        self._feed = feed
        self._segments: list[Segment] = []
        self._tail: Segment | None = None
        self._looking = False

    def show(self, segment: Segment) -> None:
        """Show a committed segment; words in the making are overtaken by it."""
        self._segments.append(segment)
        self._tail = None
        self._wake()

    def preview(self, segment: Segment) -> None:
        """Show what the next segment may become."""
        self._tail = segment
        self._wake()

    def end(self) -> None:
        """The call is over."""
        self._track.end()

    def _wake(self) -> None:
        if not self._looking:
            self._looking = True
            self._start(self._look)

    async def _look(self) -> None:
        try:
            while self._segments or self._tail is not None:
                segments, self._segments = self._segments, []
                if segments:
                    self._feed(e.RiskAssessed(await self._track.assess(segments)))
                elif (tail := self._tail) is not None:
                    self._tail = None
                    self._feed(e.RiskAssessed(await self._track.preview(tail), tail))
        finally:
            self._looking = False
