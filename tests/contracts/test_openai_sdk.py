"""The real OpenAI SDK, sync and async, is content with the simulated providers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import openai
import pytest

from voice_server.testing.lab.events import Pace
from voice_server.testing.lab.faults import Fault, FaultPlan, Injection
from voice_server.testing.lab.host import hosting
from voice_server.testing.lab.mind import Said, Wanted, always
from voice_server.testing.lab.model import ModelSimulator
from voice_server.testing.lab.openai import chat_completions, compatible

ASK: dict[str, Any] = {
    "model": "gpt-6-luna",
    "messages": [{"role": "user", "content": "Hello"}],
}
BOOK = Said("One moment.", (Wanted("book", '{"name":"Zoë","when":"now"}'),))
TOOL = {"type": "function", "function": {"name": "book", "parameters": {"type": "object"}}}


@asynccontextmanager
async def client(
    simulator: ModelSimulator, path: str = "/v1", **options: Any
) -> AsyncIterator[openai.AsyncOpenAI]:
    options = {"api_key": "key", "max_retries": 0, "timeout": 5.0} | options
    async with (
        hosting(simulator.app) as url,
        openai.AsyncOpenAI(base_url=url + path, **options) as made,
    ):
        yield made


def test_a_whole_completion(virtual):
    async def story() -> None:
        simulator = ModelSimulator(chat_completions(), mind=always(BOOK))
        async with client(simulator) as sdk:
            whole = await sdk.chat.completions.create(**ASK, tools=[TOOL])
            choice = whole.choices[0]
            assert choice.message.content == "One moment."
            assert choice.finish_reason == "tool_calls"
            (call,) = choice.message.tool_calls
            assert msgspec.json.decode(call.function.arguments)["name"] == "Zoë"
            assert whole.usage.total_tokens == (
                whole.usage.prompt_tokens + whole.usage.completion_tokens
            )
            items = simulator.meter.items
            assert items["openai.gpt-6-luna.output_tokens"] == whole.usage.completion_tokens

    virtual(story())


def test_a_streamed_completion_with_usage_last(virtual):
    async def story() -> None:
        async with client(ModelSimulator(chat_completions(), mind=always(BOOK))) as sdk:
            options = {"include_usage": True}
            stream = await sdk.chat.completions.create(**ASK, stream=True, stream_options=options)
            async with stream:
                chunks = [chunk async for chunk in stream]
            assert chunks[0].choices[0].delta.role == "assistant"
            assert chunks[-1].choices == []
            assert chunks[-1].usage.completion_tokens > 0
            assert all(chunk.usage is None for chunk in chunks[:-1])
            assert all(chunk.obfuscation for chunk in chunks)
            texts = [chunk.choices[0].delta.content or "" for chunk in chunks[:-1]]
            assert "".join(texts) == "One moment."
            assert chunks[-2].choices[0].finish_reason == "tool_calls"

    virtual(story())


def test_the_sdks_own_assembly_of_a_stream(virtual):
    async def story() -> None:
        async with client(ModelSimulator(chat_completions(), mind=always(BOOK))) as sdk:
            async with sdk.chat.completions.stream(**ASK) as stream:
                whole = await stream.get_final_completion()
            (call,) = whole.choices[0].message.tool_calls
            assert call.function.name == "book"
            assert msgspec.json.decode(call.function.arguments)["when"] == "now"

    virtual(story())


def test_a_tool_round_trip(virtual):
    async def story() -> None:
        simulator = ModelSimulator(chat_completions())
        async with client(simulator) as sdk:
            call = {"id": "c1", "type": "function"}
            call["function"] = {"name": "book", "arguments": "{}"}
            messages = [
                {"role": "user", "content": "Book it"},
                {"role": "assistant", "content": None, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "c1", "content": '{"order_id": "7"}'},
            ]
            await sdk.chat.completions.create(model="gpt-6-luna", messages=messages)
            messages[2]["tool_call_id"] = "c2"
            with pytest.raises(openai.BadRequestError, match="preceding message"):
                await sdk.chat.completions.create(model="gpt-6-luna", messages=messages)

    virtual(story())


@pytest.mark.parametrize(
    ("fault", "kind", "code"),
    [
        (Fault.UNAUTHORIZED, openai.AuthenticationError, "invalid_api_key"),
        (Fault.RATE_LIMITED, openai.RateLimitError, "rate_limit_exceeded"),
        (Fault.QUOTA, openai.RateLimitError, "insufficient_quota"),
        (Fault.SERVER_ERROR, openai.InternalServerError, None),
        (Fault.DROP, openai.APIConnectionError, None),
        (Fault.SLOW_FIRST_BYTE, openai.APITimeoutError, None),
    ],
)
def test_failures_before_the_answer(virtual, fault, kind, code):
    async def story() -> None:
        simulator = ModelSimulator(chat_completions(), plan=FaultPlan({1: fault}))
        async with client(simulator) as sdk:
            with pytest.raises(kind) as raised:
                await sdk.chat.completions.create(**ASK, stream=True)
            assert raised.value.code == code
            if isinstance(raised.value, openai.APIStatusError):
                assert raised.value.request_id == "req_lab"

    virtual(story())


@pytest.mark.parametrize(
    ("fault", "kind"),
    [(Fault.SERVER_ERROR, openai.APIError), (Fault.DROP, openai.APIConnectionError)],
)
def test_failures_in_the_middle_of_the_answer(virtual, fault, kind):
    async def story() -> None:
        plan = FaultPlan({1: Injection(fault, after_bytes=8)})
        async with client(ModelSimulator(chat_completions(), mind=always(BOOK), plan=plan)) as sdk:
            stream = await sdk.chat.completions.create(**ASK, stream=True)
            got = []

            async def listen() -> None:
                async for chunk in stream:
                    got.append(chunk.choices[0].delta.content)

            with pytest.raises(kind):
                await listen()
            assert "".join(filter(None, got)) == "One mome"

    virtual(story())


def test_the_sdk_tries_again_where_it_may(virtual):
    async def story() -> None:
        simulator = ModelSimulator(
            chat_completions(), mind=always(BOOK), plan=FaultPlan({1: Fault.SERVER_ERROR})
        )
        async with client(simulator, max_retries=1) as sdk:
            assert (await sdk.chat.completions.create(**ASK)).choices
            assert simulator.plan.seen == 2

    virtual(story())


def test_models_that_are_retired_or_unknown(virtual):
    async def story() -> None:
        async with client(ModelSimulator(chat_completions())) as sdk:
            listed = [model.id async for model in sdk.models.list()]
            assert "gpt-6-luna" in listed
            assert "gpt-4.1-nano" not in listed
            for model in ("gpt-4.1-nano", "gpt-99"):
                with pytest.raises(openai.NotFoundError) as raised:
                    await sdk.chat.completions.create(**ASK | {"model": model})
                assert raised.value.code == "model_not_found"

    virtual(story())


def test_parameters_a_model_does_not_take(virtual):
    async def story() -> None:
        async with client(ModelSimulator(chat_completions())) as sdk:
            with pytest.raises(openai.BadRequestError) as raised:
                await sdk.chat.completions.create(**ASK | {"model": "gpt-5.2"}, temperature=1)
            assert raised.value.param == "temperature"
            assert raised.value.code == "unsupported_parameter"

    virtual(story())


@pytest.mark.parametrize(
    ("provider", "model", "path"),
    [
        ("google", "gemini-3.5-flash-lite", "/v1beta/openai/"),
        ("grok", "grok-4.20-non-reasoning", "/v1"),
    ],
)
def test_compatible_providers_with_their_liberties(virtual, provider, model, path):
    async def story() -> None:
        wire = chat_completions(provider, quirks=compatible(), reasoning_tokens=9)
        simulator = ModelSimulator(wire, mind=always(BOOK))
        async with client(simulator, path) as sdk:
            prefix = "models/" if provider == "google" else ""
            assert prefix + model in [listed.id async for listed in sdk.models.list()]
            stream = await sdk.chat.completions.create(**ASK | {"model": model}, stream=True)
            async with stream:
                chunks = [chunk async for chunk in stream]
            usage = [chunk.usage for chunk in chunks if chunk.usage]
            assert len(usage) == len(chunks)
            calls = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or ()]
            (call,) = calls
            assert call.id == ""
            assert call.function.name == "book"

    virtual(story())


def test_google_answers_a_wrong_key_with_400(virtual):
    async def story() -> None:
        simulator = ModelSimulator(chat_completions("google"), keys=frozenset({"right"}))
        async with client(simulator, "/v1beta/openai/") as sdk:
            with pytest.raises(openai.BadRequestError, match="API key not valid"):
                await sdk.models.list()

    virtual(story())


async def test_the_synchronous_sdk_from_a_thread_of_its_own():
    simulator = ModelSimulator(chat_completions(), mind=always(BOOK), pace=Pace(0.0, 0.0))

    def use(url: str) -> str:
        with openai.OpenAI(api_key="key", base_url=f"{url}/v1", max_retries=0) as sdk:
            assert sdk.models.list().data
            with sdk.chat.completions.create(**ASK, stream=True) as stream:
                return "".join(chunk.choices[0].delta.content or "" for chunk in stream)

    async with hosting(simulator.app) as url:
        assert await asyncio.to_thread(use, url) == "One moment."


async def test_requests_that_are_no_json_and_ways_that_lead_nowhere():
    import httpx

    async with (
        hosting(ModelSimulator(chat_completions()).app) as url,
        httpx.AsyncClient(base_url=url) as http,
    ):
        headers = {"authorization": "Bearer key"}
        answer = await http.post("/v1/chat/completions", content=b"{", headers=headers)
        assert answer.status_code == 400
        assert "error" in answer.json()
        assert (await http.get("/v1/nowhere")).status_code == 404
        assert (await http.get("/v1/models")).status_code == 401
