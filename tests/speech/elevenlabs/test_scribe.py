from __future__ import annotations

import base64
import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_server.errors import ServiceError, ServiceRejected, ServiceUnavailable
from voice_server.speech.elevenlabs import CommitStrategy, EarsConfig, scribe
from voice_server.speech.elevenlabs.scribe import Committed, Hypothesis, Signal, Twins

REJECTED = ("auth_error", "quota_exceeded", "unaccepted_terms", "input_error", "invalid_request")
PASSING = (
    "error", "rate_limited", "queue_overflow", "resource_exhausted", "chunk_size_exceeded",
    "session_time_limit_exceeded", "transcriber_error", "never_seen_before",
)  # fmt: skip


def message(message_type: str, **fields) -> str:
    return json.dumps({"message_type": message_type, "new_field": [1], **fields})


def test_audio_is_sent_as_the_service_wants_it():
    assert json.loads(scribe.audio(b"\xff\x7f")) == {
        "message_type": "input_audio_chunk",
        "audio_base_64": base64.b64encode(b"\xff\x7f").decode(),
        "commit": False,
        "sample_rate": 8000,
    }
    assert json.loads(scribe.COMMIT)["commit"] is True
    assert json.loads(scribe.COMMIT)["audio_base_64"] == ""
    assert json.loads(scribe.KEEP_ALIVE)["commit"] is False


@given(st.binary(max_size=400), st.text(max_size=200))
def test_the_context_of_a_session_is_at_most_fifty_characters(mulaw, said):
    sent = json.loads(scribe.first_audio(mulaw, said))
    assert base64.b64decode(sent["audio_base_64"]) == mulaw
    assert sent["previous_text"] == said[-50:]


def test_a_session_is_asked_for_in_the_callers_own_encoding():
    config = EarsConfig(language="de", keyterms=("a b", "c"))
    assert scribe.query(config) == [
        ("model_id", "scribe_v2_realtime"),
        ("audio_format", "ulaw_8000"),
        ("commit_strategy", "manual"),
        ("language_code", "de"),
        ("keyterms", "a b"),
        ("keyterms", "c"),
    ]
    vad = EarsConfig(commit_strategy=CommitStrategy.VAD, vad_silence_s=0.5)
    assert ("vad_silence_threshold_secs", "0.5") in scribe.query(vad)


@pytest.mark.parametrize(
    ("text", "heard"),
    [
        (message("partial_transcript", text=" hi "), Hypothesis("hi")),
        (message("committed_transcript", text="Hi."), Committed("Hi.", enriched=False)),
        (message("committed_transcript", text=None), Committed("", enriched=False)),
        (
            message("committed_transcript_with_timestamps", text="Hi.", words=[]),
            Committed("Hi.", enriched=True),
        ),
        (message("session_started", session_id="x", config={}), Signal.IGNORED),
        (message("warning", warning="w"), Signal.IGNORED),
        (message("edited_transcript", text="x", edited_text="y"), Signal.IGNORED),
        (message("commit_throttled", error="e"), Signal.NOT_HEARD),
        (message("insufficient_audio_activity", error="e"), Signal.NOT_HEARD),
    ],
)
def test_messages_are_read(text, heard):
    assert scribe.parse(text) == heard


@pytest.mark.parametrize("kind", REJECTED)
def test_errors_that_stay_are_rejections(kind):
    with pytest.raises(ServiceRejected):
        scribe.parse(message(kind, error="secret words"))


@pytest.mark.parametrize("kind", PASSING)
def test_other_errors_may_pass(kind):
    with pytest.raises(ServiceUnavailable) as error:
        scribe.parse(message(kind, error="secret words"))
    assert "secret" not in str(error.value)


@given(st.one_of(st.text(), st.binary()))
def test_garbage_raises_nothing_but_a_service_error(garbage):
    with contextlib.suppress(ServiceError):
        scribe.parse(garbage)


@given(
    st.fixed_dictionaries(
        {"message_type": st.sampled_from([*PASSING, *REJECTED, "partial_transcript", "x"])},
        optional={"text": st.one_of(st.none(), st.text(), st.integers()), "error": st.text()},
    )
)
def test_odd_fields_raise_nothing_but_a_service_error(fields):
    with contextlib.suppress(ServiceError):
        scribe.parse(json.dumps(fields))


PLAIN, RICH = Committed("Yes, please.", enriched=False), Committed("yes please", enriched=True)


def test_the_second_copy_is_recognised_in_either_order():
    for first, second in ((PLAIN, RICH), (RICH, PLAIN)):
        twins = Twins()
        assert [twins.is_second(first), twins.is_second(second)] == [False, True]
        assert [twins.is_second(first), twins.is_second(second)] == [False, True]


def test_two_commits_of_the_same_words_are_two():
    twins = Twins()
    assert [twins.is_second(PLAIN), twins.is_second(PLAIN)] == [False, False]
    assert [twins.is_second(RICH), twins.is_second(RICH)] == [True, True]


def test_a_missing_copy_does_not_hide_a_later_commit():
    twins = Twins()
    other = Committed("no", enriched=False)
    assert not twins.is_second(PLAIN)
    assert not twins.is_second(other)
    assert twins.is_second(Committed("no", enriched=True))
    assert not twins.is_second(PLAIN)
