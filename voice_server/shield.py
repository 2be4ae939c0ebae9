"""The scam shield at the call's side: detectors behind the port, off the event loop."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from copy import copy

import msgspec

from detectors import ScamDetector, ScamModel
from detectors.assessment import Assessment, Finding, Segment, Severity
from detectors.crosscall import CrossCall, Signal
from detectors.fusion import Band
from voice_server.ports import CallFacts

_TENANTS_REMEMBERED = 500
_SAID_LIMIT = 4_000  # characters of a call that are compared with others: some 700 words
_TELLING = 0.4  # a signal this strong moves the risk; weaker ones are only mentioned
_DETECTOR = "crosscall"


class ScamShield:
    """A `RiskScorer`: one model and one thread for all calls, one detector per call.

    What a tenant's finished calls had in common is remembered in this process: as sketches
    and keyed hashes, so that no number and no word can be read back.
    """

    def __init__(self, model: ScamModel) -> None:
        self.model = model
        self.pool = ThreadPoolExecutor(1, thread_name_prefix="scam")
        self._secret = secrets.token_bytes(16)
        self._memories: OrderedDict[str, CrossCall] = OrderedDict()

    def follow(self, facts: CallFacts) -> ShieldTrack:
        """Start watching one call."""
        memory = self._memories.setdefault(facts.agent.user_id, CrossCall())
        self._memories.move_to_end(facts.agent.user_id)
        while len(self._memories) > _TENANTS_REMEMBERED:
            self._memories.popitem(last=False)
        return ShieldTrack(self, memory, self._caller_key(facts.caller_number))

    def close(self) -> None:
        """Stop the thread; assessments still waiting are dropped."""
        self.pool.shutdown(wait=False, cancel_futures=True)

    def _caller_key(self, number: str) -> str:
        if not number.startswith("+"):
            return ""  # withheld: all such callers would look like one
        return hashlib.blake2b(number.encode(), key=self._secret, digest_size=12).hexdigest()


class ShieldTrack:
    """One call under the shield. Its detector runs in the shield's thread only."""

    def __init__(self, shield: ScamShield, memory: CrossCall, caller: str) -> None:
        self._pool = shield.pool
        self._detector = ScamDetector(shield.model)
        self._band = Band(shield.model.manifest.bands)
        self._memory = memory
        self._caller = caller
        self._said = ""
        self._worst = Severity.MINIMAL

    async def assess(self, segments: Sequence[Segment]) -> Assessment:
        """Take new segments, return the view after the last."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._look, segments)

    async def preview(self, segment: Segment) -> Assessment:
        """Return the view that one more segment would give, without taking it in."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._glance, segment)

    def end(self) -> None:
        """Remember the call for those to come; does not wait."""
        if self._said:
            loop = asyncio.get_running_loop()
            with suppress(RuntimeError):  # the shield is closed already: nothing comes after
                loop.run_in_executor(self._pool, self._remember)

    def _look(self, segments: Sequence[Segment]) -> Assessment:
        began = time.perf_counter_ns()
        view = self._detector.feed(segments)
        for segment in segments:
            self._said = _more(self._said, segment)
        view = self._joined(view, self._said, self._band)
        if view.severity.rank > self._worst.rank:
            self._worst = view.severity
        return _timed(view, began)

    def _glance(self, segment: Segment) -> Assessment:
        began = time.perf_counter_ns()
        view = self._detector.preview(segment)
        view = self._joined(view, _more(self._said, segment), copy(self._band))
        return _timed(view, began)

    def _joined(self, view: Assessment, said: str, band: Band) -> Assessment:
        return with_signals(view, self._memory.signals(self._caller, said), band)

    def _remember(self) -> None:
        flagged = self._worst.rank >= Severity.HIGH.rank
        self._memory.see(self._caller, self._said, flagged=flagged)


def _more(said: str, segment: Segment) -> str:
    """What the caller said so far, as much as a sketch takes in."""
    if segment.speaker != "caller" or len(said) >= _SAID_LIMIT:
        return said
    return f"{said} {segment.text}"[:_SAID_LIMIT].strip()


def _timed(view: Assessment, began_ns: int) -> Assessment:
    spent = (time.perf_counter_ns() - began_ns) // 1_000
    return msgspec.structs.replace(view, processing_us=spent)


def with_signals(view: Assessment, signals: Sequence[Signal], band: Band) -> Assessment:
    """The view with what other calls tell: strong signals are one more independent witness."""
    risk = view.risk
    for signal in signals:
        if signal.weight >= _TELLING:
            risk = 1.0 - (1.0 - risk) * (1.0 - signal.weight)
    severity = band.move(risk)
    if not signals:
        return view
    telling = any(signal.weight >= _TELLING for signal in signals)
    found = tuple(
        Finding(
            detector=_DETECTOR,
            name=signal.name,
            weight=signal.weight,
            segment=view.through,
            start=0,
            end=0,
            excerpt=f"{signal.calls} earlier calls",
        )
        for signal in signals
    )
    return msgspec.structs.replace(
        view,
        risk=risk,
        severity=severity if telling else view.severity,
        detectors=(*view.detectors, _DETECTOR) if telling else view.detectors,
        findings=(*view.findings, *found),
    )
