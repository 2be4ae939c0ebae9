"""Twilio on loopback: its REST API, and the calls it places to the phones of its world.

    async with open_twilio(connect_to="127.0.0.1:8080") as lab:
        client = twilio.rest.Client(lab.account_sid, lab.auth_token)
        client.api.base_url = lab.url

A created call waits in the queue (one call a second), rings, is answered as `callees` says,
fetches TwiML, opens the media stream, and sends its callbacks late, twice or in disorder. The
magic numbers of Twilio's test credentials are honoured. `meter` counts what would be billed,
by the items of our ledger. Faults count requests; `after_bytes` > 0 lets a refused or dropped
request be carried out first.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import math
import re
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route as HttpRoute

from voice_server.testing.caller import Caller, SilentCaller
from voice_server.testing.dialling import Rooms
from voice_server.testing.faults import DialResult, Pickup
from voice_server.testing.lab import twilio_shapes as shapes
from voice_server.testing.lab.faults import Fault, FaultPlan, Injection
from voice_server.testing.lab.host import hosting
from voice_server.testing.lab.twilio_call import (
    CONFERENCE,
    LabCall,
    LabRecording,
    started_minutes,
)
from voice_server.testing.lab.twilio_shapes import API, ApiProblem, Ask, page, read, reply
from voice_server.testing.lab.twilio_wire import carries_out, is_well, route_to, spoiled
from voice_server.twilio.segments import segments

SMS = "twilio.sms.segments"

_Answer = Callable[[Ask], Response]


class Callee:
    """Who is on the other end of one call, and how reliably the carrier reports on it."""

    def __init__(
        self,
        *,
        pickup: Pickup = Pickup(),  # noqa: B008 - frozen
        caller: Caller | None = None,
        delay_s: float = 0.0,
        copies: int = 1,
        reversed: bool = False,
        dial: DialResult = DialResult(),  # noqa: B008 - frozen
        late_news: bool = True,
    ) -> None:
        self.pickup = pickup
        self.caller = caller or SilentCaller(5_000)
        self.delay_s = delay_s  # each status callback comes so late
        self.copies = copies
        self.reversed = reversed  # all callbacks after the end, the last one first
        self.dial = dial
        self.late_news = late_news  # False: verdicts and recordings never reach anybody


class TwilioLab:
    """The carrier. `watch` is told of moments: asked, created, ringing, answered, webhook, missed.

    `calls` are those that were placed or came in, in order; `messages` what was sent.
    """

    def __init__(
        self,
        *,
        connect_to: str | Mapping[str, str] = "",
        callees: Callable[[Mapping[str, str]], Callee] | None = None,
        numbers: tuple[str, ...] = (),
        calls_per_s: float = 1.0,
        price_after_s: float = 120.0,
        faults: FaultPlan | None = None,
        test_credentials: bool = False,
        watch: Callable[[str, str], None] | None = None,
    ) -> None:
        self.account_sid = "AC" + "0" * 31 + "2"
        self.auth_token = secrets.token_hex(16)
        self.url = ""
        self.faults = faults or FaultPlan()
        self.meter: Counter[str] = Counter()
        self.price_after_s = price_after_s
        self.calls: list[LabCall] = []
        self.messages: list[dict[str, str]] = []
        self.recordings: dict[str, LabRecording] = {}
        self.rooms = Rooms(self._bill_conference)
        self.numbers = {
            "PN" + f"{index:032x}": {"phone_number": number}
            for index, number in enumerate(numbers, 1)
        }
        self.route = route_to(connect_to)
        self.max_requests = 100  # at a time; more are turned away with 20429
        self._requests = 0
        self._callees = callees or (lambda _form: Callee())
        self._gap_s = 1 / calls_per_s
        self._slot_at = -math.inf  # when the newest call leaves the queue
        self._test = test_credentials
        self._watch = watch
        self._sids = itertools.count(1)
        self._series = secrets.token_hex(8)  # ids of two carriers never meet
        self._lives: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._epoch = datetime.now(UTC) - timedelta(seconds=self._loop.time())
        self.app = Starlette(routes=self._routes())

    def now(self) -> datetime:
        """The carrier's clock, which follows the event loop's."""
        return self._epoch + timedelta(seconds=self._loop.time())

    def note(self, moment: str, call_sid: str) -> None:
        """Something happened to a call."""
        if self._watch is not None:
            self._watch(moment, call_sid)

    def recording_url(self, recording_sid: str) -> str:
        """Where a recording can be fetched, without its extension."""
        return f"{self.url}{API}/{self.account_sid}/Recordings/{recording_sid}"

    def ring(self, number: str, sender: str, who: Callee) -> LabCall:
        """Somebody calls one of the account's numbers, which is connected to a server."""
        owned = next(n for n in self.numbers.values() if n["phone_number"] == number)
        form = {"From": sender, "To": number, "Url": owned["voice_url"]}
        form["StatusCallback"] = owned["status_callback"]
        call = LabCall(self._sid("CA"), form, (), who, self, inbound=True)
        self.calls.append(call)
        self._let_live(call, self._loop.time())
        return call

    async def settle(self) -> None:
        """Wait until all calls are over, their callbacks sent and their prices known."""
        while self._lives:
            await asyncio.wait(self._lives)

    async def close(self) -> None:
        """Cut off what still goes on."""
        for life in self._lives:
            life.cancel()
        if self._lives:
            await asyncio.wait(self._lives)

    def _routes(self) -> list[HttpRoute]:
        account = API + "/{account}"
        answers: list[tuple[str, str, _Answer]] = [
            ("GET", ".json", self._account),
            ("POST", "/Calls.json", self._create_call),
            ("GET", "/Calls.json", self._list_calls),
            ("GET", "/Calls/{sid}.json", self._fetch_call),
            ("POST", "/Calls/{sid}.json", self._update_call),
            ("GET", "/Calls/{sid}/Events.json", self._list_events),
            ("POST", "/Calls/{sid}/Recordings.json", self._start_recording),
            ("GET", "/Calls/{sid}/Recordings.json", self._list_recordings),
            ("POST", "/Calls/{sid}/Recordings/{recording}.json", self._change_recording),
            ("GET", "/Recordings/{recording}.json", self._fetch_recording),
            ("GET", "/Recordings/{recording}.wav", self._download),
            ("DELETE", "/Recordings/{recording}.json", self._delete_recording),
            ("POST", "/Messages.json", self._create_message),
            ("GET", "/IncomingPhoneNumbers.json", self._list_numbers),
            ("POST", "/IncomingPhoneNumbers/{sid}.json", self._update_number),
        ]
        return [
            HttpRoute(account + path, self._endpoint(answer), methods=[method])
            for method, path, answer in answers
        ]

    def _endpoint(self, answer: _Answer) -> Callable[[Request], Awaitable[Response]]:
        async def serve(request: Request) -> Response:
            fate = self.faults.take()
            self._requests += 1
            try:
                self._check(request, fate)
                ask = await read(request)
                if fate.fault is Fault.SLOW_FIRST_BYTE:
                    await asyncio.sleep(fate.delay_s)
                if not carries_out(fate):
                    return await spoiled(fate, request)
                response = answer(ask)
                return response if is_well(fate) else await spoiled(fate, request)
            except ApiProblem as problem:
                return problem.response()
            except ClientDisconnect:
                return Response()  # nobody is there to read it
            finally:
                self._requests -= 1

        return serve

    def _check(self, request: Request, fate: Injection) -> None:
        login = base64.b64encode(f"{self.account_sid}:{self.auth_token}".encode()).decode()
        good = request.headers.get("authorization", "") == f"Basic {login}"
        if not good or fate.fault is Fault.UNAUTHORIZED:
            raise ApiProblem(401, 20003)
        if request.path_params["account"] != self.account_sid:
            raise ApiProblem(404, 20404)
        if self._requests > self.max_requests or fate.fault is Fault.RATE_LIMITED:
            raise ApiProblem(429, 20429)
        if fate.fault is Fault.QUOTA:
            raise ApiProblem(403, 20005)

    def _account(self, _ask: Ask) -> Response:
        kind = {"sid": self.account_sid, "status": "active", "type": "Full"}
        return reply(kind | {"friendly_name": "Lab", "owner_account_sid": self.account_sid})

    def _create_call(self, ask: Ask) -> Response:
        self.note("asked", "")
        form, events = ask.form, ask.events
        shapes.check_call(form, events, self._may_call_from)
        callee = self._callees(form)
        call = LabCall(self._sid("CA"), form, events, callee, self)
        self.calls.append(call)
        if form.get("Record") == "true":
            self._record(call, form, "OutboundAPI", recorded_from_s=0.0)
        if not self._test:
            self._slot_at = max(self._slot_at + self._gap_s, self._loop.time())
            self._let_live(call, self._slot_at)
        self.note("created", call.sid)
        return reply(call.resource, 201)

    def _let_live(self, call: LabCall, slot_at: float) -> None:
        life = asyncio.ensure_future(call.live(slot_at))
        self._lives.add(life)
        life.add_done_callback(self._lives.discard)

    def _bill_conference(self, seconds: float) -> None:
        self.meter[CONFERENCE] += started_minutes(seconds)

    def _may_call_from(self, sender: str) -> bool:
        if self._test:
            return sender == shapes.GOOD_FROM
        owned = {number["phone_number"] for number in self.numbers.values()}
        return not owned or sender in owned

    def _list_calls(self, ask: Ask) -> Response:
        query = ask.query
        wanted = {"To": "to", "From": "from", "Status": "status"}
        found = [
            resource
            for resource in (call.resource for call in reversed(self.calls))
            if all(resource[field] == query.get(name, resource[field])
                   for name, field in wanted.items())
            and _started(resource, query)
        ]  # fmt: skip
        return page(ask.path, "calls", found, query)

    def _fetch_call(self, ask: Ask) -> Response:
        return reply(self._call(ask).resource)

    def _update_call(self, ask: Ask) -> Response:
        call = self._call(ask)
        call.update(ask.form)
        return reply(call.resource)

    def _list_events(self, ask: Ask) -> Response:
        events = [
            {"request": {"method": "POST", "url": url}, "response": {}}
            for url in self._call(ask).webhooks
        ]
        return page(ask.path, "events", events, ask.query)

    def _record(
        self, call: LabCall, form: dict[str, str], source: str, *, recorded_from_s: float
    ) -> LabRecording:
        recording = LabRecording(self._sid("RE"), call, recorded_from_s, source)
        recording.callback = form.get("RecordingStatusCallback", "")
        recording.channels = 2 if form.get("RecordingChannels") == "dual" else 1
        call.recordings.append(recording)
        self.recordings[recording.sid] = recording
        return recording

    def _start_recording(self, ask: Ask) -> Response:
        call = self._call(ask)
        if call.status != "in-progress":
            raise ApiProblem(400, 21220)
        source = "StartCallRecordingAPI"
        recording = self._record(call, ask.form, source, recorded_from_s=call.elapsed_s())
        return reply(recording.resource, 201)

    def _change_recording(self, ask: Ask) -> Response:
        call, sid = self._call(ask), ask.params["recording"]
        running = [r for r in call.recordings if r.end_s is None]
        found = [r for r in running if sid in ("Twilio.CURRENT", r.sid)]
        if not found:
            raise ApiProblem(404, 20404)
        recording = found[-1]
        recording.status = ask.form.get("Status", "")
        if recording.status == "stopped":
            recording.end_s = call.elapsed_s()
        return reply(recording.resource)

    def _list_recordings(self, ask: Ask) -> Response:
        found = [recording.resource for recording in reversed(self._call(ask).recordings)]
        return page(ask.path, "recordings", found, ask.query)

    def _fetch_recording(self, ask: Ask) -> Response:
        return reply(self._recording(ask).resource)

    def _download(self, ask: Ask) -> Response:
        media = self._recording(ask).media
        if not media:
            raise ApiProblem(404, 20404)
        return Response(media, media_type="audio/x-wav")

    def _delete_recording(self, ask: Ask) -> Response:
        del self.recordings[self._recording(ask).sid]
        return Response(status_code=204)

    def _create_message(self, ask: Ask) -> Response:
        form = ask.form
        to, sender, body = form.get("To", ""), form.get("From", ""), form.get("Body", "")
        if code := shapes.SMS_FROM.get(sender) or shapes.SMS_TO.get(to):
            raise ApiProblem(400, code)
        if not shapes.E164.fullmatch(to):
            raise ApiProblem(400, 21211)
        if not self._may_call_from(sender):
            raise ApiProblem(400, 21606)
        if not body:
            raise ApiProblem(400, 21602)
        count, sid = segments(body), self._sid("SM")
        self.messages.append(form)
        if not self._test:
            self.meter[SMS] += count
        resource = {"sid": sid, "status": "queued", "num_segments": str(count), "num_media": "0"}
        resource |= {"to": to, "from": sender, "body": body, "account_sid": self.account_sid}
        return reply(resource | {"direction": "outbound-api", "price_unit": "USD"}, 201)

    def _list_numbers(self, ask: Ask) -> Response:
        wanted = ask.query.get("PhoneNumber", "")
        found = [
            {"sid": sid, "account_sid": self.account_sid, **number}
            for sid, number in self.numbers.items()
            if wanted in number["phone_number"]
        ]
        path = ask.path
        return page(path, "incoming_phone_numbers", found, ask.query)

    def _update_number(self, ask: Ask) -> Response:
        sid = ask.params["sid"]
        if sid not in self.numbers:
            raise ApiProblem(404, 20404)
        self.numbers[sid] |= {_snake(name): value for name, value in ask.form.items()}
        return reply({"sid": sid, "account_sid": self.account_sid, **self.numbers[sid]})

    def _call(self, ask: Ask) -> LabCall:
        for call in self.calls:
            if call.sid == ask.params["sid"]:
                return call
        raise ApiProblem(404, 20404)

    def _recording(self, ask: Ask) -> LabRecording:
        recording = self.recordings.get(ask.params["recording"])
        if recording is None:
            raise ApiProblem(404, 20404)
        return recording

    def _sid(self, prefix: str) -> str:
        return f"{prefix}{self._series}{next(self._sids):016x}"


@asynccontextmanager
async def open_twilio(*, port: int = 0, **options: Any) -> AsyncIterator[TwilioLab]:
    """A carrier on a loopback port; `options` are those of `TwilioLab`."""
    lab = TwilioLab(**options)
    try:
        async with hosting(lab.app, port=port) as url:
            lab.url = url
            try:
                yield lab
            finally:
                await lab.close()
    finally:
        await lab.close()  # what a request has begun that was still under way


def _started(resource: Mapping[str, Any], query: Mapping[str, str]) -> bool:
    """A call in the queue has no start and matches no filter on it."""
    bounds = [name for name in ("StartTime", "StartTime<", "StartTime>") if name in query]
    return not bounds or resource["start_time"] is not None


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
