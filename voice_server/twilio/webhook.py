"""Twilio's webhooks: who calls, what comes next, how calls stand."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeAlias, assert_never
from weakref import WeakValueDictionary

import msgspec
from starlette.responses import Response
from starlette.types import Scope

from voice_server.errors import Refused, ServiceError
from voice_server.ports import CallId
from voice_server.telemetry import Metrics
from voice_server.twilio import twiml
from voice_server.twilio.address import (
    AFTER_PATH,
    ATTEMPT_FIELD,
    CALL_FIELD,
    HUMAN_PATH,
    HUMAN_STATUS_PATH,
    MEDIA_PATH,
    SINCE_FIELD,
    STATUS_PATH,
    Address,
    of_attempt,
    of_seat,
)
from voice_server.twilio.desk import (
    AfterStream,
    Attempt,
    CarrierStatus,
    Desk,
    Dial,
    Dialled,
    HangUp,
    Hold,
    MachineVerdict,
    Reconnect,
    Recorded,
    Ringing,
    Seat,
    StatusChange,
)
from voice_server.twilio.status import Stale, StatusBook, number
from voice_server.twilio.tokens import MediaTokens

ADMIT_LIMIT_S: Final = 10.0  # Twilio gives a webhook about 15 s
_REMEMBERED: Final = 10_000

_BUSY: Final = (
    "We are sorry, we cannot take your call right now. Please try again in a few minutes."
)
_TOO_LATE: Final = "Thank you. The call is no longer waiting."
_PRESS: Final = "Press 1 to take the call."
_YES: Final = "1"
_ANSWERED: Final = frozenset({"completed", "answered"})
_OUR_ID: Final = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_WORD: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_CALL_SID: Final = re.compile(r"[A-Za-z0-9]{1,64}")
_STREAM_EVENTS: Final = frozenset({"stream-started", "stream-stopped", "stream-error"})
_ERROR_CODE: Final = re.compile(r"3[0-9]{4}")

Fields: TypeAlias = Mapping[str, str]
Answer: TypeAlias = Callable[[Scope, Fields], Awaitable[Response]]

log = logging.getLogger(__name__)


class Admissions:
    """Asks the desk once per call, however often Twilio repeats its webhook.

    Remembers the newest `capacity` calls. A refusal is not remembered: the next try may
    find a free line.
    """

    __slots__ = ("_capacity", "_desk", "_known", "_locks")

    def __init__(self, desk: Desk, capacity: int = _REMEMBERED) -> None:
        self._desk = desk
        self._capacity = capacity
        self._known: dict[str, CallId] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def admit(self, ringing: Ringing) -> CallId:
        """The call's id; raises `Refused`, or TimeoutError when the desk takes too long."""
        async with asyncio.timeout(ADMIT_LIMIT_S):
            lock = self._locks.setdefault(ringing.carrier_call_id, asyncio.Lock())
            async with lock:
                known = self._known.get(ringing.carrier_call_id)
                return known if known is not None else await self._ask(ringing)

    async def _ask(self, ringing: Ringing) -> CallId:
        call_id = await self._desk.admit(ringing)
        if len(self._known) >= self._capacity:
            del self._known[next(iter(self._known))]
        self._known[ringing.carrier_call_id] = call_id
        return call_id


