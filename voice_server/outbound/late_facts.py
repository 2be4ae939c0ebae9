"""What the carrier's callbacks should have told of a call; asked for once the call is over."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, Protocol

from db.dials import DialRow
from db.rows import AnswerDetected, CallRow
from voice_server.call.meter import started_minutes
from voice_server.late_costs import LateCosts
from voice_server.outbound.recordings import Recorder
from voice_server.twilio.desk import Recorded
from voice_server.twilio.resources import CarrierCall, Recording

DETECTION_ITEM: Final = "twilio.amd.calls"
RECORDING_ITEM: Final = "twilio.recording.minutes"


class Listing(Protocol):
    """Who knows the recordings of a call; `TwilioRest`."""

    async def recordings_of(self, call_sid: str) -> list[Recording]: ...


class LateFacts:
    """Makes good for callbacks that met a dead server; those that came are not counted twice.

    `rows` takes the rows of all calls.
    """

    def __init__(
        self,
        carrier: Listing,
        recorder: Recorder,
        costs: LateCosts,
        rows: Callable[[CallRow], None],
    ) -> None:
        self._carrier = carrier
        self._recorder = recorder
        self._costs = costs
        self._rows = rows

    async def gather(self, dial: DialRow, call: CarrierCall) -> None:
        """Note who answered and what was recorded. Raises `ServiceError` and `StoreError`."""
        if call.answered_by:
            if not dial.answered_by:
                at = int(time.time() * 1000)
                self._rows(AnswerDetected(dial.call_id, call.answered_by, 0, at))
            self._costs.book(dial.call_id, DETECTION_ITEM, 1, call.sid)
        for recording in await self._carrier.recordings_of(call.sid):
            if recording.status == "completed":
                minutes = started_minutes(recording.duration_s * 1000)
                self._costs.book(dial.call_id, RECORDING_ITEM, minutes, recording.sid)
                await self._recorder.adopt(dial.call_id, _as_told(dial.call_id, recording))


def _as_told(call_id: str, recording: Recording) -> Recorded:
    return Recorded(
        carrier_call_id=recording.call_sid or "",
        call_id=call_id,
        recording_id=recording.sid,
        status="completed",
        duration_s=recording.duration_s,
        channels=recording.channels or 1,
    )
