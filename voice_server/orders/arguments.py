"""The arguments of the order tools, checked: whatever a model writes, a person can mend it."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, TypeVar

import msgspec
import phonenumbers
from msgspec import Meta

SERVICE_TYPES = ("plumbing", "electrical", "cleaning", "repairs", "maintenance", "other")
PRIORITIES = ("low", "medium", "high", "urgent")
_MAX_WORDS = 2_000
_MAX_LINE = 200

Line = Annotated[str, Meta(max_length=_MAX_LINE)]
Words = Annotated[str, Meta(max_length=_MAX_WORDS)]
Needed = Annotated[str, Meta(min_length=1, max_length=_MAX_LINE)]


class BookOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Book a service visit that the caller has confirmed."""

    customer_name: Annotated[Needed, Meta(description="The customer's full name.")]
    customer_phone: Annotated[
        Needed, Meta(description="Number to reach the customer, E.164 if possible.")
    ]
    service_type: Annotated[str, Meta(description=f"One of {', '.join(SERVICE_TYPES)}.")]
    description: Annotated[Words, Meta(description="The problem in the caller's words.")]
    customer_address: Annotated[Line, Meta(description="Street address of the visit.")] = ""
    customer_email: Annotated[Line, Meta(description="E-mail address, if given.")] = ""
    priority: Annotated[str, Meta(description=f"One of {', '.join(PRIORITIES)}.")] = "medium"
    scheduled_at: Annotated[
        Line, Meta(description="ISO 8601 with offset, only when day and hour are agreed.")
    ] = ""
    scheduled_text: Annotated[Line, Meta(description="The caller's words about the time.")] = ""
    retry_of: Annotated[
        Line, Meta(description="Request id of a failed attempt that this one repeats.")
    ] = ""


class LookUpOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Find an order by its number, or the orders of a phone number."""

    order_id: Annotated[Line, Meta(description="The order number.")] = ""
    customer_phone: Annotated[Line, Meta(description="The phone number on the order.")] = ""


class CancelOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Cancel an order that the caller has asked to cancel, after a yes."""

    order_id: Annotated[Needed, Meta(description="The order number.")]


class TakeMessage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Keep a message for the people of the office."""

    message: Annotated[str, Meta(min_length=1, max_length=_MAX_WORDS, description="The message.")]
    name: Annotated[Line, Meta(description="Who left it.")] = ""
    phone: Annotated[Line, Meta(description="Number to call back.")] = ""
    order_id: Annotated[Line, Meta(description="The order it is about.")] = ""


class BadArgument(Exception):
    """An argument that will not do; the texts go back to whoever wrote it."""

    def __init__(self, field: str, problem: str, fix: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem
        self.fix = fix


_Arguments = TypeVar("_Arguments", BookOrder, LookUpOrder, CancelOrder, TakeMessage)
_PATH = re.compile(r" - at `\$\.?(?P<field>[\w.]*)[^`]*`")
_NAMED = re.compile(r"field `(?P<field>\w+)`")


def read(arguments: str, kind: type[_Arguments]) -> _Arguments:
    """Decode arguments; raises `BadArgument` with the field's name, never with its value."""
    try:
        return msgspec.json.decode(arguments, type=kind)
    except msgspec.ValidationError as error:
        raise _explained(str(error), kind) from None
    except (msgspec.DecodeError, UnicodeError):
        raise BadArgument("arguments", "not a JSON object", _expected(kind)) from None


def _explained(message: str, kind: type[_Arguments]) -> BadArgument:
    named = _NAMED.search(message) or _PATH.search(message)
    field = named.group("field") if named and named.group("field") else "arguments"
    problem = _PATH.sub("", message)
    return BadArgument(field, problem[:1].lower() + problem[1:], _expected(kind))


def _expected(kind: type[_Arguments]) -> str:
    return "send a JSON object with: " + ", ".join(kind.__struct_fields__)


def check_choice(field: str, value: str, choices: tuple[str, ...]) -> str:
    """The value in lower case when it is one of the choices; raises `BadArgument`."""
    lowered = value.strip().lower()
    if lowered not in choices:
        raise BadArgument(field, "unknown value", f"use one of {', '.join(choices)}")
    return lowered


def check_text(field: str, value: str) -> str:
    """The text without surrounding space; raises `BadArgument` when nothing is left."""
    text = clean(value)
    if not text:
        raise BadArgument(field, "empty", "ask the caller for it")
    return text


def clean(value: str) -> str:
    """Text as the database can hold it: no NUL, no lone surrogates, no outer space."""
    return value.replace("\x00", "").encode("utf-8", "replace").decode("utf-8").strip()


def instant_ms(field: str, value: str, latest_ms: int) -> int:
    """An ISO 8601 instant in ms since the Unix epoch, 0 for ""; raises `BadArgument`."""
    if not value.strip():
        return 0
    try:
        moment = datetime.fromisoformat(value.strip())
    except ValueError:
        raise BadArgument(field, "not ISO 8601", "write e.g. 2030-05-17T09:30:00-04:00") from None
    if moment.tzinfo is None:
        raise BadArgument(field, "no UTC offset", "write e.g. 2030-05-17T09:30:00-04:00")
    try:
        at = int(moment.timestamp() * 1000)
    except (OverflowError, OSError, ValueError):
        at = -1
    if not 0 < at <= latest_ms:
        raise BadArgument(field, "too far away", "agree on a day within two years")
    return at


def phone_key(number: str, region: str) -> str:
    """A phone number as orders keep it: E.164 where possible, else as given."""
    number = clean(number)
    try:
        parsed = phonenumbers.parse(number, region)
    except phonenumbers.NumberParseException:
        return number
    if not phonenumbers.is_possible_number(parsed):
        return number
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
