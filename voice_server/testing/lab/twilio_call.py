"""One call that the simulated Twilio was asked to place, from its queue to its price."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

import httpx

from voice_server.testing import wav
from voice_server.testing.caller import Caller
from voice_server.testing.dialling import Rooms
from voice_server.testing.faults import DialResult, Pickup, StatusCallbacks
from voice_server.testing.lab.twilio_shapes import API, ApiProblem, rfc2822
from voice_server.testing.phone import Phone
from voice_server.testing.report import PhoneReport
from voice_server.testing.webhook import Route, WebhookClient

OUTBOUND = "twilio.voice_outbound.minutes"
INBOUND = "twilio.voice_inbound.minutes"
CONFERENCE = "twilio.conference.minutes"
STREAMS = "twilio.media_stream.minutes"
DETECTION = "twilio.amd.calls"
RECORDED = "twilio.recording.minutes"
_MICRO_USD_A_MINUTE = {OUTBOUND: 14_000, INBOUND: 8_500}
_ENDED = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})


class Behaviour(Protocol):
    """What is on the other end of a call, chosen per call."""

    pickup: Pickup
    caller: Caller
    delay_s: float
    copies: int
    reversed: bool
    dial: DialResult
    late_news: bool


class World(Protocol):
    """What a call needs of the simulated carrier."""

    account_sid: str
    auth_token: str
    route: Route
    meter: Counter[str]
    price_after_s: float
    rooms: Rooms

    def now(self) -> datetime: ...

    def note(self, moment: str, call_sid: str) -> None: ...

    def recording_url(self, recording_sid: str) -> str: ...


class LabRecording:
    """One recording of a call; it has audio once the call is over."""

    def __init__(self, sid: str, call: LabCall, begin_s: float, source: str) -> None:
        self.sid = sid
        self.call = call
        self.begin_s = begin_s
        self.end_s: float | None = None
        self.status = "in-progress"
        self.source = source
        self.channels = 1
        self.callback = ""
        self.media = b""
        self.duration_s = -1

    @property
    def resource(self) -> dict[str, Any]:
        """As the API shows it."""
        return {
            "sid": self.sid,
            "account_sid": self.call.world.account_sid,
            "call_sid": self.call.sid,
            "status": self.status,
            "channels": self.channels,
            "source": self.source,
            "duration": str(self.duration_s),
            "api_version": "2010-04-01",
            "price": None,
            "price_unit": "USD",
            "uri": f"{API}/{self.call.world.account_sid}/Recordings/{self.sid}.json",
        }


class LabCall:
    """One call, placed by a client or `inbound`. `live` runs it; all else may be asked any time."""

    def __init__(
        self,
        sid: str,
        form: Mapping[str, str],
        events: tuple[str, ...],
        behaviour: Behaviour,
        world: World,
        *,
        inbound: bool = False,
    ) -> None:
        self.sid = sid
        self.form = form
        self.world = world
        self.behaviour = behaviour
        self.item = INBOUND if inbound else OUTBOUND
        self.created_at = world.now()
        self.started_at: datetime | None = None
        self.ended_at: datetime | None = None
        self.queue_ms = 0
        self.answered_by: str | None = None
        self.price: str | None = None
        self.report: PhoneReport | None = None
        self.recordings: list[LabRecording] = []
        self.webhooks: list[str] = []
        self._canceled = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._answered_at = 0.0
        url = form.get("Url", "")
        plan = StatusCallbacks(
            form.get("StatusCallback", ""),
            events or ("completed",),
            behaviour.delay_s,
            behaviour.copies,
            behaviour.reversed,
        )
        self.phone = Phone(
            url,
            auth_token=world.auth_token,
            account_sid=world.account_sid,
            caller=behaviour.caller,
            pickup=None if inbound else behaviour.pickup,
            twiml=form.get("Twiml", "") if not url else "",
            from_number=form["From"],
            to_number=form["To"],
            connect_to=world.route,
            call_sid=sid,
            status_callbacks=plan if plan.url else None,
            dial=behaviour.dial,
            rooms=world.rooms,
            max_call_s=float(form.get("TimeLimit", 14_400)) + behaviour.pickup.after_s,
            on_request=self._requested,
            on_answer=self._picked_up,
        )

    @property
    def status(self) -> str:
        """In the words of the REST API."""
        if self.report is not None:
            return self.report.status
        if self._canceled.is_set():
            return "canceled"
        if self.started_at is None:
            return "queued"
        return "in-progress" if self.phone.answered else "ringing"

    @property
    def resource(self) -> dict[str, Any]:
        """As the API shows it."""
        base = f"{API}/{self.world.account_sid}/Calls/{self.sid}"
        over = self.report is not None
        return {
            "sid": self.sid,
            "account_sid": self.world.account_sid,
            "api_version": "2010-04-01",
            "status": self.status,
            "direction": "inbound" if self.item == INBOUND else "outbound-api",
            "to": self.form["To"],
            "to_formatted": self.form["To"],
            "from": self.form["From"],
            "from_formatted": self.form["From"],
            "parent_call_sid": None,
            "answered_by": self.answered_by,
            "date_created": rfc2822(self.created_at),
            "date_updated": rfc2822(self.ended_at or self.started_at or self.created_at),
            "start_time": rfc2822(self.started_at),
            "end_time": rfc2822(self.ended_at),
            "duration": str(round(self.report.duration_s)) if over and self.report else None,
            "price": self.price,
            "price_unit": "USD",
            "queue_time": str(self.queue_ms),
            "uri": f"{base}.json",
            "subresource_uris": {"recordings": f"{base}/Recordings.json"},
        }

    def update(self, form: Mapping[str, str]) -> None:
        """Change a live call. Raises ApiProblem 21220 for one that is over."""
        if self.status in _ENDED:
            raise ApiProblem(400, 21220)
        status = form.get("Status", "")
        if status == "canceled" and self.phone.answered:
            raise ApiProblem(400, 21220)
        if status and self.started_at is None:
            self._canceled.set()  # in the queue: it never rings, and no callback tells
            self.ended_at = self.world.now()
        elif status:
            self.phone.cut()
        elif form.get("Url") or form.get("Twiml"):
            url = form.get("Url", "")
            twiml = "" if url else form.get("Twiml", "")
            self.phone.divert(url, form.get("Method", "POST"), twiml=twiml)
        else:
            raise ApiProblem(400, 21218)

    async def live(self, slot_at: float) -> None:
        """Wait for a free slot, then be a call."""
        try:
            async with asyncio.timeout_at(slot_at):
                await self._canceled.wait()
            return
        except TimeoutError:
            self.queue_ms = round(max(0.0, slot_at - self._asked_at()) * 1000)
        self.started_at = self.world.now()
        self.world.note("ringing", self.sid)
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(self._detect())
            self.report = await self.phone.call()
            watching.cancel()
        self.ended_at = self.world.now()
        self._bill(self.report)
        await self._finish_recordings()
        await asyncio.sleep(self.world.price_after_s)
        minutes = started_minutes(self.report.duration_s) if self.phone.answered else 0
        self.price = f"-{minutes * _MICRO_USD_A_MINUTE[self.item] / 1_000_000:.5f}"

    def elapsed_s(self) -> float:
        """Seconds since the answer."""
        return self._loop.time() - self._answered_at if self.phone.answered else 0.0

    def _asked_at(self) -> float:
        return self._loop.time() - (self.world.now() - self.created_at).total_seconds()

    def _requested(self, url: str) -> None:
        self.webhooks.append(url)
        self.world.note("webhook", self.sid)

    def _picked_up(self) -> None:
        self._answered_at = self._loop.time()
        self.world.note("answered", self.sid)

    async def _detect(self) -> None:
        """Listen for a machine and tell, while the call goes on."""
        pickup = self.behaviour.pickup
        if not self.form.get("MachineDetection") or pickup.status != "answered":
            return
        await asyncio.sleep(pickup.after_s + pickup.verdict_after_s)
        self.answered_by = pickup.answered_by
        if url := self.form.get("AsyncAmdStatusCallback"):
            form = {
                "AccountSid": self.world.account_sid,
                "CallSid": self.sid,
                "AnsweredBy": pickup.answered_by,
                "MachineDetectionDuration": str(round(pickup.verdict_after_s * 1000)),
            }
            await self.tell(url, form)

    async def tell(self, url: str, form: Mapping[str, str]) -> None:
        """Send a callback; a server that is down misses it."""
        if not self.behaviour.late_news:
            self.world.note("missed", self.sid)
            return
        self._requested(url)
        async with WebhookClient(self.world.auth_token, self.world.route) as http:
            try:
                await http.send(url, form)
            except httpx.HTTPError:
                self.world.note("missed", self.sid)

    def _bill(self, report: PhoneReport) -> None:
        if not self.phone.answered:
            return
        self.world.meter[self.item] += started_minutes(report.duration_s)
        if report.close_codes:
            self.world.meter[STREAMS] += sum(
                started_minutes(n * 0.02) for n in report.stream_frames
            )
        dialled = self.behaviour.dial
        if dialled.status == "completed" and any(_is_number(to) for to in report.dialled):
            self.world.meter[OUTBOUND] += started_minutes(dialled.duration_s)
        if self.answered_by is not None:  # a call that ended before the verdict is not billed
            self.world.meter[DETECTION] += 1

    async def _finish_recordings(self) -> None:
        for recording in self.recordings:
            end_s = recording.end_s or (self.report.duration_s if self.report else 0.0)
            begin, end = round(recording.begin_s * 8000), round(end_s * 8000)
            callee, agent = (track[begin:end] for track in self.phone.tracks)
            recording.duration_s = round(end_s - recording.begin_s)
            recording.status = "completed" if callee or agent else "absent"
            two = recording.channels == 2
            recording.media = wav.encode(callee, agent) if two else wav.encode(callee)
            if recording.status == "completed":
                self.world.meter[RECORDED] += started_minutes(end_s - recording.begin_s)
            if recording.callback:
                await self.tell(recording.callback, self._recorded(recording))

    def _recorded(self, recording: LabRecording) -> dict[str, str]:
        return {
            "AccountSid": self.world.account_sid,
            "CallSid": self.sid,
            "RecordingSid": recording.sid,
            "RecordingUrl": self.world.recording_url(recording.sid),
            "RecordingStatus": recording.status,
            "RecordingDuration": str(recording.duration_s),
            "RecordingChannels": str(recording.channels),
            "RecordingSource": recording.source,
            "RecordingTrack": "both",
            "RecordingStartTime": rfc2822(self.started_at) or "",
            "ErrorCode": "0",
        }


def _is_number(target: str) -> bool:
    """Another phone, not a conference."""
    return target.startswith("+")


def started_minutes(seconds: float) -> int:
    """Started minutes, at least one: an answered call costs."""
    return max(1, -(-round(seconds * 1000) // 60_000))
