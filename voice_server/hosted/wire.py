"""The messages of the conversation socket (`/v1/convai/conversation`)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec

from voice_server.call import END_CALL
from voice_server.errors import ServiceError, ServiceRejected, ServiceUnavailable
from voice_server.speech.elevenlabs.voice_wire import Aligned, Alignment

SERVICE = "ElevenLabs Agents"
AUDIO_FORMAT = "ulaw_8000"
PATH = ("v1", "convai", "conversation")
SIGNED_URL_PATH = (*PATH, "get-signed-url")
CONVERSATIONS_PATH = ("v1", "convai", "conversations")


class Began(msgspec.Struct, frozen=True):
    """The conversation stands; audio goes either way in these formats."""

    conversation_id: str
    heard_as: str
    spoken_as: str


class Sound(msgspec.Struct, frozen=True):
    """Audio of the response of `number`; `alignment` None = the service tells no times."""

    number: int | None
    mulaw: bytes
    alignment: Alignment | None
    final: bool


class Heard(msgspec.Struct, frozen=True):
    """What the caller said."""

    text: str


class SeemsHeard(msgspec.Struct, frozen=True):
    """What the caller seems to be saying."""

    text: str


class Said(msgspec.Struct, frozen=True):
    """The whole text of a response, before or with its first audio."""

    number: int | None
    text: str


class Corrected(msgspec.Struct, frozen=True):
    """What the service takes for the heard part of a response."""

    original: str
    corrected: str


class Completed(msgspec.Struct, frozen=True):
    """All audio of a response was sent."""

    number: int | None


class Interrupted(msgspec.Struct, frozen=True):
    """The caller interrupted: responses up to `number` have no more audio."""

    number: int


class Ping(msgspec.Struct, frozen=True):
    """To be answered with a pong."""

    number: int


class ToolWanted(msgspec.Struct, frozen=True):
    """The agent wants a tool of ours. `arguments` is JSON text."""

    key: str
    name: str
    arguments: str


class Goodbye(msgspec.Struct, frozen=True):
    """The agent ends the call once its words have been heard."""


class Broken(msgspec.Struct, frozen=True):
    """The conversation cannot go on."""

    error: ServiceError


Message: TypeAlias = (
    Began
    | Sound
    | Heard
    | SeemsHeard
    | Said
    | Corrected
    | Completed
    | Interrupted
    | Ping
    | ToolWanted
    | Goodbye
    | Broken
)


class _Metadata(msgspec.Struct):
    conversation_id: str
    agent_output_audio_format: str = "pcm_16000"
    user_input_audio_format: str = "pcm_16000"


class _Audio(msgspec.Struct):
    audio_base_64: str = ""
    event_id: int | None = None
    alignment: Aligned | None = None
    is_final: bool | None = None


class _Transcript(msgspec.Struct):
    user_transcript: str


class _Response(msgspec.Struct):
    agent_response: str
    event_id: int | None = None


class _Correction(msgspec.Struct):
    corrected_agent_response: str
    original_agent_response: str = ""


class _Numbered(msgspec.Struct):
    event_id: int | None = None


class _ToolCall(msgspec.Struct):
    tool_name: str
    tool_call_id: str
    parameters: dict[str, Any] = {}


class _ToolResponse(msgspec.Struct):
    tool_name: str
    is_error: bool = False
    is_called: bool = True


class _Error(msgspec.Struct):
    error_type: str | None = None


class _Message(msgspec.Struct):
    """All kinds; those of this table are read, whatever else the service tells."""

    type: str = ""
    conversation_initiation_metadata_event: _Metadata | None = None
    audio_event: _Audio | None = None
    user_transcription_event: _Transcript | None = None
    tentative_user_transcription_event: _Transcript | None = None
    agent_response_event: _Response | None = None
    agent_response_correction_event: _Correction | None = None
    agent_response_complete_event: _Numbered | None = None
    interruption_event: _Numbered | None = None
    ping_event: _Numbered | None = None
    client_tool_call: _ToolCall | None = None
    agent_tool_response: _ToolResponse | None = None
    error_event: _Error | None = None


# Ids and numbers come as texts from some versions of the service: read both.
_decode = msgspec.json.Decoder(_Message, strict=False).decode

_ADVICE = {
    "override_error": "the agent does not allow an override; allow it in the agent's security "
    "settings, or take it out of overrides in elevenlabs_config",
    "missing_dynamic_variable": "the agent needs a dynamic variable; add it to "
    "dynamic_variables in elevenlabs_config",
    "missing_dynamic_variable_transfer": "the agent needs a dynamic variable; add it to "
    "dynamic_variables in elevenlabs_config",
}


def parse(message: str | bytes) -> Message | None:
    """Read one message, None = of no interest; raises `ServiceUnavailable` for garbage."""
    try:
        return _read(_decode(message))
    except (msgspec.MsgspecError, UnicodeDecodeError, binascii.Error):
        raise ServiceUnavailable(SERVICE, "sent something that is no message") from None


def _read(said: _Message) -> Message | None:
    if (event := said.audio_event) is not None:
        mulaw = base64.b64decode(event.audio_base_64, validate=True)
        alignment = event.alignment.ends() if event.alignment is not None else None
        return Sound(event.event_id, mulaw, alignment, bool(event.is_final))
    if (heard := said.user_transcription_event) is not None:
        return Heard(heard.user_transcript.strip())
    if (seems := said.tentative_user_transcription_event) is not None:
        return SeemsHeard(seems.user_transcript.strip())
    if (response := said.agent_response_event) is not None:
        return Said(response.event_id, response.agent_response.strip())
    if (correction := said.agent_response_correction_event) is not None:
        original = correction.original_agent_response.strip()
        return Corrected(original, correction.corrected_agent_response.strip())
    if (ping := said.ping_event) is not None:
        return Ping(ping.event_id or 0)
    if (began := said.conversation_initiation_metadata_event) is not None:
        heard_as, spoken_as = began.user_input_audio_format, began.agent_output_audio_format
        return Began(began.conversation_id, heard_as, spoken_as)
    if (wanted := said.client_tool_call) is not None:
        arguments = msgspec.json.encode(wanted.parameters).decode()
        return ToolWanted(wanted.tool_call_id, wanted.tool_name, arguments)
    return _read_end(said)


def _read_end(said: _Message) -> Message | None:
    if (cut := said.interruption_event) is not None:
        return Interrupted(cut.event_id or 0)
    if said.type == "agent_response_complete":
        complete = said.agent_response_complete_event
        return Completed(complete.event_id if complete is not None else None)
    if (used := said.agent_tool_response) is not None:
        ends = used.tool_name == END_CALL and used.is_called and not used.is_error
        return Goodbye() if ends else None
    if (error := said.error_event) is not None:
        return Broken(of_error_type(error.error_type or ""))
    return None


def of_error_type(error_type: str) -> ServiceError:
    """The error for a type of theirs; an unknown one may pass."""
    if advice := _ADVICE.get(error_type):
        return ServiceRejected(SERVICE, f"{advice} ({error_type})")
    return ServiceUnavailable(SERVICE, "reports trouble; it may pass")


def initiation(
    *,
    agent: Mapping[str, str],
    voice_id: str,
    dynamic_variables: Mapping[str, str | int | float | bool],
) -> str:
    """The first message of ours; `agent` are overrides, and so is a `voice_id` other than ""."""
    override: dict[str, Any] = {}
    if agent:
        override["agent"] = dict(agent)
    if voice_id:
        override["tts"] = {"voice_id": voice_id}
    return _json(
        {
            "type": "conversation_initiation_client_data",
            "conversation_config_override": override,
            "dynamic_variables": dict(dynamic_variables),
        }
    )


def audio(mulaw: bytes) -> str:
    """A portion of what the caller says."""
    return f'{{"user_audio_chunk":"{base64.b64encode(mulaw).decode()}"}}'


def pong(number: int) -> str:
    """The answer to a ping."""
    return _json({"type": "pong", "event_id": number})


def user_message(text: str) -> str:
    """Words of the caller that were not spoken: the agent answers them."""
    return _json({"type": "user_message", "text": text})


def contextual_update(text: str) -> str:
    """Something the agent should know, without an answer."""
    return _json({"type": "contextual_update", "text": text})


def tool_result(key: str, result: str, *, failed: bool) -> str:
    """What a tool of ours has brought."""
    told = {"type": "client_tool_result", "tool_call_id": key, "result": result}
    return _json(told | {"is_error": failed})


def _json(fields: dict[str, Any]) -> str:
    return msgspec.json.encode(fields).decode()
