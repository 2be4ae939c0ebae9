"""The messages of the conversation socket, read and written."""

from __future__ import annotations

import base64
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_server.errors import ServiceError, ServiceRejected, ServiceUnavailable
from voice_server.hosted import wire

MULAW = b"\x10\x90" * 80
AUDIO = base64.b64encode(MULAW).decode()


def read(kind: str, body: str = "", **fields: Any) -> wire.Message | None:
    message = {"type": kind} | ({body: fields} if body else {})
    return wire.parse(msgspec.json.encode(message))


@pytest.mark.parametrize(
    ("kind", "body", "fields", "message"),
    [
        (
            "conversation_initiation_metadata",
            "conversation_initiation_metadata_event",
            {
                "conversation_id": "conv_1",
                "agent_output_audio_format": "ulaw_8000",
                "user_input_audio_format": "pcm_16000",
            },
            wire.Began("conv_1", "pcm_16000", "ulaw_8000"),
        ),
        (
            "user_transcript",
            "user_transcription_event",
            {"user_transcript": " Hello. ", "event_id": 3},
            wire.Heard("Hello."),
        ),
        (
            "tentative_user_transcript",
            "tentative_user_transcription_event",
            {"user_transcript": "Hel"},
            wire.SeemsHeard("Hel"),
        ),
        (
            "agent_response",
            "agent_response_event",
            {"agent_response": "Hi. ", "event_id": 4},
            wire.Said(4, "Hi."),
        ),
        (
            "agent_response",
            "agent_response_event",
            {"agent_response": "Hi."},
            wire.Said(None, "Hi."),
        ),
        (
            "agent_response_correction",
            "agent_response_correction_event",
            {"original_agent_response": "Hi there.", "corrected_agent_response": "Hi..."},
            wire.Corrected("Hi there.", "Hi..."),
        ),
        (
            "agent_response_complete",
            "agent_response_complete_event",
            {"event_id": 4},
            wire.Completed(4),
        ),
        ("agent_response_complete", "", {}, wire.Completed(None)),
        ("interruption", "interruption_event", {"event_id": "5"}, wire.Interrupted(5)),
        ("ping", "ping_event", {"event_id": 6, "ping_ms": None}, wire.Ping(6)),
        (
            "client_tool_call",
            "client_tool_call",
            {"tool_name": "book_order", "tool_call_id": "t1", "parameters": {"a": 1}},
            wire.ToolWanted("t1", "book_order", '{"a":1}'),
        ),
        (
            "agent_tool_response",
            "agent_tool_response",
            {"tool_name": "end_call", "tool_type": "system", "is_called": True},
            wire.Goodbye(),
        ),
    ],
)
def test_what_matters_is_read(kind, body, fields, message):
    assert read(kind, body, **fields) == message


@pytest.mark.parametrize(
    ("kind", "body", "fields"),
    [
        ("vad_score", "vad_score_event", {"vad_score": 0.9}),
        ("agent_tool_response", "agent_tool_response", {"tool_name": "search"}),
        ("agent_tool_response", "agent_tool_response", {"tool_name": "end_call", "is_error": True}),
        ("asr_initiation_metadata", "asr_initiation_metadata_event", {}),
        ("a kind of next year", "its_event", {"new": True}),
    ],
)
def test_the_rest_is_of_no_interest(kind, body, fields):
    assert read(kind, body, **fields) is None


@pytest.mark.parametrize(
    ("more", "alignment", "final"),
    [
        ({}, None, False),
        ({"is_final": True}, None, True),
        (
            {
                "alignment": {
                    "chars": ["H", "i"],
                    "char_start_times_ms": [0, 60],
                    "char_durations_ms": [60, 40],
                }
            },
            [("H", 60.0), ("i", 100.0)],
            False,
        ),
    ],
)
def test_audio_comes_with_its_number_and_sometimes_its_times(more, alignment, final):
    sound = read("audio", "audio_event", audio_base_64=AUDIO, event_id=2, **more)
    assert sound == wire.Sound(2, MULAW, alignment, final)


@pytest.mark.parametrize(
    ("error_type", "kind", "word"),
    [
        ("override_error", ServiceRejected, "overrides"),
        ("missing_dynamic_variable", ServiceRejected, "dynamic_variables"),
        ("llm_timeout", ServiceUnavailable, "may pass"),
        (None, ServiceUnavailable, "may pass"),
    ],
)
def test_an_error_says_what_to_do(error_type, kind, word):
    told = read("client_error", "error_event", code=1011, error_type=error_type, message="Mary!")
    assert isinstance(told, wire.Broken)
    assert type(told.error) is kind
    assert word in str(told.error)
    assert "Mary" not in str(told.error)


@pytest.mark.parametrize(
    "message",
    ["", "[]", '{"type": \x00', b"\xff", '{"type":"audio","audio_event":{"audio_base_64":"?"}}'],
)
def test_garbage_is_refused_without_being_repeated(message):
    with pytest.raises(ServiceUnavailable, match="no message"):
        wire.parse(message)


@given(st.text() | st.binary())
def test_anything_else_is_read_or_refused(message):
    with suppress(ServiceError):
        wire.parse(message)


def test_what_is_sent_has_the_form_of_the_vendors_client():
    sent = [
        wire.audio(MULAW),
        wire.pong(7),
        wire.user_message("[The caller pressed the keys 5#]"),
        wire.contextual_update('Said: "Hello"'),
        wire.tool_result("t1", '{"ok":true}', failed=False),
    ]
    assert [msgspec.json.decode(one) for one in sent] == [
        {"user_audio_chunk": AUDIO},
        {"type": "pong", "event_id": 7},
        {"type": "user_message", "text": "[The caller pressed the keys 5#]"},
        {"type": "contextual_update", "text": 'Said: "Hello"'},
        {
            "type": "client_tool_result",
            "tool_call_id": "t1",
            "result": '{"ok":true}',
            "is_error": False,
        },
    ]


def test_the_opening_overrides_only_what_it_is_told_to():
    plain = msgspec.json.decode(wire.initiation(agent={}, voice_id="", dynamic_variables={}))
    assert plain["conversation_config_override"] == {}
    full = msgspec.json.decode(
        wire.initiation(
            agent={"first_message": "Hi."}, voice_id="v1", dynamic_variables={"call_id": "c1"}
        )
    )
    assert full == {
        "type": "conversation_initiation_client_data",
        "conversation_config_override": {
            "agent": {"first_message": "Hi."},
            "tts": {"voice_id": "v1"},
        },
        "dynamic_variables": {"call_id": "c1"},
    }
