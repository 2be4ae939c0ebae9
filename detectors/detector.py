"""The scam detector of one call: takes segments as they are said, gives its view at once."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from detectors.assessment import Assessment, Finding, Prediction, Segment, Severity, independent
from detectors.behaviour import Timeline
from detectors.classifier import Classifier, Memory, Reader
from detectors.fork import fork
from detectors.fusion import Band, Evidence, fuse, sigmoid
from detectors.heads import HEADS, Heads, Leaning
from detectors.kinds import (
    TACTICS,
    TYPES,
    blended_type,
    learned_tactics,
    scam_type,
    tactics,
)
from detectors.patterns import (
    Match,
    Utterance,
    evidence,
    find_combinations,
    find_keywords,
    find_phrases,
    points,
    sum_within_tactics,
    tells_of_a_call,
)
from detectors.phrases import Phrase, Tactic
from models.scam.features import content_words
from models.scam.manifest import FOLDER, Manifest, ModelError, read_kinds, read_manifest, read_model

TEXT_LIMIT = 8_000  # characters of a segment that are looked at: ten minutes of speech
FINDINGS_LIMIT = 48
SETTLED_WORDS = 24  # of a party before it can be CRITICAL: two utterances, time for a question
REPORT_UTTERANCES = 3  # how long a report of somebody else's words is taken to go on
# Half of what is said in English on the phone are words like these, and hardly a tenth of what is
# said in another language.
_ENGLISH_WORDS = (
    "i you he she it we they me him them my your his her its our their this that these those "
    "the a an is are was were be been am do does did have has had will would can could should "
    "im youre its thats ill dont cant not no yes and or but if so to of in on at for with from "
    "about as by what who how when where which there here just up out all some any get got go "
    "please thank thanks okay ok know need call want"
)
ENGLISH = frozenset(_ENGLISH_WORDS.split())
ENGLISH_SHARE = 0.3


class ScamModel:
    """The loaded model, shared by the detectors of all calls and safe to share by threads."""

    __slots__ = ("classifier", "heads", "manifest", "version")

    def __init__(self, classifier: Reader, manifest: Manifest, heads: Heads | None = None) -> None:
        self.classifier = classifier
        self.heads = heads  # None: kinds and tactics are told from phrases alone
        self.manifest = manifest
        self.version = manifest.model_version

    @classmethod
    def load(cls, folder: Path = FOLDER) -> ScamModel:
        """Read and verify the shipped model; raises `models.scam.manifest.ModelError`."""
        manifest = read_manifest(folder)
        return cls(
            Classifier(read_model(manifest, folder)), manifest, _load_heads(manifest, folder)
        )


def _load_heads(manifest: Manifest, folder: Path) -> Heads | None:
    kinds = manifest.kinds
    if kinds is None:
        return None
    unknown = {*kinds.types} - TYPES | {*kinds.tactics} - TACTICS
    if unknown:
        raise ModelError(
            f"{kinds.file} of the scam model names what this version does not know "
            f"({', '.join(sorted(unknown))}); reinstall the package or run: "
            "voice-server train scam --data DIR"
        )
    return Heads(read_kinds(kinds, folder), kinds)


class ScamDetector:
    """Follows one call. Not for use by two threads at once; keep one per call.

    An utterance costs the same however long the call has been.
    """

    __slots__ = (
        "_band",
        "_best",
        "_carried",
        "_combined",
        "_english",
        "_findings",
        "_keywords",
        "_last",
        "_leaning",
        "_margin",
        "_memory",
        "_model",
        "_report_left",
        "_telling",
        "_timeline",
        "_words",
    )
    __copy__ = fork

    def __init__(self, model: ScamModel) -> None:
        self._model = model
        self._memory = Memory()
        self._timeline = Timeline()
        self._band = Band(model.manifest.bands)
        self._best: dict[str, tuple[Phrase, float]] = {}
        self._findings: dict[tuple[str, str], Finding] = {}
        self._combined: dict[str, float] = {}
        self._keywords: dict[str, float] = {}  # heard outside phrases
        self._carried: tuple[str, ...] = ()
        self._margin: float | None = None
        self._leaning: Leaning | None = None
        self._report_left = self._words = self._telling = self._english = 0
        self._last = Assessment(0.0, 0.0, Severity.MINIMAL, -1, "", model_version=model.version)

    def feed(self, segments: Sequence[Segment]) -> Assessment:
        """Take new segments in order and return the view after the last.

        Only the caller's words are evidence; the agent's set the scene. Without segments
        the previous view is returned.
        """
        if not segments:
            return self._last
        began = time.perf_counter_ns()
        for segment in segments:
            self._take(segment)
        spent = (time.perf_counter_ns() - began) // 1_000
        self._last = msgspec.structs.replace(self._last, processing_us=spent)
        return self._last

    def preview(self, segment: Segment) -> Assessment:
        """Return the view that one more segment would give, and take nothing in.

        For words that the recogniser may still take back.
        """
        return fork(self).feed([segment])

    def evidence(self) -> Evidence:
        """Sum up what is known so far, for fusion and for tuning it."""
        return Evidence(
            margin=self._margin,
            pattern=sum_within_tactics(self._tactics()) + sum(map(points, self._combined.values())),
            keyword=sum(points(weight) for weight in self._keywords.values()),
            behaviour=sum(
                points(finding.weight)
                for (detector, _), finding in self._findings.items()
                if detector == "behaviour"
            ),
            caller_words=self._telling,
            english=min(1.0, self._english / (ENGLISH_SHARE * max(1, self._words))),
            other_words=self._timeline.other_words,
        )

    def _take(self, segment: Segment) -> None:
        if len(segment.text) > TEXT_LIMIT:
            segment = msgspec.structs.replace(segment, text=segment.text[:TEXT_LIMIT])
        if segment.speaker == "caller":
            self._hear_caller(Utterance(segment, self._carried))
        else:
            self._timeline.agent_spoke(Utterance(segment))
        self._last = self._view(segment.number)

    def _hear_caller(self, utterance: Utterance) -> None:
        self._carried = utterance.tail()
        self._words += len(utterance.words)
        self._telling += len(content_words(word.plain for word in utterance.words))
        self._english += sum(word.plain in ENGLISH for word in utterance.words)
        if tells_of_a_call(utterance):
            self._report_left = REPORT_UTTERANCES
        reported = self._report_left > 0
        self._report_left -= reported
        matches = find_phrases(utterance, reported=reported)
        for match in matches:
            self._remember_phrase(match)
        self._hear_keywords(utterance, matches, counted=not reported)
        if matches:
            self._combine(utterance)
        pressing = frozenset(match.phrase.tactic for match in matches)
        for finding in self._timeline.caller_spoke(utterance, pressing):
            self._remember(finding)
        self._read(utterance)

    def _combine(self, utterance: Utterance) -> None:
        for combination in find_combinations(self._tactics()):
            if combination.name not in self._combined:
                self._combined[combination.name] = combination.weight
                whole = (combination.name, combination.weight, 0, len(utterance.segment.text))
                self._remember(evidence(utterance.segment, "pattern", *whole))

    def _tactics(self) -> list[tuple[Tactic, float]]:
        return [(phrase.tactic, weight) for phrase, weight in self._best.values()]

    def _hear_keywords(
        self, utterance: Utterance, matches: Sequence[Match], *, counted: bool
    ) -> None:
        """Show every keyword; count those that are not already part of a phrase."""
        spans = [(match.finding.start, match.finding.end) for match in matches]
        for finding in find_keywords(utterance):
            self._remember(finding)
            if counted and not any(start <= finding.start < end for start, end in spans):
                self._keywords[finding.name] = finding.weight

    def _remember_phrase(self, match: Match) -> None:
        known = self._best.get(match.phrase.name)
        if known is None or match.finding.weight > known[1]:
            self._best[match.phrase.name] = (match.phrase, match.finding.weight)
        self._remember(match.finding)

    def _remember(self, finding: Finding) -> None:
        key = (finding.detector, finding.name)
        known = self._findings.get(key)
        if known is None or finding.weight > known.weight:
            self._findings[key] = finding

    def _read(self, utterance: Utterance) -> None:
        step = self._memory.step([word.plain for word in utterance.words])
        if not self._memory.heard:
            return
        (reading,) = self._model.classifier.read([step])
        self._memory.keep(reading)
        if self._model.heads is not None:
            self._leaning = self._model.heads.read(step, self._leaning)
        self._margin = reading.margin
        chance = self._chance()
        if chance > 0.5 and ("classifier", "scam_language") not in self._findings:
            text = utterance.segment.text
            self._remember(
                evidence(utterance.segment, "classifier", "scam_language", chance, 0, len(text))
            )

    def _chance(self) -> float:
        return sigmoid(self._margin or 0.0)

    def _view(self, through: int) -> Assessment:
        manifest = self._model.manifest
        verdict = fuse(self.evidence(), manifest.fusion)
        sure = independent(verdict.detectors) >= 2 and self._words >= SETTLED_WORDS
        severity = self._band.move(verdict.risk, Severity.CRITICAL if sure else Severity.HIGH)
        odd = severity is not Severity.MINIMAL
        return Assessment(
            risk=verdict.risk,
            confidence=verdict.confidence,
            severity=severity,
            through=through,
            scam_type=self.scam_type() if odd else "",
            tactics=self.tactics() if odd else (),
            detectors=verdict.detectors,
            findings=self._strongest(),
            predictions=(*self._predictions(verdict.risk), *(self._learned() if odd else ())),
            model_version=self._model.version,
        )

    def scam_type(self) -> str:
        """Name the kind of scam that this is, if it is one."""
        totals: dict[str, float] = {}
        for phrase, weight in self._best.values():
            if phrase.scam_type:
                totals[phrase.scam_type] = totals.get(phrase.scam_type, 0.0) + points(weight)
        if self._leaning is None:
            return scam_type(totals)
        return blended_type(totals, self._leaning)

    def tactics(self) -> tuple[str, ...]:
        """Name the tactics at work, if this is a scam: what can be shown before what is learned."""
        return (*self._shown_tactics(), *self._learned_tactics())

    def _shown_tactics(self) -> tuple[str, ...]:
        behaviour = [name for detector, name in self._findings if detector == "behaviour"]
        return tactics(self._best.values(), behaviour)

    def _learned_tactics(self) -> tuple[str, ...]:
        """Name what the heads hear and no finding shows."""
        if self._leaning is None:
            return ()
        shown = self._shown_tactics()
        return tuple(name for name in learned_tactics(self._leaning) if name not in shown)

    def _learned(self) -> tuple[Prediction, ...]:
        """Say what is named on the word of the heads: kind, and tactics that no finding shows."""
        if self._leaning is None:
            return ()
        odds = {**self._leaning.types, **self._leaning.tactics}
        names = (self.scam_type(), *self._learned_tactics())
        return tuple(Prediction(HEADS, name, sigmoid(odds[name])) for name in names if name in odds)

    def _strongest(self) -> tuple[Finding, ...]:
        """Return the evidence so far, the strongest pieces when there is too much, in order."""
        ranked = sorted(self._findings.values(), key=lambda finding: -finding.weight)
        kept = sorted(ranked[:FINDINGS_LIMIT], key=lambda finding: (finding.segment, finding.start))
        return tuple(kept)

    def _predictions(self, risk: float) -> tuple[Prediction, ...]:
        fused = Prediction("fusion", "scam", risk)
        if self._margin is None:
            return (fused,)
        return (Prediction("classifier", "scam", self._chance()), fused)
