"""Partners of a call that are small, honest and scripted; they live in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from db.errors import RowRejected, StoreUnavailable
from db.rows import AgentRow, CallRow
from detectors.assessment import Assessment, Segment, Severity
from voice_server.call import Call, Policy
from voice_server.call import commands as c
from voice_server.call import events as e
from voice_server.call.live import LiveState
from voice_server.ports import CallFacts, ReplyRequest
from voice_server.runtime.bookkeeper import Bookkeeper
from voice_server.runtime.driver import Driver
from voice_server.runtime.services import Services

AGENT = AgentRow("agent-1", "tenant-1", "Acme", "Ann", "active", "+12025550100", "", "", "", "")
FACTS = CallFacts(
    call_id="call-1",
    agent=AGENT,
    carrier_call_id="CA1",
    caller_number="+12025550143",
    called_number="+12025550100",
    direction="inbound",
    started_at=1_700_000_000_000,
)
QUIET = b"\xff" * 160
LOUD = b"\x20\xa0" * 80
MS_PER_CHARACTER = 50
CALM = Assessment(0.1, 0.9, Severity.MINIMAL, 0, "")
PRIVATE = "my card number is 4111 1111"  # what no log may hold


class Bug(Exception):
    """Something that should never happen, with private words in its text."""


class FakeEars:
    """A recogniser that answers the n-th commit with the n-th of its transcripts."""

    def __init__(
        self,
        *transcripts: str,
        opens_after_s: float = 0,
        refuses: Exception | None = None,
        breaks: Exception | None = None,
    ) -> None:
        self.transcripts = list(transcripts)
        self.pushed: list[bytes] = []
        self.committed: list[int] = []
        self.order: list[str] = []
        self.open = False
        self._opens_after_s = opens_after_s
        self._refuses = refuses
        self._breaks = breaks
        self._heard: asyncio.Queue[e.FinalTranscript] = asyncio.Queue()

    @asynccontextmanager
    async def listen(self, facts: CallFacts) -> AsyncIterator[FakeEars]:
        await asyncio.sleep(self._opens_after_s)
        if self._refuses is not None:
            raise self._refuses
        self.open = True
        try:
            yield self
        finally:
            self.open = False

    def push(self, mulaw: bytes) -> None:
        assert self.open
        self.pushed.append(mulaw)
        self.order.append("frame")

    def commit(self, utterance: int) -> None:
        assert self.open
        self.committed.append(utterance)
        self.order.append(f"commit {utterance}")
        text = self.transcripts.pop(0) if self.transcripts else ""
        self._heard.put_nowait(e.FinalTranscript(text, utterance))

    async def __aiter__(self) -> AsyncGenerator[e.FinalTranscript, None]:
        while True:
            heard = await self._heard.get()
            if self._breaks is not None:
                raise self._breaks
            yield heard


class FakeMind:
    """Answers the n-th question with the n-th script: texts, events, waits (s) and errors."""

    def __init__(self, *scripts: Sequence[object]) -> None:
        self.scripts = list(scripts)
        self.asked: list[ReplyRequest] = []
        self.cancelled: list[e.TurnId] = []

    async def reply(self, request: ReplyRequest) -> AsyncGenerator[e.Event, None]:
        self.asked.append(request)
        script = self.scripts.pop(0) if self.scripts else ["Fine."]
        try:
            for step in script:
                match step:
                    case str():
                        yield e.ReplyText(request.turn, step)
                    case float() | int():
                        await asyncio.sleep(step)
                    case Exception():
                        raise step
                    case (str() as key, str() as name, str() as arguments):
                        yield e.ToolRequested(request.turn, key, name, arguments)
                    case _:
                        yield step  # type: ignore[misc]
        except asyncio.CancelledError:
            self.cancelled.append(request.turn)
            raise


class FakeVoice:
    """Speaks 20 characters a second, each piece after a while."""

    def __init__(self, *, first_audio_s: float = 0.2, fails: Sequence[Exception] = ()) -> None:
        self.said: list[tuple[e.TurnId, str]] = []
        self._first_audio_s = first_audio_s
        self._fails = list(fails)

    async def speak(
        self, turn: e.TurnId, pieces: AsyncIterator[str], facts: CallFacts
    ) -> AsyncGenerator[e.SpeechReady | e.Consumed, None]:
        async for piece in pieces:
            self.said.append((turn, piece))
            await asyncio.sleep(self._first_audio_s)
            if self._fails:
                raise self._fails.pop(0)
            yield e.Consumed("local.tts.characters", len(piece))
            yield e.SpeechReady(turn, b"\x10" * (8 * MS_PER_CHARACTER * len(piece)), piece)


class FakePhrases:
    """Has everything at hand, a second long; preparing takes and costs a little each."""

    def __init__(self, *, cost: int = 0) -> None:
        self.prepared: list[str] = []
        self.asked: list[str] = []
        self._cost = cost

    def audio(self, text: str) -> bytes:
        self.asked.append(text)
        return b"\x20" * 8_000

    async def prepare(
        self, texts: Sequence[str], facts: CallFacts, after: asyncio.Event
    ) -> AsyncGenerator[e.Consumed, None]:
        await after.wait()
        for text in texts:
            await asyncio.sleep(0.3)
            self.prepared.append(text)
            if self._cost:
                yield e.Consumed("phrases", self._cost)


class FakeLine:
    """Plays at the pace of the loop's clock; marks come back when played, or when cleared."""

    def __init__(self, *, breaks: Exception | None = None) -> None:
        self.feed: Callable[[e.Event], None] = lambda event: None
        self.orders: list[str] = []
        self.heard: list[tuple[float, float]] = []  # when sound began and ended
        self._loop = asyncio.get_running_loop()
        self._until = 0.0
        self._owed: dict[str, asyncio.TimerHandle] = {}
        self._breaks = breaks

    def play(self, mulaw: bytes) -> None:
        if self._breaks is not None:
            raise self._breaks
        begins = max(self._until, self._loop.time())
        self._until = begins + len(mulaw) / 8000
        self.heard.append((begins, self._until))
        self.orders.append("play")

    def mark(self, name: str) -> None:
        self.orders.append("mark")
        self._owed[name] = self._loop.call_at(max(self._until, self._loop.time()), self._back, name)

    def clear(self) -> None:
        self.orders.append("clear")
        self._until = now = self._loop.time()
        self.heard = [(begin, min(end, now)) for begin, end in self.heard if begin < now]
        for name, timer in tuple(self._owed.items()):
            timer.cancel()
            self._loop.call_soon(self._back, name)

    def hang_up(self) -> None:
        for timer in self._owed.values():
            timer.cancel()

    def _back(self, name: str) -> None:
        self._owed.pop(name, None)
        self.feed(e.MarkPlayed(name))


