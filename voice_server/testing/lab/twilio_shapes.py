"""Twilio's JSON: resources, pages, errors and dates, as its API writes them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

API = "/2010-04-01/Accounts"
E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_EVENTS = frozenset({"initiated", "ringing", "answered", "completed"})

# Magic numbers of the test credentials: the code a request with one of them is refused with.
CALL_FROM = {"+15005550001": 21212}
CALL_TO = {
    "+15005550001": 21217,
    "+15005550002": 21214,
    "+15005550003": 21215,
    "+15005550004": 21216,
}
SMS_FROM = {"+15005550001": 21212, "+15005550007": 21606, "+15005550008": 21611}
SMS_TO = {
    "+15005550001": 21211,
    "+15005550002": 21612,
    "+15005550003": 21408,
    "+15005550004": 21610,
    "+15005550009": 21614,
}
GOOD_FROM = "+15005550006"

_MESSAGES = {
    10004: "Call concurrency limit exceeded",
    20003: "Authenticate",
    20005: "Account not active",
    20404: "The requested resource was not found",
    20429: "Too Many Requests",
    21201: "No 'To' number is specified",
    21205: "Url is not a valid URL",
    21210: "'From' phone number not verified",
    21211: "Invalid 'To' Phone Number",
    21212: "Invalid 'From' Number",
    21214: "'To' phone number cannot be reached",
    21215: "Geo Permission configuration is not permitting call",
    21216: "Call blocked by Twilio",
    21217: "Phone number does not appear to be valid",
    21218: "Invalid ApplicationSid",
    21220: "Call is not in-progress. Cannot redirect.",
    21602: "Message body is required",
    21606: "The 'From' phone number provided is not a valid message-capable phone number",
    21626: "Invalid 'StatusCallbackEvent'",
}


class Ask(msgspec.Struct, frozen=True):
    """A request to the API, taken apart."""

    path: str
    params: dict[str, str]  # of the path
    query: dict[str, str]
    form: dict[str, str]
    events: tuple[str, ...]  # the one field that is repeated


async def read(request: Request) -> Ask:
    """Take a request apart."""
    pairs = parse_qsl((await request.body()).decode(), keep_blank_values=True)
    events = tuple(value for name, value in pairs if name == "StatusCallbackEvent")
    query = dict(request.query_params)
    return Ask(request.url.path, request.path_params, query, dict(pairs), events)


class ApiProblem(Exception):
    """A request that Twilio refuses."""

    def __init__(self, status: int, code: int) -> None:
        super().__init__(code)
        self.status = status
        self.code = code

    def response(self) -> Response:
        """The answer."""
        body = {
            "code": self.code,
            "message": _MESSAGES.get(self.code, "Bad request"),
            "more_info": f"https://www.twilio.com/docs/errors/{self.code}",
            "status": self.status,
        }
        return JSONResponse(body, self.status)


def check_call(
    form: Mapping[str, str], events: Sequence[str], may_call_from: Callable[[str], bool]
) -> None:
    """Refuse a call that Twilio would not place."""
    to, sender = form.get("To", ""), form.get("From", "")
    if not to:
        raise ApiProblem(400, 21201)
    if code := CALL_FROM.get(sender) or CALL_TO.get(to):
        raise ApiProblem(400, code)
    if not E164.fullmatch(to):
        raise ApiProblem(400, 21211)
    if not E164.fullmatch(sender):
        raise ApiProblem(400, 21212)
    if not may_call_from(sender):
        raise ApiProblem(400, 21210)
    for name in ("Url", "StatusCallback", "AsyncAmdStatusCallback", "RecordingStatusCallback"):
        if form.get(name) and urlsplit(form[name]).scheme not in ("http", "https"):
            raise ApiProblem(400, 21205)
    if not form.get("Url") and not form.get("Twiml"):
        raise ApiProblem(400, 21205)
    if not _EVENTS.issuperset(events):
        raise ApiProblem(400, 21626)


def reply(resource: object, status: int = 200) -> Response:
    """A resource as JSON."""
    return Response(msgspec.json.encode(resource), status, media_type="application/json")


def page(path: str, name: str, found: Sequence[object], query: Mapping[str, str]) -> Response:
    """One page of a list."""
    size = min(max(int(query.get("PageSize", "50")), 1), 1000)
    number = int(query.get("Page", "0"))
    part = found[number * size : (number + 1) * size]
    rest = {key: value for key, value in query.items() if key not in ("Page", "PageSize")}

    def uri(at: int) -> str:
        return f"{path}?{urlencode(rest | {'PageSize': size, 'Page': at})}"

    document: dict[str, Any] = {
        name: part,
        "page": number,
        "page_size": size,
        "start": number * size,
        "end": number * size + max(len(part) - 1, 0),
        "uri": uri(number),
        "first_page_uri": uri(0),
        "next_page_uri": uri(number + 1) if (number + 1) * size < len(found) else None,
        "previous_page_uri": uri(number - 1) if number else None,
    }
    return reply(document)


def rfc2822(instant: datetime | None) -> str | None:
    """A date of the REST API."""
    return None if instant is None else format_datetime(instant)
