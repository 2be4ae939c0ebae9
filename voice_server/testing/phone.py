"""A simulated phone and its carrier: calls a voice server as Twilio would.

    phone = Phone("https://voice.example.com/twilio/voice", auth_token="...",
                  caller=ScriptedCaller("tests/callers/leaky_tap.wav"),
                  connect_to="127.0.0.1:8080")
    report = await phone.call()
    phone.save("both_sides.wav")          # channel 0 the caller, channel 1 the agent

The phone posts the signed webhook, runs the TwiML it gets, opens the media stream, plays and
listens in steps of 20 ms, and follows the TwiML after `</Connect>` when the server closes the
socket. It reads no clock but the event loop's, so it runs in real and in virtual time.

`connect_to` says where the servers really listen when the webhook's URL is a public one: an
address for all hosts, or a mapping from public host to address. URLs are signed as they are
spelled, so they must be those the server believes to have.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TypeVar, assert_never

import httpx
import msgspec
from websockets.asyncio.client import ClientConnection

from voice_server.testing import twiml, wav
from voice_server.testing.caller import Caller
from voice_server.testing.dialling import MUSIC, Rooms, part
from voice_server.testing.dialling import dial as going_on
from voice_server.testing.faults import DialResult, Faults, Pickup, StatusCallbacks
from voice_server.testing.handshake import shake_hands
from voice_server.testing.progress import CallProgress, Party
from voice_server.testing.report import PhoneReport
from voice_server.testing.stream import MediaStream, StreamEnd, StreamNames
from voice_server.testing.tape import Tape
from voice_server.testing.webhook import Route, WebhookClient

T = TypeVar("T")

_ACCOUNT = "AC" + "0" * 31 + "1"
_ANSWERED = DialResult()
_NO_FAULTS = Faults()
_VERB_LIMIT = 50  # a redirect that leads to itself must end
_SPOKEN_PER_S = 15  # characters; how long the carrier's own voice reads


class _Ended(Exception):
    """The call is over; not an error."""

    def __init__(self, status: str, by: str) -> None:
        super().__init__(status)
        self.status = status
        self.by = by


class _Diverted(Exception):
    """Another document takes over from the one that runs; not an error."""


class _Source(msgspec.Struct, frozen=True):
    """Where a document comes from: a webhook, or the text itself."""

    url: str
    method: str = "POST"
    twiml: str = ""


class Phone:
    """One phone for one call.

    `hang_up_at_s` (since dialling) or `hang_up()` put the receiver down at any moment, also
    before anybody answered; `max_call_s` is the carrier's own limit. Give a `call_sid` to make
    all ids of two calls the same. After the call `parameters` holds what the server put into
    its last `<Stream>`.

    With a `pickup` the call goes the other way: the server has placed it, the phone rings and
    reacts so, and only then the webhook, or `twiml` in its place, says how to go on.
    """

    def __init__(
        self,
        webhook_url: str,
        *,
        auth_token: str,
        caller: Caller,
        from_number: str = "+12025550143",
        to_number: str = "+12025550100",
        connect_to: str | Mapping[str, str] | Route = "",
        call_sid: str = "",
        account_sid: str = _ACCOUNT,
        pickup: Pickup | None = None,
        twiml: str = "",
        form: Mapping[str, str] | None = None,
        status_callbacks: StatusCallbacks | None = None,
        dial: DialResult = _ANSWERED,
        rooms: Rooms | None = None,
        faults: Faults = _NO_FAULTS,
        hang_up_at_s: float | None = None,
        max_call_s: float = 4 * 3600.0,
        on_request: Callable[[str], None] = lambda _url: None,
        on_answer: Callable[[], None] = lambda: None,
    ) -> None:
        self._next: _Source | None = _Source(webhook_url, twiml=twiml)
        self._pickup = pickup
        self._auth_token = auth_token
        self._caller = caller
        self._route = Route.to(connect_to, webhook_url)
        self._party = Party(
            call_sid=call_sid or "CA" + secrets.token_hex(16),
            account_sid=account_sid,
            from_number=from_number,
            to_number=to_number,
            direction="inbound" if pickup is None else "outbound-api",
            extra=dict(form or {}),
        )
        self._plan = status_callbacks
        self._dial_result = dial
        self._rooms = rooms
        self._faults = faults
        self._hang_up_at_s = hang_up_at_s
        self._max_call_s = max_call_s
        self._on_request = on_request
        self._on_answer = on_answer
        self._tape = Tape()
        self._stream: MediaStream | None = None
        self._limit: asyncio.Timeout | None = None
        self._over: _Ended | None = None  # decided by the caller or the carrier, not obeyed yet
        self._answered_at: float | None = None
        self.parameters: dict[str, str] = {}

    @property
    def call_sid(self) -> str:
        """The carrier's id of this call."""
        return self._party.call_sid

    @property
    def answered(self) -> bool:
        """Whether the line was ever open."""
        return self._answered_at is not None

    @property
    def tracks(self) -> tuple[bytes, bytes]:
        """What was said so far in streams that are over: by the phone's owner, by the agent."""
        return bytes(self._tape.caller), bytes(self._tape.agent)

    def hang_up(self) -> None:
        """Put the phone down now, whatever is going on."""
        self._finish("caller")

    def cut(self) -> None:
        """The carrier ends the call because the server asked it to."""
        self._finish("server")

    def divert(self, url: str, method: str = "POST", *, twiml: str = "") -> None:
        """Another document takes over at once; a media stream ends with `stop`."""
        self._next = _Source(url, method, twiml)
        if self._pickup is None or self.answered:  # while it rings, the answer comes first
            self._wake()

    def save(self, path: Path | str) -> None:
        """Write what was said: channel 0 the caller, channel 1 the agent as it was heard."""
        wav.write(Path(path), bytes(self._tape.caller), bytes(self._tape.agent))

    async def call(self) -> PhoneReport:
        """Make the call and return when it and all its callbacks are over."""
        self._loop = asyncio.get_running_loop()
        timers = [self._loop.call_later(self._max_call_s, self._finish, "carrier")]
        if self._hang_up_at_s is not None:
            timers.append(self._loop.call_later(self._hang_up_at_s, self.hang_up))
        try:
            async with (
                WebhookClient(self._auth_token, self._route, self._on_request) as self._http,
                asyncio.TaskGroup() as tasks,
            ):
                self._progress = CallProgress(
                    self._http, tasks, self._party, self._plan, self._faults.status_signing
                )
                ended = await self._live()
                duration_s = self._elapsed_s()
                self._progress.report("completed", status=ended.status, duration_s=duration_s)
        finally:
            for timer in timers:
                timer.cancel()
        errors = tuple(self._progress.errors)
        return self._tape.report(
            self.call_sid, ended.status, ended.by, duration_s=duration_s, more_errors=errors
        )

    async def _live(self) -> _Ended:
        self._progress.report("initiated", status="initiated")
        self._progress.report("ringing")
        try:
            if self._pickup is not None:
                await self._ring(self._pickup)
            await self._run()
        except _Ended as ended:
            return ended
        except twiml.TwimlError as error:
            self._tape.errors.append(str(error))
            return _Ended("completed" if self._answered_at is not None else "failed", "carrier")
        if self._answered_at is None:  # an empty document is answered and hung up
            self._answer()
        return _Ended("completed", "server")

    async def _ring(self, pickup: Pickup) -> None:
        await self._interruptible(asyncio.sleep(pickup.after_s))
        if pickup.status != "answered":
            raise _Ended(pickup.status, "callee")
        self._answer()

    async def _run(self) -> None:
        """Run verbs until none is left; a redirect or an action replaces the rest."""
        verbs: list[twiml.Verb] = []
        for _ in range(_VERB_LIMIT):
            if self._over is not None:
                raise self._over
            try:
                following = await self._step(verbs)
            except _Diverted:
                continue
            if following is not None:
                verbs = list(following.verbs)
                self._tape.errors += following.warnings
            elif not verbs and self._next is None:
                return
        raise twiml.TwimlError(11215, f"11215: more than {_VERB_LIMIT} verbs; a redirect loop?")

    async def _step(self, verbs: list[twiml.Verb]) -> twiml.Document | None:
        """Fetch the document that takes over, if any, else obey the next verb."""
        source, self._next = self._next, None
        if source is not None and source.twiml:
            return twiml.parse(source.twiml.encode(), source.url)
        if source is not None:
            return await self._fetch(source.url, source.method, {})
        if not verbs:
            return None
        verb = verbs.pop(0)
        name = "Connect" if isinstance(verb, twiml.Stream) else type(verb).__name__
        self._tape.verbs.append(name)
        return await self._obey(verb)

    async def _obey(  # noqa: C901 - one flat table
        self, verb: twiml.Verb
    ) -> twiml.Document | None:
        if isinstance(verb, twiml.Reject) and self._answered_at is None:
            raise _Ended("busy" if verb.reason == "busy" else "no-answer", "server")
        if self._answered_at is None and not isinstance(verb, twiml.Redirect | twiml.Pause):
            self._answer()
        match verb:
            case twiml.Say(text):
                self._tape.said.append(text)
                await self._interruptible(asyncio.sleep(len(text) / _SPOKEN_PER_S))
            case twiml.Play():
                pass
            case twiml.Pause(length_s):
                await self._interruptible(asyncio.sleep(length_s))
            case twiml.Hangup() | twiml.Reject():
                raise _Ended("completed", "server")
            case twiml.Redirect(url, method):
                return await self._fetch(url, method, {})
            case twiml.Dial():
                return await self._dial(verb)
            case twiml.Gather():
                return await self._gather(verb)
            case twiml.Stream():
                return await self._connect(verb)
            case _:
                assert_never(verb)
        return None

    def _answer(self) -> None:
        self._answered_at = self._loop.time()
        self._on_answer()
        self._progress.report("answered")

    async def _dial(self, verb: twiml.Dial) -> twiml.Document | None:
        self._tape.dialled += verb.targets
        rooms = self._rooms
        if verb.conference is not None and rooms is not None and rooms.waits(verb.conference):
            self._tape.said.append(MUSIC)
        going = going_on(verb, self._dial_result, self._party, self._http, rooms)
        try:
            form = await self._interruptible(going)
        except _Ended as ended:
            await part(verb, self._party, ended.status, self._http)
            raise
        return await self._fetch(verb.action, verb.method, form) if verb.action else None

    async def _gather(self, verb: twiml.Gather) -> twiml.Document | None:
        await self._obey(twiml.Say(verb.text))
        key = self._pickup.presses if self._pickup is not None else ""
        if key:
            return await self._fetch(verb.action, verb.method, {"Digits": key})
        await self._interruptible(asyncio.sleep(verb.timeout_s))
        return None

    async def _connect(self, verb: twiml.Stream) -> twiml.Document | None:
        self.parameters = verb.parameters
        stream_sid = self._party.sid("MZ", self._tape.streams)
        try:
            connection = await self._interruptible(
                shake_hands(verb, self._auth_token, self._faults.media_signing, self._route)
            )
        except twiml.TwimlError as error:
            self._tape.errors.append(str(error))
            self._progress.report_stream(
                verb.status_callback, stream_sid, "stream-error", error=str(error.code)
            )
        else:
            self._progress.report_stream(verb.status_callback, stream_sid, "stream-started")
            await self._talk(connection, stream_sid, verb.parameters)
            self._progress.report_stream(verb.status_callback, stream_sid, "stream-stopped")
        if self._over is not None:
            raise self._over
        if self._next is not None:
            raise _Diverted
        return await self._fetch(verb.action, verb.method, {}) if verb.action else None

    async def _talk(
        self, connection: ClientConnection, stream_sid: str, parameters: dict[str, str]
    ) -> None:
        given = self._faults.parameters
        names = StreamNames(
            self._party.account_sid,
            self.call_sid,
            stream_sid,
            parameters if given is None else given,
        )
        offset_ms = round(self._elapsed_s() * 1000)
        stream = MediaStream(
            connection, names, self._caller, faults=self._faults, offset_ms=offset_ms
        )
        self._stream = stream
        if self._over is not None:
            stream.hang_up()
        try:
            end = await stream.run()
        finally:
            self._stream = None
            self._tape.lay(stream, offset_ms)
        diverted = self._next is not None and end is StreamEnd.HUNG_UP
        if diverted and self._over is None:
            return
        if end is StreamEnd.HUNG_UP or (end is StreamEnd.DROPPED and self._faults.drop_ends_call):
            self._over = self._over or _Ended("completed", "caller")
        elif end is StreamEnd.DROPPED or stream.close_code == 1006:
            self._tape.errors.append("31903: connection broken in mid-stream")

    async def _fetch(self, url: str, method: str, fields: Mapping[str, str]) -> twiml.Document:
        """Ask a webhook what to do. Raises TwimlError, _Ended when hung up meanwhile."""
        status = "ringing" if self._answered_at is None else "in-progress"
        form = {**self._party.form(status), **fields}
        signing = self._faults.webhook_signing
        try:
            answer = await self._interruptible(
                self._http.send(url, form, method=method, signing=signing)
            )
        except httpx.HTTPError as error:
            raise twiml.TwimlError(
                11200, f"11200: webhook failed ({type(error).__name__})"
            ) from None
        if answer.status >= 400:
            raise twiml.TwimlError(11200, f"11200: webhook answered {answer.status}")
        return twiml.parse_answer(answer.body, answer.content_type, answer.url)

    def _finish(self, by: str) -> None:
        """Note the end of the call and wake whatever is waiting."""
        status = "canceled" if self._answered_at is None else "completed"
        self._over = self._over or _Ended(status, by)
        self._wake()

    def _wake(self) -> None:
        """End whatever is waiting, so that what was decided is seen."""
        if self._stream is not None:
            self._stream.hang_up()
        elif self._limit is not None:
            with suppress(RuntimeError):  # it is just leaving by itself
                self._limit.reschedule(self._loop.time())

    async def _interruptible(self, work: Awaitable[T]) -> T:
        """Await something that a hang-up cuts short."""
        try:
            async with asyncio.timeout(None) as self._limit:
                return await work
        except TimeoutError:
            if self._over is not None:
                raise self._over from None
            if self._next is not None:
                raise _Diverted from None
            raise
        finally:
            self._limit = None

    def _elapsed_s(self) -> float:
        return 0.0 if self._answered_at is None else self._loop.time() - self._answered_at