class EagerLine(FakeLine):
    """Returns each mark while it is being placed, from inside the order."""

    def mark(self, name: str) -> None:
        self.orders.append("mark")
        self.feed(e.MarkPlayed(name))


class FakeVoiceActivity:
    """Scores are fed by the tests, as events."""

    def __init__(self) -> None:
        self.pushed = 0
        self.closed = False
        self.score: Callable[[int], None] = lambda percent: None

    def watch(self, on_score: Callable[[int], None]) -> FakeVoiceActivity:
        self.score = on_score
        return self

    def push(self, mulaw: bytes) -> None:
        self.pushed += 1

    def close(self) -> None:
        self.closed = True


class FakeScorer:
    """Sees segments, says what it was told to say."""

    def __init__(self, *views: Assessment | Exception, takes_s: float = 0.05) -> None:
        self.batches: list[list[Segment]] = []
        self.previews: list[Segment] = []
        self.ended = False
        self._views = list(views)
        self._takes_s = takes_s

    def follow(self, facts: CallFacts) -> FakeScorer:
        return self

    async def assess(self, segments: Sequence[Segment]) -> Assessment:
        self.batches.append(list(segments))
        return await self._view()

    async def preview(self, segment: Segment) -> Assessment:
        self.previews.append(segment)
        return await self._view()

    async def _view(self) -> Assessment:
        await asyncio.sleep(self._takes_s)
        view = self._views.pop(0) if self._views else CALM
        if isinstance(view, Exception):
            raise view
        return view

    def end(self) -> None:
        self.ended = True


class FakeToolbox:
    """Answers every request alike, after a while."""

    def __init__(
        self, result: str = '{"order_id": "ORD-1"}', *, takes_s: float = 0.1,
        fails: Exception | None = None,
    ) -> None:  # fmt: skip
        self.begun: list[str] = []
        self.done: list[str] = []
        self._result = result
        self._takes_s = takes_s
        self._fails = fails

    async def run(self, facts: CallFacts, request_id: str, name: str, arguments: str) -> str:
        self.begun.append(request_id)
        await asyncio.sleep(self._takes_s)
        if self._fails is not None:
            raise self._fails
        self.done.append(request_id)
        return self._result


class FakeGuardian:
    """Remembers what it was told to warn of."""

    def __init__(self) -> None:
        self.warned: list[Assessment] = []

    async def warn(self, facts: CallFacts, assessment: Assessment) -> None:
        self.warned.append(assessment)


class FakeMirror:
    """Keeps every state it was shown."""

    def __init__(self, *, breaks: Exception | None = None) -> None:
        self.states: list[LiveState] = []
        self._breaks = breaks

    def put(self, call_id: str, state: LiveState) -> None:
        if self._breaks is not None:
            raise self._breaks
        self.states.append(state)


