"""The simulator has the traps of the service, so that falling into one shows in a test."""

from __future__ import annotations

import asyncio
import base64
import json

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from voice_server.testing.lab import elevenlabs_audio as sound
from voice_server.testing.lab.elevenlabs import VOICES, Quirks, open_elevenlabs
from voice_server.testing.lab.faults import Fault, Injection

VOICE = next(iter(VOICES))
EARS = "/v1/speech-to-text/realtime?model_id=scribe_v2_realtime&audio_format=ulaw_8000"
SPEECH = f"/v1/text-to-speech/{VOICE}/multi-stream-input?model_id=eleven_flash_v2_5"
DIALOGUE = "/v1/text-to-dialogue/multi-stream-input?model_id=eleven_v3"


def dial(lab, path: str):
    url = lab.url.replace("http", "ws") + path
    return connect(url, additional_headers={"xi-api-key": lab.key}, proxy=None)


async def rest(socket) -> tuple[list[dict], int | None]:
    """All that still comes, and the close code."""
    told = []
    try:
        async for message in socket:
            told.append(json.loads(message))
    except ConnectionClosed:
        pass
    return told, socket.close_code


def chunk(audio: bytes = b"", **fields) -> str:
    encoded = base64.b64encode(audio).decode()
    return json.dumps(
        {"message_type": "input_audio_chunk", "audio_base_64": encoded, "commit": False, **fields}
    )


@pytest.mark.parametrize("text", ["", "hello", "Grüße aus Köln", "a b c d e"])
def test_tagged_speech_is_heard_as_what_it_says(text):
    assert sound.heard(sound.SILENCE + sound.spoken(text) + sound.SILENCE) == text
    assert sound.voiced(sound.spoken(text)) is bool(text)
    assert not sound.voiced(sound.SILENCE * 3)


@pytest.mark.parametrize("text", ["", "Hello, world.", "Ünïcode – “quoted”"])
def test_the_voice_says_what_it_was_given(text):
    assert sound.said(sound.voice(text)) == text
    assert len(sound.voice(text)) == 496 * len(text)


def test_a_script_answers_loud_audio_only():
    script = sound.Scripted(["one", "two"])
    assert script(sound.SILENCE) == ""
    assert [script(sound.spoken("x")) for _ in range(3)] == ["one", "two", ""]


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("&language_code=en-US", "invalid_request"),
        ("&commit_strategy=whenever", "invalid_request"),
        ("&keyterms=" + "x" * 21, "input_error"),
        ("&keyterms=x" * 51, "input_error"),
    ],
)
def test_the_recogniser_refuses_what_the_service_refuses(virtual, query, error):
    async def main():
        async with open_elevenlabs() as lab, dial(lab, EARS + query) as socket:
            told, code = await rest(socket)
            assert [message["message_type"] for message in told] == [error]
            assert code == 1008

    virtual(main())


@pytest.mark.parametrize(
    "messages",
    [
        [chunk(sound.SILENCE * 5, commit=True)],  # less than 0.3 s
        [chunk(sound.SILENCE), chunk(sound.SILENCE, previous_text="too late")],
        [chunk(sound.SILENCE, previous_text="x" * 51)],
        ["no json"],
    ],
)
def test_the_recogniser_closes_on_what_the_service_closes_on(virtual, messages):
    async def main():
        async with open_elevenlabs() as lab, dial(lab, EARS) as socket:
            for message in messages:
                await socket.send(message)
            assert (await rest(socket))[1] == 1008

    virtual(main())


def test_the_recogniser_takes_both_forms_of_a_commit(virtual):
    async def main():
        async with open_elevenlabs() as lab, dial(lab, EARS) as socket:
            for commit in (chunk(commit=True), '{"message_type":"commit"}'):
                await socket.send(chunk(sound.spoken("hello you")))
                await socket.send(commit)
                while (said := json.loads(await socket.recv()))["message_type"] != (
                    "committed_transcript"
                ):
                    pass
                assert said["text"] == "hello you"

    virtual(main())


def test_an_idle_recogniser_hangs_up(virtual):
    async def main():
        async with open_elevenlabs(quirks=Quirks(ears_idle_s=5)) as lab, dial(lab, EARS) as socket:
            assert (await rest(socket))[1] == 1008

    virtual(main())


def context(name: str, **fields) -> str:
    return json.dumps({"context_id": name, **fields})


def test_the_sixth_context_closes_the_socket(virtual):
    async def main():
        async with open_elevenlabs() as lab, dial(lab, SPEECH) as socket:
            for number in range(6):
                await socket.send(context(f"c{number}", text=" "))
            told, code = await rest(socket)
            assert told[-1]["error"] == "max_active_conversations"
            assert code == 1008

    virtual(main())


@pytest.mark.parametrize(
    "messages",
    [
        [context("c", text=""), context("c", text=" ", voice_settings={"speed": 1})],
        [context("c", text=" "), context("c", text="x ", voice_settings={"speed": 1})],
        [context("c", text="no init ")],
    ],
    ids=["keep-alive before init", "settings after init", "no init"],
)
def test_the_voice_closes_on_what_the_service_closes_on(virtual, messages):
    async def main():
        async with open_elevenlabs() as lab, dial(lab, SPEECH) as socket:
            for message in messages:
                await socket.send(message)
            assert (await rest(socket))[1] == 1008

    virtual(main())


def test_text_that_was_not_flushed_is_not_spoken(virtual):
    async def main():
        async with open_elevenlabs() as lab, dial(lab, SPEECH) as socket:
            await socket.send(context("c", text=" "))
            await socket.send(context("c", text="short "))
            await socket.send(context("c", close_context=True))
            assert json.loads(await socket.recv())["isFinal"] is True
            await socket.send('{"close_socket":true}')
            assert (await rest(socket))[1] == 1000

    virtual(main())


@pytest.mark.parametrize(("path", "seconds"), [(SPEECH, 20), (DIALOGUE, 20)])
def test_an_idle_voice_hangs_up(virtual, path, seconds):
    async def main():
        async with open_elevenlabs() as lab, dial(lab, path) as socket:
            assert (await rest(socket))[1] == 1008

    virtual(main())


def test_the_newest_models_speak_dialogue_only(virtual):
    async def main():
        async with open_elevenlabs() as lab:
            with pytest.raises(Exception, match="403"):
                await dial(lab, SPEECH.replace("eleven_flash_v2_5", "eleven_v3"))

    virtual(main())


@pytest.mark.parametrize("path", [EARS, SPEECH])
def test_a_connection_that_lives_can_meet_its_fate(virtual, path):
    fate = Injection(Fault.CLOSE, code=4321)
    words = [json.dumps({"text": text, "context_id": "c", "flush": text != " "}) for text in " x"]
    heard = {EARS: [chunk(sound.SILENCE)], SPEECH: words}

    async def main():
        async with open_elevenlabs() as lab, dial(lab, path) as socket:
            await asyncio.sleep(0.1)
            for session in (*lab.ears, *lab.voices_open):
                session.wire.meet(fate)
            for message in heard[path]:
                await socket.send(message)
            assert (await rest(socket))[1] == 4321

    virtual(main())
