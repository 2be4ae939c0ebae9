"""The state of a call at the carrier, and the callbacks that report it."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import msgspec

from voice_server.testing.faults import StatusCallbacks
from voice_server.testing.webhook import Form, Signing, WebhookClient

_CALLBACK_STATUS = {"answered": "in-progress"}  # the event's name and the status it carries


class Party(msgspec.Struct, frozen=True):
    """Who calls whom, in the carrier's words."""

    call_sid: str
    account_sid: str
    from_number: str
    to_number: str
    direction: str = "inbound"
    extra: dict[str, str] = {}  # more form fields, sent with each request

    def sid(self, prefix: str, number: int = 0) -> str:
        """Another id of this call: the same for the same call, so that reruns agree."""
        seed = f"{self.call_sid}/{prefix}/{number}"
        return prefix + hashlib.sha256(seed.encode()).hexdigest()[:32]

    def form(self, status: str) -> dict[str, str]:
        """The fields of a voice webhook; carriers send more, and add some without notice."""
        return {
            "AccountSid": self.account_sid,
            "ApiVersion": "2010-04-01",
            "CallSid": self.call_sid,
            "CallStatus": status,
            "Called": self.to_number,
            "CalledCountry": "US",
            "Caller": self.from_number,
            "CallerCity": "",
            "CallerCountry": "US",
            "Direction": self.direction,
            "From": self.from_number,
            "FromCity": "",
            "FromCountry": "US",
            "To": self.to_number,
            "ToCountry": "US",
            **self.extra,
        }


class CallProgress:
    """Posts status callbacks, each on its own, so that they may overtake each other."""

    def __init__(
        self,
        http: WebhookClient,
        tasks: asyncio.TaskGroup,
        party: Party,
        plan: StatusCallbacks | None,
        signing: Signing,
    ) -> None:
        self._http = http
        self._tasks = tasks
        self._party = party
        self._plan = plan
        self._signing = signing
        self._sequence = 0
        self._kept_back: list[Form] = []
        self._loop = asyncio.get_running_loop()
        self._began_at = self._loop.time()
        self._epoch = datetime.now(UTC)
        self.errors: list[str] = []

    def report(self, event: str, *, status: str = "", duration_s: float = 0.0) -> None:
        """A step of the call; `completed` carries the final status and duration."""
        plan = self._plan
        if plan is None:
            return
        if event in plan.events:
            self._kept_back.append(self._form(event, status, duration_s))
            self._sequence += 1
        if not plan.reversed or event == "completed":
            for form in reversed(self._kept_back):
                self._post(plan, form)
            self._kept_back.clear()

    def _form(self, event: str, status: str, duration_s: float) -> Form:
        form = {
            **self._party.form(status or _CALLBACK_STATUS.get(event, event)),
            "CallbackSource": "call-progress-events",
            "SequenceNumber": str(self._sequence),
            "Timestamp": format_datetime(self._now(), usegmt=True),
        }
        if event == "completed":
            form["CallDuration"] = str(round(duration_s))
            form["Duration"] = str(-(-round(duration_s) // 60))
        return form

    def report_stream(self, url: str, stream_sid: str, event: str, *, error: str = "") -> None:
        """A media stream's own callback, whose timestamp is ISO 8601 unlike all others."""
        if not url:
            return
        form = {
            "AccountSid": self._party.account_sid,
            "CallSid": self._party.call_sid,
            "StreamSid": stream_sid,
            "StreamName": stream_sid,
            "StreamEvent": event,
            "Timestamp": self._now().isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        }
        if error:
            form["StreamError"] = error
        self._tasks.create_task(self._send(url, form, 0.0))

    def _now(self) -> datetime:
        return self._epoch + timedelta(seconds=self._loop.time() - self._began_at)

    def _post(self, plan: StatusCallbacks, form: Form) -> None:
        for _ in range(plan.copies):
            self._tasks.create_task(self._send(plan.url, form, plan.delay_s))

    async def _send(self, url: str, form: Form, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        try:
            answer = await self._http.send(url, form, signing=self._signing)
        except httpx.HTTPError as error:
            self.errors.append(f"11200: callback failed ({type(error).__name__})")
            return
        if answer.status >= 400:
            self.errors.append(f"11200: callback answered {answer.status}")
