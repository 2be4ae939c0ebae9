"""A receptionist made of Pipecat's own parts; needs its packages and the lab's environment.

`pip install "pipecat-ai[websocket,elevenlabs,openai,silero,runner]"`, then run it with the
variables that `voice-server lab` prints and `PORT`.
"""

# The peer is installed where it runs, not where ours is checked.
# mypy: ignore-errors

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime

import uvicorn
from fastapi import FastAPI, WebSocket
from loguru import logger
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.frames.frames import LLMRunFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
)
from pipecat.runner.utils import parse_telephony_websocket
from pipecat.serializers.twilio import TwilioFrameSerializer
from pipecat.services.elevenlabs.stt import ElevenLabsRealtimeSTTService
from pipecat.services.elevenlabs.tts import ElevenLabsTTSService
from pipecat.services.openai.llm import OpenAILLMService
from pipecat.transports.websocket.fastapi import (
    FastAPIWebsocketParams,
    FastAPIWebsocketTransport,
)
from pipecat.workers.runner import WorkerRunner

SPEECH = os.environ["VOICE_SERVER_ELEVENLABS_API_URL"].removeprefix("http://")
SPEECH_KEY = os.environ["ELEVENLABS_API_KEY"]
RULES = """\
You are Robin, who answers the telephone for Harbour Home Services. Style: professional.
This call: inbound. It began on {now}."""
RATE = 8000


class PlainEars(ElevenLabsRealtimeSTTService):
    """Pipecat reaches ElevenLabs over TLS only, and the lab has none."""

    async def _websocket_connect(self, url, **options):
        return await super()._websocket_connect(url.replace("wss://", "ws://", 1), **options)


def parts(socket, call):
    """What Pipecat's documentation strings together for a telephone."""
    line = FastAPIWebsocketTransport(
        websocket=socket,
        params=FastAPIWebsocketParams(
            audio_in_enabled=True,
            audio_out_enabled=True,
            serializer=TwilioFrameSerializer(
                stream_sid=call.stream_id,
                call_sid=call.call_id,
                account_sid=os.environ["TWILIO_ACCOUNT_SID"],
                auth_token=os.environ["TWILIO_AUTH_TOKEN"],
                base_url=os.environ["VOICE_SERVER_TWILIO_API_URL"],
            ),
        ),
    )
    now = datetime.now(UTC).isoformat(timespec="minutes")
    mind = OpenAILLMService(
        api_key=os.environ["OPENAI_API_KEY"],
        base_url=os.environ["OPENAI_BASE_URL"],
        settings=OpenAILLMService.Settings(
            model="gpt-4o-mini", system_instruction=RULES.format(now=now)
        ),
    )
    voice = ElevenLabsTTSService(
        api_key=SPEECH_KEY,
        url=f"ws://{SPEECH}",
        settings=ElevenLabsTTSService.Settings(
            voice="JBFqnCBsd6RMkjVDRZzb", model="eleven_flash_v2_5"
        ),
    )
    return line, PlainEars(api_key=SPEECH_KEY, base_url=SPEECH), mind, voice


async def answer(socket: WebSocket) -> None:
    """One call, from its first message to its last."""
    _, call = await parse_telephony_websocket(socket)
    line, ears, mind, voice = parts(socket, call)
    context = LLMContext()
    caller, agent = LLMContextAggregatorPair(
        context, user_params=LLMUserAggregatorParams(vad_analyzer=SileroVADAnalyzer())
    )
    worker = PipelineWorker(
        Pipeline([line.input(), ears, caller, mind, voice, line.output(), agent]),
        params=PipelineParams(audio_in_sample_rate=RATE, audio_out_sample_rate=RATE),
    )
    runner = WorkerRunner(handle_sigint=False)

    @line.event_handler("on_client_connected")
    async def greet(_line, _client):
        context.add_message({"role": "user", "content": "[The call is connected.]"})
        await worker.queue_frames([LLMRunFrame()])

    @line.event_handler("on_client_disconnected")
    async def leave(_line, _client):
        await runner.cancel()

    await runner.add_workers(worker)
    await runner.run()


app = FastAPI()


@app.websocket("/media")
async def media(socket: WebSocket) -> None:
    """Where the carrier's media stream comes in."""
    await socket.accept()
    await answer(socket)


if __name__ == "__main__":
    logger.remove()
    logger.add(sys.stderr, level="WARNING")
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), log_level="warning")
