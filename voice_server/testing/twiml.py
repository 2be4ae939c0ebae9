"""Reads TwiML as the carrier does: case-sensitive, unknown verbs reported and skipped."""

from __future__ import annotations

from typing import TypeAlias
from urllib.parse import SplitResult, urljoin, urlsplit
from xml.etree import ElementTree

import msgspec

from voice_server.errors import VoiceServerError

_PARAMETER_LIMIT = 500  # characters of name and value together
_DOCUMENT_LIMIT = 64 * 1024


class TwimlError(VoiceServerError):
    """The carrier cannot run an answer; `code` is its error code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Say(msgspec.Struct, frozen=True):
    """The carrier's own voice reads a text."""

    text: str


class Play(msgspec.Struct, frozen=True):
    """An audio file; named, not fetched."""

    url: str


class Pause(msgspec.Struct, frozen=True):
    """Silence."""

    length_s: float


class Reject(msgspec.Struct, frozen=True):
    """The call is not answered."""

    reason: str


class Hangup(msgspec.Struct, frozen=True):
    """The call ends."""


class Redirect(msgspec.Struct, frozen=True):
    """Another document takes over."""

    url: str
    method: str


class Conference(msgspec.Struct, frozen=True):
    """A seat in a conference: whether taking it begins, and leaving it ends, the conference."""

    name: str
    starts: bool
    ends: bool


class Dial(msgspec.Struct, frozen=True):
    """Somebody else is called and connected; conferences count by name."""

    targets: tuple[str, ...]
    action: str
    method: str
    conference: Conference | None = None
    status_callback: str = ""  # of the other leg


class Gather(msgspec.Struct, frozen=True):
    """A text is read aloud, then a key is awaited."""

    text: str
    action: str
    method: str
    timeout_s: float


class Stream(msgspec.Struct, frozen=True):
    """A bidirectional media stream; blocks until the server closes it."""

    url: str
    parameters: dict[str, str]
    status_callback: str
    action: str
    method: str
    complaint: tuple[int, str] | None = None  # why it cannot be opened


Verb: TypeAlias = Say | Play | Pause | Reject | Hangup | Redirect | Dial | Gather | Stream


class Document(msgspec.Struct, frozen=True):
    """What an answer orders, its URLs made absolute."""

    verbs: tuple[Verb, ...]
    warnings: tuple[str, ...] = ()


