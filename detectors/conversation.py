"""Follows a conversation in which it is not known beforehand who might be the scammer.

`ScamDetector` watches one party, called "caller", and takes all others for our side. Here the
rule for who is watched is: everybody who is not our own agent. That covers a scammer who talks
to our agent, one whom our agent rang, a third party on the line with our customer, and
recordings without speaker marks. Nothing but the speaker names is looked at.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from detectors.assessment import Assessment, Segment
from detectors.detector import ScamDetector, ScamModel
from detectors.fork import fork
from detectors.fusion import Evidence

OURS = "agent"
WATCHED = "caller"  # what a detector calls the party it watches
TRACKS_LIMIT = 4  # parties watched apart; further ones share the last track


class ConversationDetector:
    """One detector for each watched party; the riskiest one speaks for the conversation.

    Each hears its own party as "caller" and everybody else as "agent", so that what a victim
    says never counts against the scammer's innocence, and the other way round. An utterance
    costs the same however long the conversation has been, and at most `TRACKS_LIMIT` times
    what it costs one detector. Not for use by two threads at once.
    """

    __slots__ = ("_before", "_last", "_model", "_tracks", "_views")

    def __init__(self, model: ScamModel) -> None:
        self._model = model
        self._tracks: dict[str, ScamDetector] = {}
        self._views: dict[str, Assessment] = {}
        self._before: Segment | None = None
        self._last = ScamDetector(model).feed([])

    @property
    def watched(self) -> tuple[str, ...]:
        """The speakers that have a detector of their own, in order of their first words."""
        return tuple(self._tracks)

    def feed(self, segments: Sequence[Segment]) -> Assessment:
        """Take new segments in order; return the view of the riskiest party after the last.

        `processing_us` is what all detectors together spent.
        """
        spent = 0
        for segment in segments:
            spent += self._take(segment)
        if segments:
            self._last = msgspec.structs.replace(self._last, processing_us=spent)
        return self._last

    def preview(self, segment: Segment) -> Assessment:
        """Return the view that one more segment would give, and take nothing in."""
        twin = fork(self)
        twin._tracks = {name: fork(detector) for name, detector in self._tracks.items()}
        return twin.feed([segment])

    def evidence(self) -> tuple[Evidence, ...]:
        """Sum up what is known of each watched party, for fusion and for tuning it."""
        return tuple(detector.evidence() for detector in self._tracks.values())

    def _take(self, segment: Segment) -> int:
        speaker = self._track_of(segment.speaker)
        spent = 0
        for name, detector in self._tracks.items():
            role = WATCHED if name == speaker else OURS
            view = detector.feed([msgspec.structs.replace(segment, speaker=role)])
            self._views[name] = view
            spent += view.processing_us
        self._before = segment
        riskiest = max(self._views.values(), key=lambda view: view.risk, default=self._last)
        self._last = msgspec.structs.replace(riskiest, through=segment.number)
        return spent

    def _track_of(self, speaker: str) -> str:
        """Return the track that watches this speaker, "" for our agent."""
        if speaker == OURS:
            return ""
        if speaker in self._tracks:
            return speaker
        if len(self._tracks) >= TRACKS_LIMIT:
            return next(reversed(self._tracks))
        detector = ScamDetector(self._model)
        if self._before is not None:  # what the new party answers to
            detector.feed([msgspec.structs.replace(self._before, speaker=OURS)])
        self._tracks[speaker] = detector
        return speaker