class Webhooks:
    """Answers the webhooks with TwiML, which is all that Twilio understands.

    `drop_stream` is told the CallSid of a stream that Twilio has left.
    """

    __slots__ = ("_address", "_admissions", "_clock", "_desk", "_drop_stream", "_metrics",
                 "_statuses", "_tokens")  # fmt: skip

    def __init__(
        self,
        desk: Desk,
        address: Address,
        tokens: MediaTokens,
        metrics: Metrics,
        *,
        clock: Callable[[], float],
        drop_stream: Callable[[str], None],
    ) -> None:
        self._desk = desk
        self._address = address
        self._tokens = tokens
        self._metrics = metrics
        self._clock = clock
        self._drop_stream = drop_stream
        self._admissions = Admissions(desk)
        self._statuses = StatusBook()

    async def voice(self, scope: Scope, fields: Fields) -> Response:
        """A call wants to be answered."""
        ringing = parse_ringing(fields)
        try:
            call_id = await self._admissions.admit(ringing)
        except Refused as refusal:
            self._metrics.calls_refused.labels(refusal.status).inc()
            log.info("call refused", extra={"status": refusal.status})
            return _xml(_refusal(refusal, ringing))
        except (ServiceError, TimeoutError) as error:
            self._metrics.calls_refused.labels(503).inc()
            log.error("call could not be admitted", extra={"error": type(error).__name__})
            return _xml(twiml.hang_up(_BUSY))
        return _xml(self._connect(scope, ringing.carrier_call_id, call_id))

    async def after(self, scope: Scope, fields: Fields) -> Response:
        """A stream or a dial is over and the call wants to know how to go on."""
        carrier_call_id = _call_sid(fields)
        dialled = fields.get("DialCallStatus")
        if dialled is None:
            self._drop_stream(carrier_call_id)
        else:
            self._note_leaving(carrier_call_id, fields)
        if _is_over(fields):
            self._note_status(carrier_call_id, fields)
            return _xml(twiml.hang_up())
        if dialled is not None:
            return await self._after_dial(scope, fields, _dialled(dialled, fields))
        try:
            step = await self._desk.after_stream(carrier_call_id)
        except Refused:
            step = HangUp()
        return _xml(self._go_on(scope, carrier_call_id, step, ""))

    async def back(self, scope: Scope, fields: Fields) -> Response:
        """A caller on hold is fetched back: nobody took the call."""
        self._note_leaving(_call_sid(fields), fields)
        return await self._after_dial(scope, fields, Dialled(answered=False))

    async def _after_dial(self, scope: Scope, fields: Fields, dialled: Dialled) -> Response:
        try:
            step = await self._desk.after_dial(_attempt(fields), dialled)
        except Refused:
            step = HangUp()
        last_words = "" if dialled.answered else twiml.NOBODY
        return _xml(self._go_on(scope, _call_sid(fields), step, last_words))

    def _note_leaving(self, carrier_call_id: str, fields: Fields) -> None:
        since_ms = number(fields.get(SINCE_FIELD, ""))
        if since_ms > 0:  # else it was no conference
            self._desk.left(Seat(_attempt(fields), since_ms), carrier_call_id)

    async def human(self, scope: Scope, fields: Fields) -> Response:
        """A human who was rung has picked up, has pressed a key, or has talked to the caller."""
        if "DialCallStatus" in fields:
            self._note_leaving(_call_sid(fields), fields)
            return _xml(twiml.hang_up())
        attempt, key = _attempt(fields), fields.get("Digits")
        if key is not None:
            seat = await self._desk.accept(attempt) if key == _YES else None
            if seat is None:
                return _xml(twiml.hang_up(_TOO_LATE))
            after_url = of_seat(self._address.http(scope, HUMAN_PATH), seat)
            return _xml(twiml.join(seat.room, after_url=after_url))
        if not (words := await self._desk.whisper(attempt)):
            return _xml(twiml.hang_up(_TOO_LATE))
        accept_url = of_attempt(self._address.http(scope, HUMAN_PATH), attempt)
        return _xml(twiml.whisper(f"{words} {_PRESS}", accept_url=accept_url))

    async def human_status(self, scope: Scope, fields: Fields) -> Response:  # noqa: ARG002
        """The leg of a human who was rung moved on."""
        change = self._statuses.enter(_call_sid(fields), fields)
        if not isinstance(change, Stale):
            await self._desk.human_moved(_attempt(fields), change)
        return Response(status_code=204)

    async def status(self, scope: Scope, fields: Fields) -> Response:  # noqa: ARG002
        """A call or its stream moved on."""
        carrier_call_id = _call_sid(fields)
        event = fields.get("StreamEvent")
        if event is not None:
            self._note_stream_event(event, fields.get("StreamError", ""))
        else:
            self._note_status(carrier_call_id, fields)
        return Response(status_code=204)

    def _note_status(self, carrier_call_id: str, fields: Fields) -> None:
        change = self._statuses.enter(carrier_call_id, fields)
        if isinstance(change, Stale):
            self._metrics.status_callbacks.labels(change).inc()
        else:
            self._metrics.status_callbacks.labels("news").inc()
            self._desk.status_changed(_named(change, fields))

    async def machine(self, scope: Scope, fields: Fields) -> Response:  # noqa: ARG002
        """Answering-machine detection has a verdict."""
        verdict = MachineVerdict(
            carrier_call_id=_call_sid(fields),
            call_id=_call_id(fields),
            answered_by=_word(fields, "AnsweredBy"),
            took_ms=max(number(fields.get("MachineDetectionDuration", "")), 0),
        )
        self._desk.machine_detected(verdict)
        return Response(status_code=204)

    async def recording(self, scope: Scope, fields: Fields) -> Response:  # noqa: ARG002
        """A recording is ready, or there will be none."""
        recorded = Recorded(
            carrier_call_id=_call_sid(fields),
            call_id=_call_id(fields),
            recording_id=_word(fields, "RecordingSid"),
            status=_word(fields, "RecordingStatus"),
            duration_s=max(number(fields.get("RecordingDuration", "")), 0),
            channels=max(number(fields.get("RecordingChannels", "")), 1),
        )
        self._desk.recorded(recorded)
        return Response(status_code=204)

    def _connect(self, scope: Scope, carrier_call_id: str, call_id: CallId) -> str:
        return twiml.connect_stream(
            media_url=self._address.socket(scope, MEDIA_PATH),
            status_url=self._address.http(scope, STATUS_PATH),
            after_url=self._address.http(scope, AFTER_PATH),
            call_id=call_id,
            token=self._tokens.issue(carrier_call_id, call_id, self._clock()),
        )

    def _go_on(self, scope: Scope, carrier_call_id: str, step: AfterStream, last_words: str) -> str:
        match step:
            case HangUp():
                return twiml.hang_up(last_words)
            case Dial(number, attempt):
                after_url = of_attempt(self._address.http(scope, AFTER_PATH), attempt)
                status_url = of_attempt(self._address.http(scope, HUMAN_STATUS_PATH), attempt)
                return twiml.dial(number, after_url=after_url, status_url=status_url)
            case Hold(seat):
                after_url = of_seat(self._address.http(scope, AFTER_PATH), seat)
                return twiml.hold(seat.room, after_url=after_url)
            case Reconnect(call_id):
                return self._connect(scope, carrier_call_id, call_id)
        assert_never(step)

    def _note_stream_event(self, event: str, error: str) -> None:
        name = event if event in _STREAM_EVENTS else "other"
        code = error if _ERROR_CODE.fullmatch(error) else ""
        self._metrics.stream_events.labels(name, code).inc()
        if name == "stream-error":
            log.warning("twilio lost a media stream", extra={"twilio_error": code or "unnamed"})