def parse_answer(body: bytes, content_type: str, base_url: str) -> Document:
    """Read a webhook's answer by its content type. Raises TwimlError."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind in {"text/xml", "application/xml", "text/html"}:
        return parse(body, base_url)
    if kind == "text/plain":
        try:
            return parse(body, base_url)
        except TwimlError:
            return Document((Say(body.decode("utf-8", "replace")),))
    if kind.startswith("audio/"):
        return Document((Play(base_url), Hangup()))
    raise TwimlError(12300, f"12300: content type {kind or 'missing'} cannot be run as TwiML")


def parse(body: bytes, base_url: str) -> Document:
    """Read a TwiML document. Raises TwimlError 12100 when it is not one."""
    if len(body) > _DOCUMENT_LIMIT:
        raise TwimlError(11750, f"11750: the document is larger than {_DOCUMENT_LIMIT} bytes")
    try:
        root = ElementTree.fromstring(body)
    except ElementTree.ParseError as error:
        raise TwimlError(12100, f"12100: not well-formed XML ({error})") from None
    if root.tag != "Response":
        raise TwimlError(12100, f"12100: the root element is <{root.tag}>, not <Response>")
    verbs: list[Verb] = []
    warnings: list[str] = []
    for element in root:
        try:
            verb = _verb(element, base_url)
        except ValueError:
            raise TwimlError(11100, f"11100: <{element.tag}> holds a malformed URL") from None
        if verb is None:
            warnings.append(f"12200: <{element.tag}> is not a verb this phone knows; skipped")
        else:
            verbs.append(verb)
    return Document(tuple(verbs), tuple(warnings))


def _verb(element: ElementTree.Element, base_url: str) -> Verb | None:
    text = (element.text or "").strip()
    match element.tag:
        case "Say":
            return Say(text)
        case "Play":
            return Play(urljoin(base_url, text))
        case "Pause":
            return Pause(_seconds(element.get("length", "1")))
        case "Reject":
            return Reject(element.get("reason", "rejected"))
        case "Hangup":
            return Hangup()
        case "Redirect":
            return Redirect(urljoin(base_url, text), element.get("method", "POST"))
        case "Dial":
            return _dial(element, base_url)
        case "Gather":
            return _gather(element, base_url)
        case "Connect":
            return _connect(element, base_url)
    return None


def _dial(element: ElementTree.Element, base_url: str) -> Dial:
    targets = [(element.text or "").strip(), *((child.text or "").strip() for child in element)]
    action = element.get("action", "")
    return Dial(
        tuple(target for target in targets if target),
        urljoin(base_url, action) if action else "",
        element.get("method", "POST"),
        _conference(element.find("Conference")),
        next((child.get("statusCallback", "") for child in element.findall("Number")), ""),
    )


def _conference(element: ElementTree.Element | None) -> Conference | None:
    if element is None:
        return None
    return Conference(
        (element.text or "").strip(),
        starts=element.get("startConferenceOnEnter", "true") == "true",
        ends=element.get("endConferenceOnExit", "false") == "true",
    )


def _gather(element: ElementTree.Element, base_url: str) -> Gather:
    return Gather(
        " ".join((said.text or "").strip() for said in element.findall("Say")),
        urljoin(base_url, element.get("action", "")),
        element.get("method", "POST"),
        _seconds(element.get("timeout", "5")),
    )


def _connect(element: ElementTree.Element, base_url: str) -> Stream | None:
    stream = element.find("Stream")
    if stream is None:
        return None
    parameters = {
        parameter.get("name", ""): parameter.get("value", "")
        for parameter in stream.findall("Parameter")
    }
    url = _absolute_socket(base_url, stream.get("url", ""))
    action = element.get("action", "")
    return Stream(
        url=url,
        parameters=parameters,
        status_callback=stream.get("statusCallback", ""),
        action=urljoin(base_url, action) if action else "",
        method=element.get("method", "POST"),
        complaint=_complaint(url, stream, parameters),
    )


def _absolute_socket(base_url: str, url: str) -> str:
    absolute = url if "://" in url else urljoin(base_url, url)
    scheme, rest = absolute.split("://", 1) if "://" in absolute else ("", absolute)
    if "://" not in url:
        scheme = {"http": "ws", "https": "wss"}.get(scheme, scheme)
    return f"{scheme}://{rest}"


def _complaint(
    url: str, stream: ElementTree.Element, parameters: dict[str, str]
) -> tuple[int, str] | None:
    parts = urlsplit(url)
    if not parts.hostname or not _has_valid_port(parts):
        return 31923, "malformed URL"
    if parts.scheme != "wss" and not (parts.scheme == "ws" and is_loopback(parts.hostname)):
        return 31922, "scheme other than wss"
    if parts.query:
        return 31920, "query string in the URL; use <Parameter>"
    if stream.get("track", "inbound_track") != "inbound_track":
        return 31941, "unsupported track"
    if any(len(name) + len(value) >= _PARAMETER_LIMIT for name, value in parameters.items()):
        return 12200, "a <Parameter> of 500 characters or more"
    return None


def _has_valid_port(parts: SplitResult) -> bool:
    try:
        return parts.port != 0
    except ValueError:
        return False


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, where plain `ws` is accepted for development."""
    return host in {"localhost", "::1"} or host.startswith("127.")


def _seconds(text: str) -> float:
    return float(text) if text.isdigit() else 1.0
