"""Streams put together chunk by chunk, also those that come in the wrong order."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.llm.conversation import facts
from voice_server.call.history import ToolUsed
from voice_server.errors import ServiceError, ServiceUnavailable
from voice_server.limits import Limits
from voice_server.llm.remote.answer import ToolParts, ending
from voice_server.llm.remote.anthropic_chat import MessageAnswer
from voice_server.llm.remote.openai_chat import ChatAnswer
from voice_server.llm.remote.patience import Patience
from voice_server.ports import ReplyRequest

REQUEST = ReplyRequest(3, (), facts())


def chunk(finish=None, **delta: object) -> dict[str, object]:
    return dict(choices=[dict(delta=dict(**delta), finish_reason=finish)], usage=None)


def call(index=0, key=None, name=None, arguments=None) -> dict[str, object]:
    return dict(index=index, id=key, function=dict(name=name, arguments=arguments))


def taken(*chunks: object) -> ChatAnswer:
    answer = ChatAnswer("openai")
    for piece in chunks:
        answer.take(piece)
    return answer


def calls_of(answer: ChatAnswer) -> list[tuple[str, str, str]]:
    events = answer.ending(REQUEST)[:-1]
    return [(event.request_id, event.name, event.arguments) for event in events]


def test_fragments_of_several_calls_may_interleave():
    answer = taken(
        chunk(tool_calls=[call(0, "a", "f", "")]),
        chunk(tool_calls=[call(1, "b", "g", "")]),
        chunk(tool_calls=[call(0, arguments='{"x"')]),
        chunk(tool_calls=[call(1, arguments='{"y"')]),
        chunk(tool_calls=[call(0, arguments=":1}"), call(1, arguments=":2}")]),
        chunk("tool_calls"),
    )
    assert calls_of(answer) == [("a", "f", '{"x":1}'), ("b", "g", '{"y":2}')]


def test_whole_calls_without_index_and_id_are_calls_of_their_own():
    answer = taken(
        chunk(tool_calls=[call(None, "", "f", '{"x":1}')]),
        chunk(tool_calls=[call(None, None, "g", None)]),
        chunk("stop"),
    )
    assert calls_of(answer) == [("f-3", "f", '{"x":1}'), ("g-3", "g", "{}")]


def test_whole_calls_that_all_have_index_0_are_calls_of_their_own():
    answer = taken(
        chunk(tool_calls=[call(0, "", "f", '{"x":1}')]),
        chunk(tool_calls=[call(0, "", "f", '{"x":2}')]),
        chunk("tool_calls"),
    )
    assert [arguments for _, _, arguments in calls_of(answer)] == ['{"x":1}', '{"x":2}']


def test_a_name_repeated_with_every_fragment_is_one_call():
    answer = taken(
        chunk(tool_calls=[call(0, "a", "f", '{"x"')]),
        chunk(tool_calls=[call(0, "a", "f", ":1}")]),
        chunk("tool_calls"),
    )
    assert calls_of(answer) == [("a", "f", '{"x":1}')]


def test_arguments_before_their_tool_are_an_outage():
    with pytest.raises(ServiceUnavailable, match="before their tool"):
        taken(chunk(tool_calls=[call(0, arguments="{}")]))


def test_half_an_answer_is_an_outage():
    with pytest.raises(ServiceUnavailable, match="broke off"):
        taken(chunk(content="Hello")).ending(REQUEST)


def test_a_refusal_is_spoken():
    answer = ChatAnswer("openai")
    assert answer.take(chunk(refusal="I can't help with that.")) == "I can't help with that."


def test_a_tool_with_an_impossible_name_is_an_outage():
    for name in ("two words", "", "ä", "x" * 65):
        with pytest.raises(ServiceUnavailable, match="garbled tool"):
            ending("openai", REQUEST, "", [ToolParts("a", name)])


def test_too_many_tools_are_an_outage():
    with pytest.raises(ServiceUnavailable, match="garbled tool"):
        ending("openai", REQUEST, "", [ToolParts(str(n), "f") for n in range(9)])


def test_ids_are_unique_in_the_call():
    history = (ToolUsed("a", "f", "{}", "{}"), ToolUsed("a-2", "f", "{}", "{}"))
    request = ReplyRequest(3, history, facts())
    tools = [ToolParts("a", "f"), ToolParts("a", "f"), ToolParts("", "f")]
    keys = [event.request_id for event in ending("openai", request, "", tools)[:-1]]
    assert keys == ["a-3", "a-4", "f-3"]


FIELDS = (
    "choices delta content tool_calls function name arguments id index usage"
    " finish_reason type message content_block text partial_json stop_reason"
    " output_tokens prompt_tokens"
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(FIELDS.split()), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.lists(anything, max_size=5))
def test_chunks_of_any_shape_are_text_or_an_outage(chunks):
    answer = ChatAnswer("openai")
    try:
        for piece in chunks:
            assert isinstance(answer.take(piece), str)
        answer.ending(REQUEST)
    except ServiceError:
        pass


KINDS = ["message_start", "content_block_start", "content_block_delta", "message_delta", "ping"]


@given(st.lists(st.tuples(st.sampled_from(KINDS), anything, anything, anything), max_size=5))
def test_events_of_any_shape_and_order_are_text_or_an_outage(events):
    answer = MessageAnswer()
    try:
        for kind, delta, block, index in events:
            event = dict(type=kind, delta=delta, content_block=block, index=index, message=delta)
            assert isinstance(answer.take(event), str)
        answer.ending(REQUEST)
    except ServiceError:
        pass
    assert answer.usage is None or answer.usage.output >= 0


def test_an_end_before_the_beginning_is_an_outage():
    delta = dict(stop_reason="end_turn")
    with pytest.raises(ServiceUnavailable, match="no beginning"):
        MessageAnswer().take(dict(type="message_delta", delta=delta, usage=None))


def test_waiting_has_three_limits(virtual):
    limits = Limits(first_byte_s=3.0, between_s=1.0, total_s=5.0)

    async def story() -> None:
        loop = asyncio.get_running_loop()
        patience = Patience("openai", limits)
        with pytest.raises(ServiceUnavailable, match="did not answer in time"):
            await patience.wait(asyncio.sleep(10))
        assert loop.time() == pytest.approx(3.0)
        patience.answered()
        with pytest.raises(ServiceUnavailable, match="went silent"):
            await patience.wait(asyncio.sleep(10))
        assert loop.time() == pytest.approx(4.0)
        await patience.wait(asyncio.sleep(0.9))
        with pytest.raises(ServiceUnavailable):
            await patience.wait(asyncio.sleep(0.9))
        assert loop.time() == pytest.approx(5.0)

    virtual(story())