def parse_ringing(fields: Fields) -> Ringing:
    """Read the voice webhook; only the CallSid must be there."""
    inbound = fields.get("Direction", "inbound") == "inbound"
    return Ringing(
        carrier_call_id=_call_sid(fields),
        caller_number=fields.get("From", ""),
        called_number=fields.get("To", ""),
        direction="inbound" if inbound else "outbound",
        status=fields.get("CallStatus", ""),
        account=fields.get("AccountSid", ""),
        call_id=_call_id(fields),
    )


def _dialled(status: str, fields: Fields) -> Dialled:
    sid = fields.get("DialCallSid", "")
    return Dialled(
        answered=status in _ANSWERED,
        human_id=sid if _CALL_SID.fullmatch(sid) else "",
        duration_s=number(fields.get("DialCallDuration", "")),
    )


def _named(change: StatusChange, fields: Fields) -> StatusChange:
    call_id = _call_id(fields)
    return msgspec.structs.replace(change, call_id=call_id) if call_id else change


def _call_id(fields: Fields) -> CallId:
    """Our own id of a call, "" where the webhook's URL does not name it."""
    call_id = fields.get(CALL_FIELD, "")
    return call_id if _OUR_ID.fullmatch(call_id) else ""


def _attempt(fields: Fields) -> Attempt:
    """The attempt that a webhook's URL names; one that nobody knows where it names none."""
    return Attempt(_call_id(fields), max(number(fields.get(ATTEMPT_FIELD, "")), 0))


def _word(fields: Fields, name: str) -> str:
    word = fields.get(name, "")
    if not _WORD.fullmatch(word):
        raise Refused(f"{name}: missing or not a word of Twilio's", status=400)
    return word


def _call_sid(fields: Fields) -> str:
    sid = fields.get("CallSid", "")
    if not _CALL_SID.fullmatch(sid):
        raise Refused("CallSid: missing or not a Twilio id", status=400)
    return sid


def _is_over(fields: Fields) -> bool:
    try:
        return CarrierStatus(fields.get("CallStatus", "")).is_final
    except ValueError:
        return False


def _refusal(refusal: Refused, ringing: Ringing) -> str:
    if refusal.status in {403, 404}:
        # Whom we have called by mistake is not told that we are busy.
        return twiml.reject("rejected") if ringing.direction == "inbound" else twiml.hang_up()
    return twiml.hang_up(_BUSY)


def _xml(document: str) -> Response:
    return Response(document, media_type="application/xml")
