"""What the providers are told of the tools."""

from __future__ import annotations

import msgspec
import pytest

from voice_server.llm.tool_schemas import describe, for_anthropic, for_openai, offered
from voice_server.orders.toolbox import ARGUMENTS

ALL = offered(ARGUMENTS, can_transfer=True, can_text=True, can_search=True)


def test_all_tools_are_offered_in_a_fixed_order():
    assert [tool.name for tool in ALL] == [
        "book_order",
        "look_up_order",
        "cancel_order",
        "take_message",
        "end_call",
        "transfer_call",
        "send_sms",
        "search_web",
    ]


@pytest.mark.parametrize(
    ("missing", "tool"),
    [("can_transfer", "transfer_call"), ("can_text", "send_sms"), ("can_search", "search_web")],
)
def test_what_a_call_cannot_do_is_not_offered(missing, tool):
    able = {"can_transfer": True, "can_text": True, "can_search": True} | {missing: False}
    names = {described.name for described in offered(ARGUMENTS, **able)}
    assert names == {described.name for described in ALL} - {tool}


@pytest.mark.parametrize("tool", ALL, ids=lambda tool: tool.name)
def test_a_schema_is_an_object_without_references_and_says_what_it_is_for(tool):
    assert tool.description
    assert tool.parameters["type"] == "object"
    assert tool.parameters["additionalProperties"] is False
    assert "$ref" not in msgspec.json.encode(tool.parameters).decode()
    for field in tool.parameters["properties"].values():
        assert field["type"] == "string"
        assert field["description"]


def test_the_schema_is_that_of_the_arguments_the_tool_reads():
    book = ALL[0].parameters
    assert set(book["properties"]) == set(ARGUMENTS["book_order"].__struct_fields__)
    assert set(book["required"]) == {
        "customer_name",
        "customer_phone",
        "service_type",
        "description",
    }


def test_the_two_dialects():
    (openai,) = for_openai(ALL[4:5])
    assert openai["type"] == "function"
    assert openai["function"]["name"] == "end_call"
    assert openai["function"]["parameters"] == ALL[4].parameters
    (anthropic,) = for_anthropic(ALL[4:5])
    assert anthropic["name"] == "end_call"
    assert anthropic["input_schema"] == ALL[4].parameters


class Place(msgspec.Struct):
    """A place."""

    street: str


class Visit(msgspec.Struct):
    """A visit."""

    places: list[Place]


def test_nested_arguments_are_written_out():
    tool = describe("visit", Visit)
    items = tool.parameters["properties"]["places"]["items"]
    assert items["properties"]["street"] == {"type": "string"}
