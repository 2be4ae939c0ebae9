"""What Twilio's REST API answers with: only the fields that are used; all may be missing."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from email.utils import parsedate_to_datetime

import msgspec


class CarrierCall(msgspec.Struct, frozen=True):
    """A call as the carrier sees it. Dates are RFC 2822 text, numbers are strings."""

    sid: str
    status: str | None = ""
    to: str | None = ""
    from_: str | None = msgspec.field(name="from", default="")
    direction: str | None = ""
    duration: str | None = None
    date_created: str | None = None
    answered_by: str | None = None
    price: str | None = None  # negative; comes minutes after the end
    price_unit: str | None = None

    @property
    def created_at(self) -> datetime | None:
        """When it was asked for, to the second."""
        return rfc2822(self.date_created)

    @property
    def duration_s(self) -> int:
        """How long it lasted, 0 while unknown."""
        return int(self.duration) if self.duration and self.duration.isdigit() else 0

    @property
    def price_micro_usd(self) -> int | None:
        """What it cost, None while unknown or in another currency."""
        if self.price is None or (self.price_unit or "USD").upper() != "USD":
            return None
        try:
            return round(abs(Decimal(self.price)) * 1_000_000)
        except InvalidOperation:
            return None


class CallPage(msgspec.Struct, frozen=True):
    """Calls, newest first."""

    calls: list[CarrierCall] = []


class CallRequest(msgspec.Struct, frozen=True):
    """A webhook that the carrier sent for a call."""

    url: str | None = ""


class CallEvent(msgspec.Struct, frozen=True):
    """One webhook of a call and its answer."""

    request: CallRequest | None = None


class EventPage(msgspec.Struct, frozen=True):
    """The webhooks of a call."""

    events: list[CallEvent] = []


class Message(msgspec.Struct, frozen=True):
    """An SMS."""

    sid: str = ""
    status: str | None = ""
    num_segments: str | None = None


class Recording(msgspec.Struct, frozen=True):
    """A recording; `channels` is 2 when each party has a track of its own."""

    sid: str
    status: str | None = ""
    call_sid: str | None = ""
    channels: int | None = 1
    duration: str | None = None  # seconds; "-1" or null while it runs
    source: str | None = ""

    @property
    def duration_s(self) -> int:
        """Seconds, 0 while unknown."""
        return int(self.duration) if self.duration and self.duration.isdigit() else 0


class RecordingPage(msgspec.Struct, frozen=True):
    """Recordings, newest first."""

    recordings: list[Recording] = []


class IncomingNumber(msgspec.Struct, frozen=True):
    """A number of the account, and where its calls go."""

    sid: str
    phone_number: str = ""
    voice_url: str | None = ""
    voice_method: str | None = "POST"
    status_callback: str | None = ""
    status_callback_method: str | None = "POST"
    voice_application_sid: str | None = ""
    trunk_sid: str | None = ""


def leads_to(number: IncomingNumber, *, voice_url: str, status_url: str) -> bool:
    """Whether a number's calls and their callbacks come to these URLs."""
    return (
        (number.voice_url, number.status_callback) == (voice_url, status_url)
        and (number.voice_method or "POST") == "POST"
        and (number.status_callback_method or "POST") == "POST"
        and not number.voice_application_sid
        and not number.trunk_sid
    )


class NumberPage(msgspec.Struct, frozen=True):
    """Numbers of the account."""

    incoming_phone_numbers: list[IncomingNumber] = []


class Account(msgspec.Struct, frozen=True):
    """The account itself."""

    sid: str
    status: str | None = ""  # active, suspended or closed
    type: str | None = ""  # Trial or Full
    friendly_name: str | None = ""


def rfc2822(text: str | None) -> datetime | None:
    """An instant as Twilio writes it; None when there is none."""
    if not text:
        return None
    try:
        instant = parsedate_to_datetime(text)
    except ValueError:
        return None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
