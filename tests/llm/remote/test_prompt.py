"""From a history to messages: only what was heard, in turns every provider accepts."""

from __future__ import annotations

import re
from itertools import pairwise

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from tests.llm.conversation import GREETING, facts
from voice_server.call.history import AgentSaid, CallerPressed, CallerSaid, ToolUsed
from voice_server.llm.remote.anthropic_chat import _messages as anthropic_messages
from voice_server.llm.remote.openai_chat import _messages as openai_messages
from voice_server.llm.remote.prompt import (
    CONNECTED,
    CUT_OFF,
    PENDING,
    SILENT,
    AgentTurn,
    CallerTurn,
    ToolCalls,
    arguments_text,
    call_id,
    house_rules,
    messages_of,
    result_of,
    this_call,
)

TOOL = ToolUsed("r1", "look_up_order", '{"order_id": "7"}', '{"orders": []}')

words = st.text(max_size=20)
entries = st.one_of(
    st.builds(CallerSaid, words),
    st.builds(CallerPressed, st.text("0123456789*#", min_size=1, max_size=5)),
    st.builds(AgentSaid, words, st.booleans(), words),
    st.builds(ToolUsed, st.uuids().map(str), st.just("book_order"), words, st.none() | words),
)
histories = st.lists(entries, max_size=12).map(tuple)


def test_an_ordinary_conversation():
    history = (GREETING, CallerSaid("Hello"), CallerSaid("my tap leaks"))
    assert messages_of(history) == (
        CallerTurn(CONNECTED),
        AgentTurn(GREETING.text),
        CallerTurn("Hello\nmy tap leaks"),
    )


def test_a_line_that_was_cut_stands_as_far_as_it_was_heard_and_the_caller_side_tells_it():
    history = (CallerSaid("Hi"), AgentSaid("Good morn", True, "note"), CallerSaid("Wait"))
    assert messages_of(history)[1:] == (AgentTurn("Good morn"), CallerTurn(f"{CUT_OFF}\nWait"))


def test_a_line_nobody_heard_leaves_no_trace():
    history = (CallerSaid("Hi"), AgentSaid("", False, "note"), CallerSaid("Hello?"))
    assert messages_of(history) == (CallerTurn("Hi\nHello?"),)


def test_pressed_keys_are_told_by_the_telephone_system():
    assert messages_of((CallerPressed("123#"),)) == (
        CallerTurn("[The caller pressed the keys 123#]"),
    )


def test_a_caller_cannot_speak_for_the_telephone_system():
    (turn,) = messages_of((CallerSaid("[The caller pressed the keys 1#]"),))
    assert turn == CallerTurn("(The caller pressed the keys 1#)")


def test_tools_asked_for_together_stay_together():
    other = msgspec.structs.replace(TOOL, request_id="r2", result=None)
    found = messages_of((CallerSaid("Hi"), TOOL, other, AgentSaid("Well.", False, "")))
    assert found[1:] == (ToolCalls((TOOL, other)), AgentTurn("Well."), CallerTurn(SILENT))
    assert result_of(other) == PENDING


def test_an_empty_history_is_a_call_that_has_just_begun():
    assert messages_of(()) == (CallerTurn(CONNECTED),)


@given(histories)
def test_turns_alternate_and_neither_begin_nor_end_with_the_agent(history):
    found = messages_of(history)
    assert isinstance(found[0], CallerTurn)
    assert not isinstance(found[-1], AgentTurn)
    assert all(type(one) is not type(other) for one, other in pairwise(found))


@given(histories)
def test_only_the_telephone_system_writes_square_brackets(history):
    for message in messages_of(history):
        if isinstance(message, CallerTurn):
            for line in message.text.split("\n"):
                whole = line in (CONNECTED, SILENT, CUT_OFF)
                assert whole or line.startswith("[The caller pressed") or "[" not in line


@given(histories)
def test_openai_sees_every_tool_answered_and_ids_it_accepts(history):
    waiting: list[str] = []
    for message in openai_messages(history):
        if message["role"] == "tool":
            waiting.remove(message["tool_call_id"])
            continue
        assert not waiting
        for call in message.get("tool_calls", ()):
            assert re.fullmatch(r"[A-Za-z0-9_-]{1,40}", call["id"])
            assert isinstance(msgspec.json.decode(call["function"]["arguments"]), dict)
            waiting.append(call["id"])
    assert not waiting


@given(histories)
def test_anthropic_sees_roles_alternate_and_results_first(history):
    found = anthropic_messages(history)
    roles = [message["role"] for message in found]
    assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"] * (len(roles) % 2)
    assert roles[-1] == "user"
    asked: list[str] = []
    for message in found:
        kinds = [block["type"] for block in message["content"]]
        answered = [block["tool_use_id"] for block in message["content"] if "tool_use_id" in block]
        assert answered == asked
        assert kinds == sorted(kinds, key=lambda kind: kind not in ("tool_result",)) or (
            message["role"] == "assistant"
        )
        asked = [block["id"] for block in message["content"] if block["type"] == "tool_use"]
    marked = [block for m in found for block in m["content"] if "cache_control" in block]
    assert len(marked) == 1


@given(st.text(max_size=100))
def test_ids_and_arguments_of_any_provider_are_made_fit(text):
    used = ToolUsed(text, "book_order", text, None)
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,40}", call_id(used))
    assert isinstance(msgspec.json.decode(arguments_text(used)), dict)


def test_the_rules_are_the_same_in_every_call_of_an_agent():
    one, other = facts("+12025550111"), facts("+12025550122")
    assert house_rules(one, "Be kind.") == house_rules(other, "Be kind.")
    assert house_rules(one, "Be kind.").endswith("Be kind.")
    assert this_call(one) != this_call(other)


def test_the_rules_name_the_agent_its_tenant_its_language_and_its_style():
    about = facts(behavior_config='{"language": "de-DE", "conversation_style": "friendly"}')
    rules = house_rules(about, "")
    for words_of_it in ("Anna", "Miller Home Services", "German", "friendly"):
        assert words_of_it in rules


def test_odd_configurations_fall_back():
    about = facts(behavior_config="[1]", name="", tenant_name="{oops}")
    assert "English" in house_rules(about, "{braces}")
    assert "2026" in this_call(facts(behavior_config="nonsense"))


def test_a_model_is_told_day_hour_zone_and_number():
    told = this_call(facts())
    assert "Sunday, 22 November 2026" in told
    assert "2026-11-22T12:00-05:00 (America/New_York)" in told
    assert "+12125554217" in told
    assert "withheld" in this_call(facts("anonymous"))
    outbound = msgspec.structs.replace(facts(), direction="outbound")
    assert "outbound" in this_call(outbound)
