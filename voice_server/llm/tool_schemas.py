"""The tools as the providers want them described: JSON schemas in two dialects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from voice_server.llm.tools import (
    BOOK_ORDER,
    CANCEL_ORDER,
    END_CALL,
    LOOK_UP_ORDER,
    SEARCH_WEB,
    SEND_SMS,
    TAKE_MESSAGE,
    TRANSFER_CALL,
)

MAX_QUERY = 200
MAX_SMS = 480


class EndCall(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Hang up, once your goodbye has been said."""

    disposition: Annotated[
        str, Meta(max_length=40, description="How the call went, e.g. answered or wrong_number.")
    ] = "answered"


class TransferCall(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Put the caller through to a person. Say so in the same reply, before you call this."""

    reason: Annotated[str, Meta(max_length=200, description="Why, in a few words.")] = ""


class SendSms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Send a text message to the number the caller is calling from, after they agreed."""

    message: Annotated[
        str, Meta(min_length=1, max_length=MAX_SMS, description="The text of the message.")
    ]


class SearchWeb(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Look up a public fact on the web. Never search for people or for what callers told you."""

    query: Annotated[
        str, Meta(min_length=1, max_length=MAX_QUERY, description="A few search words.")
    ]


class ToolSchema(msgspec.Struct, frozen=True):
    """One tool: its name, what it is for, and the JSON schema of its arguments."""

    name: str
    description: str
    parameters: dict[str, Any]


_ORDER_TOOLS = (BOOK_ORDER, LOOK_UP_ORDER, CANCEL_ORDER, TAKE_MESSAGE)


def offered(
    order_arguments: Mapping[str, type[msgspec.Struct]],
    *,
    can_transfer: bool,
    can_text: bool,
    can_search: bool,
) -> tuple[ToolSchema, ...]:
    """The tools of a call. The order is fixed, for providers cache the beginning of a prompt."""
    kinds = {name: order_arguments[name] for name in _ORDER_TOOLS if name in order_arguments}
    kinds[END_CALL] = EndCall
    if can_transfer:
        kinds[TRANSFER_CALL] = TransferCall
    if can_text:
        kinds[SEND_SMS] = SendSms
    if can_search:
        kinds[SEARCH_WEB] = SearchWeb
    return tuple(describe(name, kind) for name, kind in kinds.items())


def describe(name: str, kind: type[msgspec.Struct]) -> ToolSchema:
    """The schema of one tool; its description is the docstring of the arguments."""
    (_,), found = msgspec.json.schema_components((kind,))
    parameters = _inlined(found[kind.__name__], found)
    description = str(parameters.pop("description", "")).strip()
    parameters.pop("title", None)
    return ToolSchema(name, description, parameters)


def _inlined(schema: Any, found: Mapping[str, Any]) -> Any:
    """The schema without references: not every compatible endpoint follows them."""
    if isinstance(schema, dict):
        if "$ref" in schema:
            return _inlined(found[str(schema["$ref"]).rsplit("/", 1)[-1]], found)
        return {key: _inlined(value, found) for key, value in schema.items()}
    if isinstance(schema, list):
        return [_inlined(item, found) for item in schema]
    return schema


def for_openai(tools: Iterable[ToolSchema]) -> list[dict[str, Any]]:
    """The `tools` of a chat completion."""
    return [{"type": "function", "function": msgspec.to_builtins(tool)} for tool in tools]


def for_anthropic(tools: Iterable[ToolSchema]) -> list[dict[str, Any]]:
    """The `tools` of a message request."""
    return [
        {"name": tool.name, "description": tool.description, "input_schema": tool.parameters}
        for tool in tools
    ]
