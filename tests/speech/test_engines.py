from __future__ import annotations

import asyncio
import json

import pytest

from models.weights import WeightsMissing
from tests.speech.conftest import (
    FACTS,
    FRAME,
    SILENCE,
    channel,
    frames,
    pieces,
    shared_folder,
)
from tests.speech.test_moonshine import edits, words
from voice_server.call.events import FinalTranscript, SpeechReady
from voice_server.speech.engines import LocalEngines, open_local


def test_without_weights_it_says_what_to_do(tmp_path):
    with pytest.raises(WeightsMissing, match="voice-server models pull"):
        open_local(1, tmp_path)


async def say(engines: LocalEngines, *texts: str) -> list[SpeechReady]:
    return [
        event
        async for event in engines.text_to_speech.speak(1, pieces(*texts), FACTS)
        if isinstance(event, SpeechReady)
    ]


async def final(engines: LocalEngines, mulaw: bytes) -> str:
    """What a call hears in one utterance."""
    async with engines.speech_to_text.listen(FACTS) as transcriber:
        for frame in frames(mulaw):
            transcriber.push(frame.ljust(FRAME, b"\xff"))
            await asyncio.sleep(0)
        transcriber.commit(1)
        async for event in transcriber:
            if isinstance(event, FinalTranscript) and event.utterance == 1:
                return event.text
    raise AssertionError("no final")


@pytest.mark.weights
async def test_what_one_call_says_another_understands(engines: LocalEngines):
    speech = await say(engines, "My kitchen sink is leaking.")
    audio = SILENCE * 20 + b"".join(event.mulaw for event in speech) + SILENCE * 12

    text = await final(engines, audio)

    assert "sink is leaking" in text.lower()


@pytest.mark.weights
@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.parametrize(("name", "ceiling"), [("rc_amazon_order", 0.08), ("tel_english2", 0.08)])
async def test_a_recorded_call_is_heard_from_end_to_end(engines: LocalEngines, name, ceiling):
    recording = shared_folder() / "data" / "calls" / f"{name}.wav"
    turns = json.loads(recording.with_suffix(".json").read_text())["turns"]
    said = words(" ".join(turn["text"] for turn in turns))
    heard: list[str] = []
    async with engines.speech_to_text.listen(FACTS) as transcriber:
        for frame in frames(channel(recording)):
            transcriber.push(frame)
        transcriber.commit(1)
        async for event in transcriber:
            if isinstance(event, FinalTranscript):
                heard += words(event.text)
                if event.utterance == 1:
                    break

    assert edits(said, heard) / len(said) < ceiling


@pytest.mark.weights
async def test_voice_activity_hears_the_voice_and_the_pause(engines: LocalEngines):
    speech = await say(engines, "My kitchen sink is leaking.")
    scores: list[int] = []
    told = asyncio.Event()

    def on_score(percent: int) -> None:
        scores.append(percent)
        told.set()

    track = engines.voice_activity.watch(on_score)
    audio = SILENCE * 25 + speech[0].mulaw + SILENCE * 50
    windows = len(audio) // 256
    for count, frame in enumerate(frames(audio), start=1):
        track.push(frame)
        while len(scores) < count * FRAME // 256 - 2:
            told.clear()
            async with asyncio.timeout(30):
                await told.wait()
    track.close()

    third = windows // 3
    assert max(scores[:12]) < 30
    assert max(scores[third : 2 * third]) > 90
    assert max(scores[-10:]) < 30


@pytest.mark.weights
async def test_a_prompt_said_before_is_there_at_once(engines: LocalEngines):
    prompt = "Hello, thank you for calling. How can I help you?"
    first = await say(engines, prompt)
    second = await say(engines, prompt)
    assert second == first
    assert all(again.mulaw is kept.mulaw for again, kept in zip(second, first, strict=True))


@pytest.mark.weights
async def test_synthesis_never_holds_up_the_event_loop(engines: LocalEngines):
    await engines.warm()
    turns = 0
    speaking = asyncio.ensure_future(
        say(engines, "This sentence takes a while to say, and meanwhile the loop goes on turning.")
    )
    while not speaking.done():
        await asyncio.sleep(0)
        turns += 1

    assert await speaking
    assert turns > 100  # a handful, were it done on the loop


@pytest.mark.weights
async def test_many_calls_are_served_by_few_threads(engines: LocalEngines):
    speech = await say(engines, "What is the best phone number to reach you?")
    audio = speech[0].mulaw + SILENCE * 12

    texts = await asyncio.gather(*(final(engines, audio) for _ in range(8)))

    assert len(set(texts)) == 1
    assert "phone number" in texts[0].lower()


@pytest.mark.weights
def test_closing_stops_all_threads():
    try:
        engines = open_local(2)
    except WeightsMissing as missing:
        pytest.skip(str(missing))

    async def use() -> None:
        await engines.warm()
        assert await say(engines, "Goodbye.")

    asyncio.run(use())
    engines.close()