class FakeLog:
    """A journal in memory, whose disk may be full."""

    name = "a.journal"

    def __init__(self, *, full_after: int | None = None) -> None:
        self.entries: list[tuple[int, e.Event, tuple[c.Command, ...]]] = []
        self.closed = 0
        self._full_after = full_after

    def append(self, now: int, event: e.Event, commands: Sequence[c.Command]) -> None:
        if self._full_after is not None and len(self.entries) >= self._full_after:
            raise OSError(28, "No space left on device")
        self.entries.append((now, event, tuple(commands)))

    def close(self) -> None:
        self.closed += 1
        if self._full_after is not None:
            raise OSError(28, "No space left on device")

    def events(self, kind: type) -> list[tuple[int, e.Event]]:
        return [(now, event) for now, event, _ in self.entries if isinstance(event, kind)]


class FakeStore:
    """A database that is up, down, slow or choosy, as the test says."""

    def __init__(self) -> None:
        self.rows: list[CallRow] = []
        self.batches: list[int] = []
        self.tries = 0
        self.up = True
        self.takes_s = 0.0
        self.refuses: set[str] = set()  # call ids
        self.broken: Exception | None = None

    async def write(self, rows: Sequence[CallRow]) -> None:
        self.tries += 1
        if self.takes_s:
            await asyncio.sleep(self.takes_s)
        if self.broken is not None:
            raise self.broken
        if not self.up:
            raise StoreUnavailable("down")
        bad = tuple(index for index, row in enumerate(rows) if row.call_id in self.refuses)
        if bad:
            raise RowRejected("LineSaid", rows[bad[0]].call_id, reason="unknown", indexes=bad)
        self.rows += rows
        self.batches.append(len(rows))


class Stage:
    """A driver among fakes. Give the partners that matter; the others are well-behaved."""

    def __init__(self, policy: Policy | None = None, **partners: object) -> None:
        def part(name: str, default: object) -> object:
            return partners.pop(name, None) or default

        self.ears: FakeEars = part("ears", FakeEars())  # type: ignore[assignment]
        self.mind: FakeMind = part("mind", FakeMind())  # type: ignore[assignment]
        self.voice: FakeVoice = part("voice", FakeVoice())  # type: ignore[assignment]
        self.phrases: FakePhrases = part("phrases", FakePhrases())  # type: ignore[assignment]
        self.line: FakeLine = part("line", FakeLine())  # type: ignore[assignment]
        self.scorer: FakeScorer = part("scorer", FakeScorer())  # type: ignore[assignment]
        self.toolbox: FakeToolbox = part("toolbox", FakeToolbox())  # type: ignore[assignment]
        self.guardian: FakeGuardian = part("guardian", FakeGuardian())  # type: ignore[assignment]
        self.mirror: FakeMirror = part("mirror", FakeMirror())  # type: ignore[assignment]
        self.log: FakeLog = part("log", FakeLog())  # type: ignore[assignment]
        self.call: Call = part("call", Call(policy or Policy(greeting="Hello.")))  # type: ignore[assignment]
        assert not partners, partners
        self.activity = FakeVoiceActivity()
        self.rows: list[CallRow] = []
        services = Services(
            speech_to_text=self.ears,
            voice_activity=self.activity,
            language_model=self.mind,
            text_to_speech=self.voice,
            phrases=self.phrases,
            risk=self.scorer,
            toolbox=self.toolbox,
            guardian=self.guardian,
            mirror=self.mirror,
        )
        books = Bookkeeper(FACTS, self.rows.append, FACTS.started_at)
        self.driver = Driver(self.call, FACTS, services, self.line, books, self.log)
        self.line.feed = self.driver.feed
        self.life = asyncio.ensure_future(self.driver.run())
        self._loop = asyncio.get_running_loop()

    def start(self) -> None:
        self.driver.feed(e.MediaStarted())

    async def frames(self, mulaw: bytes, loudness: int, ms: int) -> None:
        """The caller's line sounds alike for a while."""
        for _ in range(ms // 20):
            await asyncio.sleep(0.02)
            self.driver.feed(e.AudioHeard(mulaw, loudness, int(self._loop.time() * 1000)))

    async def speak(self, ms: int = 500) -> None:
        await self.frames(LOUD, 40, ms)

    async def hush(self, ms: int = 500) -> None:
        await self.frames(QUIET, 0, ms)

    async def hang_up(self) -> None:
        """The caller puts the phone down; returns when the call has wound down."""
        self.driver.feed(e.MediaStopped(e.StopCause.CALLER_HUNG_UP))
        self.line.hang_up()
        await self.life

    def of(self, kind: type) -> list[CallRow]:
        return [row for row in self.rows if isinstance(row, kind)]
