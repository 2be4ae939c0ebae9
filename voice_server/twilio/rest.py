"""What we ask of Twilio over its REST API: calls, messages, recordings, numbers.

Plain asynchronous HTTP. Measured against the simulator on two busy shared cores, 400 calls
created 20 at a time (`python -m benchmarks.twilio_clients`): 2.5 to 3.1 ms of CPU a call here,
1.1 ms with the SDK in 20 threads. An account places one call a second, so that buys nothing; what
the SDK costs is worth more. A thread that waits for a stalled carrier cannot be cancelled and is
one of few, its errors do not tell whether the request had gone out, which decides if it may be
repeated, and its own asynchronous client ignores its timeout.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Final
from urllib.parse import quote

import httpx
import msgspec

from voice_server.call.events import Consumed
from voice_server.limits import Limits
from voice_server.twilio.http import LIMITS, TwilioHttp, TwilioRejected, TwilioUnavailable
from voice_server.twilio.resources import (
    Account,
    CallPage,
    CarrierCall,
    EventPage,
    IncomingNumber,
    Message,
    NumberPage,
    Recording,
    RecordingPage,
)
from voice_server.twilio.segments import segments

SMS_ITEM: Final = "twilio.sms.segments"
_ALREADY_OVER: Final = frozenset({21220, 20404})
_NOT_FOUND: Final = 404
_EVENTS: Final = ("initiated", "ringing", "answered", "completed")
_PAGE: Final = 50

Spend = Callable[[Consumed], None]


class CallOrder(msgspec.Struct, frozen=True):
    """A call to be placed. URLs are absolute; give `url`, or `twiml` for a call without us."""

    to: str
    sender: str
    url: str = ""
    twiml: str = ""  # at most 4000 characters
    status_url: str = ""  # told of every step
    ring_s: int = 30  # before it counts as not answered; the carrier adds up to 5
    limit_s: int = 3_600  # the carrier ends the call after so long
    machine_detection: str = ""  # "Enable", "DetectMessageEnd" or none
    amd_url: str = ""  # where the verdict comes, while the call goes on
    record_url: str = ""  # records both sides, a track each, and reports here

    def fields(self) -> list[tuple[str, str]]:
        """The form fields."""
        source = ("Twiml", self.twiml) if self.twiml else ("Url", self.url)
        fields = [("To", self.to), ("From", self.sender), source]
        fields += [("Timeout", str(self.ring_s)), ("TimeLimit", str(self.limit_s))]
        if self.status_url:
            fields += [("StatusCallback", self.status_url), ("StatusCallbackMethod", "POST")]
            fields += [("StatusCallbackEvent", event) for event in _EVENTS]
        if self.machine_detection:
            fields += [
                ("MachineDetection", self.machine_detection),
                ("AsyncAmd", "true"),
                ("AsyncAmdStatusCallback", self.amd_url),
                ("AsyncAmdStatusCallbackMethod", "POST"),
            ]
        if self.record_url:
            fields += [
                ("Record", "true"),
                ("RecordingChannels", "dual"),
                ("RecordingStatusCallback", self.record_url),
                ("RecordingStatusCallbackEvent", "completed"),
                ("RecordingStatusCallbackEvent", "absent"),
            ]
        return fields


def unbooked(consumed: Consumed) -> None:
    """For what belongs to no call."""


class TwilioRest:
    """A client on one account; `close` it in the end.

    Every method raises `ServiceUnavailable` (`TwilioUnavailable`, which says whether the
    request may have been carried out) or `ServiceRejected` (`TwilioRejected`, with the code).
    """

    def __init__(
        self, account_sid: str, auth_token: str, base_url: str, *, limits: Limits = LIMITS
    ) -> None:
        self.http = TwilioHttp(account_sid, auth_token, base_url, limits=limits)

    async def account(self) -> Account:
        """The account itself: the cheapest check of credentials."""
        return await self.http.get("", Account)

    async def create_call(self, order: CallOrder) -> CarrierCall:
        """Place a call. After a failure that is `sent` the phone may ring all the same."""
        return await self.http.post("Calls", CarrierCall, order.fields())

    async def call(self, call_sid: str) -> CarrierCall | None:
        """How a call stands, None when the carrier does not know it."""
        try:
            return await self.http.get(f"Calls/{_path(call_sid)}", CarrierCall)
        except TwilioRejected as rejected:
            if rejected.status == _NOT_FOUND:
                return None
            raise

    async def calls_between(self, to: str, sender: str) -> list[CarrierCall]:
        """The newest calls from one number to another, at most 50.

        Not filtered by start time: a call that waits in the carrier's queue has none.
        """
        query = (("To", to), ("From", sender), ("PageSize", str(_PAGE)))
        return (await self.http.get("Calls", CallPage, query)).calls

    async def webhooks_of(self, call_sid: str) -> list[str]:
        """The URLs of the webhooks that the carrier sent for a call."""
        page = await self.http.get(f"Calls/{_path(call_sid)}/Events", EventPage)
        return [event.request.url or "" for event in page.events if event.request is not None]

    async def hang_up(self, call_sid: str) -> bool:
        """End a call in any state; False when it was over already."""
        return await self._update(call_sid, ("Status", "completed"))

    async def cancel(self, call_sid: str) -> bool:
        """End a call only while it is queued or rings; False when it was over already."""
        return await self._update(call_sid, ("Status", "canceled"))

    async def redirect(self, call_sid: str, url: str) -> bool:
        """Let a live call go on with the TwiML of `url`; False when it is over."""
        return await self._update(call_sid, ("Url", url), ("Method", "POST"))

    async def run(self, call_sid: str, twiml: str) -> bool:
        """Let a live call go on with `twiml`; its media stream ends. False when it is over."""
        return await self._update(call_sid, ("Twiml", twiml))

    async def send_message(
        self, *, to: str, sender: str, body: str, status_url: str = "", spend: Spend = unbooked
    ) -> str:
        """Send an SMS; returns its SID. Books its segments, also when the reply was lost."""
        form = [("To", to), ("From", sender), ("Body", body)]
        form += [("StatusCallback", status_url)] if status_url else []
        count = segments(body)
        try:
            message = await self.http.post("Messages", Message, form)
        except TwilioUnavailable as error:
            if error.sent and not error.code:
                spend(Consumed(SMS_ITEM, count))
            raise
        told = message.num_segments or ""
        spend(Consumed(SMS_ITEM, int(told) if told.isdigit() and told != "0" else count))
        return message.sid

    async def record(self, call_sid: str, status_url: str) -> Recording:
        """Start recording a live call, a track for each side. Nothing is booked yet: minutes
        are known when `status_url` is told that it is complete.
        """
        form = [
            ("RecordingChannels", "dual"),
            ("RecordingTrack", "both"),
            ("RecordingStatusCallback", status_url),
            ("RecordingStatusCallbackEvent", "completed"),
            ("RecordingStatusCallbackEvent", "absent"),
        ]
        return await self.http.post(f"Calls/{_path(call_sid)}/Recordings", Recording, form)

    async def pause_recording(self, call_sid: str) -> Recording:
        """Pause the running recording, e.g. while a card number is read out: silence is kept."""
        return await self._change_recording(call_sid, "paused", ("PauseBehavior", "silence"))

    async def resume_recording(self, call_sid: str) -> Recording:
        """Go on with a paused recording."""
        return await self._change_recording(call_sid, "in-progress")

    async def stop_recording(self, call_sid: str) -> Recording:
        """End the running recording; its callback follows."""
        return await self._change_recording(call_sid, "stopped")

    async def recordings_of(self, call_sid: str) -> list[Recording]:
        """The recordings of a call."""
        path = f"Calls/{_path(call_sid)}/Recordings"
        return (await self.http.get(path, RecordingPage)).recordings

    def download_recording(self, recording_sid: str) -> AbstractAsyncContextManager[httpx.Response]:
        """The open answer with the WAV file, a channel for each side: the called party first."""
        path = f"Recordings/{_path(recording_sid)}.wav?RequestedChannels=2"
        return self.http.download(path)

    async def delete_recording(self, recording_sid: str) -> None:
        """Remove a recording at the carrier; one that is gone already is fine."""
        try:
            await self.http.delete(f"Recordings/{_path(recording_sid)}")
        except TwilioRejected as rejected:
            if rejected.status != _NOT_FOUND:
                raise

    async def numbers(self, phone_number: str = "") -> list[IncomingNumber]:
        """The account's numbers, or the one that is asked for."""
        query = [("PageSize", str(_PAGE))]
        query += [("PhoneNumber", phone_number)] if phone_number else []
        page = await self.http.get("IncomingPhoneNumbers", NumberPage, query)
        return page.incoming_phone_numbers

    async def connect_number(
        self, number_sid: str, *, voice_url: str, status_url: str
    ) -> IncomingNumber:
        """Let a number's calls come to us, whatever application or trunk had it before."""
        form = [
            ("VoiceUrl", voice_url),
            ("VoiceMethod", "POST"),
            ("StatusCallback", status_url),
            ("StatusCallbackMethod", "POST"),
            ("VoiceApplicationSid", ""),  # either of these would outrank the URL
            ("TrunkSid", ""),
        ]
        path = f"IncomingPhoneNumbers/{_path(number_sid)}"
        return await self.http.post(path, IncomingNumber, form)

    async def close(self) -> None:
        """Close the connections."""
        await self.http.close()

    async def _update(self, call_sid: str, *form: tuple[str, str]) -> bool:
        try:
            await self.http.post(f"Calls/{_path(call_sid)}", CarrierCall, form)
        except TwilioRejected as rejected:
            if rejected.code in _ALREADY_OVER or rejected.status == _NOT_FOUND:
                return False
            raise
        return True

    async def _change_recording(
        self, call_sid: str, status: str, *more: tuple[str, str]
    ) -> Recording:
        path = f"Calls/{_path(call_sid)}/Recordings/Twilio.CURRENT"
        return await self.http.post(path, Recording, [("Status", status), *more])


def _path(sid: str) -> str:
    """An id that cannot leave its place in a path."""
    return quote(sid, safe="")
