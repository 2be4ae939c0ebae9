"""What one frame of audio costs on its way through the server, part by part."""

from __future__ import annotations

import asyncio
import base64
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import count, cycle, islice
from pathlib import Path

from benchmarks.measure import Bench, Work
from benchmarks.trivial import LanguageModel, NoVoiceActivity, SpeechToText, TextToSpeech
from db.rows import AgentRow
from detectors import ScamModel
from voice_server.call import Call, Policy
from voice_server.call import events as e
from voice_server.call.voice_activity import loudness
from voice_server.engines.phrases import PhraseBook, Phrases
from voice_server.guardian import SmsGuardian
from voice_server.mirror.local import LocalMirror
from voice_server.ports import CallFacts
from voice_server.runtime.bookkeeper import Bookkeeper
from voice_server.runtime.driver import Driver
from voice_server.runtime.journal import Header, JournalWriter
from voice_server.runtime.services import CallLog, Services
from voice_server.shield import ScamShield
from voice_server.testing.caller import FRAME, FRAME_MS
from voice_server.testing.wav import SILENCE, read
from voice_server.twilio import wire

CALLERS = Path(__file__).resolve().parent.parent / "tests" / "callers"
FRAMES = 3_000  # one minute
_SID = "MZ" + "0" * 32
_QUIETLY = Policy(greeting="")

FACTS = CallFacts(
    call_id="call-bench",
    agent=AgentRow("agent", "tenant", "Acme", "Ann", "active", "+12025550100", "", "", "", ""),
    carrier_call_id="CA1",
    caller_number="+12025550143",
    called_number="+12025550100",
    direction="inbound",
    started_at=0,
)


class Toolbox:
    """Has no tools."""

    async def run(self, facts: CallFacts, request_id: str, name: str, arguments: str) -> str:  # noqa: ARG002
        return "{}"


class Line:
    """Leads nowhere."""

    def play(self, mulaw: bytes) -> None: ...

    def mark(self, name: str) -> None: ...

    def clear(self) -> None: ...


def services(shield: ScamShield) -> Services:
    """Collaborators that cost nothing, but for the scam shield."""
    return Services(
        speech_to_text=SpeechToText(),
        voice_activity=NoVoiceActivity(),
        language_model=LanguageModel(),
        text_to_speech=(voice := TextToSpeech()),
        phrases=Phrases(PhraseBook(voice)),
        risk=shield,
        toolbox=Toolbox(),
        guardian=SmsGuardian(None),
        mirror=LocalMirror(),
    )


def speech() -> list[bytes]:
    """A minute of a caller who talks nearly all the time."""
    voice = read(CALLERS / "book_plumbing.wav").channels[0]
    frames = [voice[at : at + FRAME] for at in range(0, len(voice) - FRAME, FRAME)]
    return list(islice(cycle(frames), FRAMES))


def silence() -> list[bytes]:
    """A minute of nothing."""
    return [SILENCE * FRAME] * FRAMES


def _heard(frames: Sequence[bytes]) -> list[e.AudioHeard]:
    return [
        e.AudioHeard(mulaw, loudness(mulaw), at)
        for mulaw, at in zip(frames, count(FRAME_MS, FRAME_MS), strict=False)
    ]


def benches(folder: Path) -> Iterator[Bench]:
    """All benches of this module; journals are written into `folder`."""
    for kind, frames in (("silence", silence()), ("speech", speech())):
        texts = [_text(mulaw, at) for at, mulaw in enumerate(frames)]
        yield Bench(f"wire decode, {kind}", "frame", FRAMES, partial(_wire, texts))
        heard = _heard(frames)
        yield Bench(f"Call.handle, {kind}", "frame", FRAMES, partial(_core, heard))
        for title, media in (("no journal", None), ("journal", False), ("with audio", True)):
            yield Bench(
                f"Driver.feed, {kind}, {title}",
                "frame",
                FRAMES,
                partial(_driver, heard, folder, media),
            )
        for media in (False, True):
            yield Bench(
                f"Journal.append, {kind}, {'with' if media else 'without'} audio",
                "frame",
                FRAMES,
                partial(_journal, heard, folder, media),
            )


def _text(mulaw: bytes, number: int) -> str:
    payload = base64.b64encode(mulaw).decode()
    return (
        f'{{"event":"media","sequenceNumber":"{number + 2}","media":{{"track":"inbound",'
        f'"chunk":"{number + 1}","timestamp":"{number * FRAME_MS}","payload":"{payload}"}},'
        f'"streamSid":"{_SID}"}}'
    )


def _wire(texts: Sequence[str]) -> Work:
    def work() -> None:
        for text in texts:
            wire.hear(text, _SID)

    return work


def _core(heard: Sequence[e.AudioHeard]) -> Work:
    call = Call(_QUIETLY)
    call.handle(e.MediaStarted(), 0)

    def work() -> None:
        handle = call.handle
        for event in heard:
            handle(event, event.media_ms)

    return work


def new_journal(folder: Path, *, media: bool) -> JournalWriter:
    """A journal in a file of its own."""
    path = Path(tempfile.mkdtemp(dir=folder)) / "call.journal"
    return JournalWriter(path, Header(FACTS, _QUIETLY, media))


def _journal(heard: Sequence[e.AudioHeard], folder: Path, media: bool) -> Work:
    journal = new_journal(folder, media=media)

    def work() -> None:
        for event in heard:
            journal.append(event.media_ms, event, ())
        journal.close()

    return work


_shield = ScamShield(ScamModel.load())


class _Clock(asyncio.SelectorEventLoop):
    """A loop that stands still, with a clock to be set."""

    now = 0.0

    def time(self) -> float:
        return self.now


def _driver(heard: Sequence[e.AudioHeard], folder: Path, media: bool | None) -> Work:
    """`feed` is synchronous: the loop that would run the call's slow work stands still."""
    journal = None if media is None else new_journal(folder, media=media)

    async def make() -> Driver:
        books = Bookkeeper(FACTS, lambda _row: None, 0)
        log: CallLog | None = journal
        return Driver(Call(_QUIETLY), FACTS, services(_shield), Line(), books, log)

    loop = _Clock()
    driver = loop.run_until_complete(make())
    driver.feed(e.MediaStarted())

    def work() -> None:
        for event in heard:
            loop.now += FRAME_MS / 1000
            driver.feed(event)
        if journal is not None:
            journal.close()
        loop.close()

    return work
