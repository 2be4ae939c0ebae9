"""The real Anthropic SDK, sync and async, is content with the simulated Anthropic."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anthropic
import pytest

from voice_server.testing.lab.anthropic import messages
from voice_server.testing.lab.events import Pace
from voice_server.testing.lab.faults import Fault, FaultPlan, Injection
from voice_server.testing.lab.host import hosting
from voice_server.testing.lab.mind import Said, Wanted, always
from voice_server.testing.lab.model import ModelSimulator

ASK: dict[str, Any] = {
    "model": "claude-haiku-5-5",
    "max_tokens": 200,
    "messages": [{"role": "user", "content": "Hello"}],
}
BOOK = Said("One moment.", (Wanted("book", '{"name":"Zoë"}'), Wanted("end", "{}")))


@asynccontextmanager
async def client(
    simulator: ModelSimulator, **options: Any
) -> AsyncIterator[anthropic.AsyncAnthropic]:
    options = {"api_key": "key", "max_retries": 0, "timeout": 5.0} | options
    async with (
        hosting(simulator.app) as url,
        anthropic.AsyncAnthropic(base_url=url, **options) as made,
    ):
        yield made


def test_a_whole_message(virtual):
    async def story() -> None:
        async with client(ModelSimulator(messages(), mind=always(BOOK))) as sdk:
            message = await sdk.messages.create(**ASK)
            text, book, end = message.content
            assert text.text == "One moment."
            assert (book.name, book.input) == ("book", {"name": "Zoë"})
            assert end.input == {}
            assert message.stop_reason == "tool_use"

    virtual(story())


def test_a_streamed_message_as_the_sdk_puts_it_together(virtual):
    async def story() -> None:
        simulator = ModelSimulator(messages(), mind=always(BOOK))
        async with client(simulator) as sdk:
            async with sdk.messages.stream(**ASK) as stream:
                text = "".join([piece async for piece in stream.text_stream])
                message = await stream.get_final_message()
            assert text == "One moment."
            assert [block.type for block in message.content] == ["text", "tool_use", "tool_use"]
            assert message.content[1].input == {"name": "Zoë"}
            items = simulator.meter.items
            assert items["anthropic.claude-haiku-5-5.output_tokens"] == message.usage.output_tokens
            assert items["anthropic.claude-haiku-5-5.input_tokens"] == message.usage.input_tokens

    virtual(story())


def test_raw_events_come_in_order_with_output_counted_up(virtual):
    async def story() -> None:
        async with client(ModelSimulator(messages(), mind=always(BOOK))) as sdk:
            events = [event async for event in await sdk.messages.create(**ASK, stream=True)]
            kinds = [event.type for event in events]
            assert kinds[0] == "message_start"
            assert kinds[-2:] == ["message_delta", "message_stop"]
            assert kinds.count("content_block_start") == kinds.count("content_block_stop") == 3
            assert events[0].message.usage.output_tokens == 1
            assert events[-2].usage.output_tokens > 5

    virtual(story())


def test_thinking_comes_before_the_text(virtual):
    async def story() -> None:
        simulator = ModelSimulator(messages(thoughts="Let me see."), mind=always(Said("Yes.")))
        async with client(simulator) as sdk:
            async with sdk.messages.stream(**ASK | {"model": "claude-sonnet-5-5"}) as stream:
                message = await stream.get_final_message()
            thinking, text = message.content
            assert (thinking.thinking, text.text) == ("Let me see.", "Yes.")

    virtual(story())


def test_a_prompt_seen_before_is_read_from_the_cache(virtual):
    async def story() -> None:
        rules = [{"type": "text", "text": "rule " * 1_000, "cache_control": {"type": "ephemeral"}}]
        async with client(ModelSimulator(messages(), mind=always(Said("Yes.")))) as sdk:
            first = await sdk.messages.create(**ASK, system=rules)
            second = await sdk.messages.create(**ASK, system=rules)
            assert first.usage.cache_creation_input_tokens > 1_000
            assert second.usage.cache_read_input_tokens > 1_000
            assert second.usage.cache_creation_input_tokens == 0

    virtual(story())


@pytest.mark.parametrize(
    ("fault", "kind", "cause"),
    [
        (Fault.UNAUTHORIZED, anthropic.AuthenticationError, "authentication_error"),
        (Fault.RATE_LIMITED, anthropic.RateLimitError, "rate_limit_error"),
        (Fault.SERVER_ERROR, anthropic.InternalServerError, "overloaded_error"),
        (Fault.QUOTA, anthropic.APIStatusError, "billing_error"),
    ],
)
def test_failures_before_the_answer(virtual, fault, kind, cause):
    async def story() -> None:
        async with client(ModelSimulator(messages(), plan=FaultPlan({1: fault}))) as sdk:
            with pytest.raises(kind) as raised:
                await sdk.messages.create(**ASK, stream=True)
            assert raised.value.type == cause
            assert raised.value.request_id == "req_lab"

    virtual(story())


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault.DROP, anthropic.APIConnectionError),
        (Fault.SLOW_FIRST_BYTE, anthropic.APITimeoutError),
    ],
)
def test_connections_that_die_or_stay_silent(virtual, fault, kind):
    async def story() -> None:
        async with client(ModelSimulator(messages(), plan=FaultPlan({1: fault}))) as sdk:
            with pytest.raises(kind):
                await sdk.messages.create(**ASK, stream=True)

    virtual(story())


def test_an_error_in_the_middle_has_status_200_and_a_type(virtual):
    async def story() -> None:
        plan = FaultPlan({1: Injection(Fault.SERVER_ERROR, after_bytes=4)})
        async with client(ModelSimulator(messages(), mind=always(BOOK), plan=plan)) as sdk:
            with pytest.raises(anthropic.APIStatusError) as raised:
                async for _ in await sdk.messages.create(**ASK, stream=True):
                    pass
            assert raised.value.status_code == 200
            assert raised.value.type == "overloaded_error"

    virtual(story())


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"extra_body": {"temperature": 1.0}}, "temperature: Extra inputs are not permitted"),
        ({"messages": [{"role": "assistant", "content": "Hi"}]}, 'must use the "user" role'),
        (
            {
                "messages": [
                    {"role": "user", "content": "Hi"},
                    {"role": "assistant", "content": "The answer is"},
                ]
            },
            "prefill",
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "tool_result", "tool_use_id": "toolu_1", "content": "{}"}
                        ],
                    }
                ]
            },
            "tool_use_id",
        ),
        (
            {"model": "claude-sonnet-5-5", "thinking": {"type": "disabled"}},
            "thinking cannot be disabled",
        ),
    ],
)
def test_requests_the_api_refuses(virtual, changes, complaint):
    async def story() -> None:
        async with client(ModelSimulator(messages())) as sdk:
            with pytest.raises(anthropic.BadRequestError, match=complaint):
                await sdk.messages.create(**ASK | changes)

    virtual(story())


def test_an_older_version_of_the_api_takes_a_temperature(virtual):
    async def story() -> None:
        simulator = ModelSimulator(messages(), mind=always(Said("Yes.")))
        headers = {"anthropic-version": "2023-06-01"}
        async with client(simulator, default_headers=headers) as sdk:
            await sdk.messages.create(**ASK, extra_body={"temperature": 0.5})
            assert simulator.bodies[0]["temperature"] == 0.5

    virtual(story())


def test_models_and_keys(virtual):
    async def story() -> None:
        async with client(ModelSimulator(messages(), keys=frozenset({"key"}))) as sdk:
            page = await sdk.models.list(limit=1)
            assert page.data[0].id.startswith("claude-")
            with pytest.raises(anthropic.NotFoundError):
                await sdk.messages.create(**ASK | {"model": "claude-99"})
        async with client(ModelSimulator(messages(), keys=frozenset({"another"}))) as sdk:
            with pytest.raises(anthropic.AuthenticationError):
                await sdk.models.list(limit=1)

    virtual(story())


async def test_the_synchronous_sdk_from_a_thread_of_its_own():
    simulator = ModelSimulator(messages(), mind=always(BOOK), pace=Pace(0.0, 0.0))

    def use(url: str) -> str:
        with (
            anthropic.Anthropic(api_key="key", base_url=url, max_retries=0) as sdk,
            sdk.messages.stream(**ASK) as stream,
        ):
            return "".join(stream.text_stream)

    async with hosting(simulator.app) as url:
        assert await asyncio.to_thread(use, url) == "One moment."
