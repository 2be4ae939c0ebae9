"""The receptionist as a language model: works offline, and is a pure function of the history."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

import msgspec

from db.rows import AgentRow
from voice_server.call.events import (
    Consumed,
    Expectation,
    ReplyEnded,
    ReplyText,
    ToolRequested,
)
from voice_server.call.history import ToolUsed
from voice_server.llm.receptionist import existing
from voice_server.llm.receptionist.dialogue import absorb, decide
from voice_server.llm.receptionist.lexicon import MURMURS
from voice_server.llm.receptionist.numbers import is_dialable, region_of
from voice_server.llm.receptionist.phrases import Voice
from voice_server.llm.receptionist.recall import Said, Scene, recall
from voice_server.llm.receptionist.slots import go_on
from voice_server.llm.receptionist.state import YES_NO, Ask, Memo, write_note
from voice_server.llm.receptionist.turn import Reply, Setting, anything_else, ask
from voice_server.llm.receptionist.understanding import Context, Heard, understand
from voice_server.llm.receptionist.zones import zone_of
from voice_server.ports import CallFacts, ReplyRequest
from voice_server.transfer_rules import transfer_rules

TURNS_ITEM = "local.llm.turns"
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)  # noqa: UP017 - spelled as in times.py
_EXPECTS = {
    Ask.PHONE: Expectation.DIGITS,
    Ask.PHONE_REST: Expectation.DIGITS,
    Ask.REFERENCE: Expectation.DIGITS,
    Ask.SPELLING: Expectation.SPELLING,
    Ask.ADDRESS: Expectation.ADDRESS,
} | {question: Expectation.YES_NO for question in YES_NO}


class Receptionist:
    """Takes service orders by asking for what is missing. Satisfies port `LanguageModel`.

    `can_transfer` tells whether agents that name no human are handed over all the same; the
    callers of others leave messages. One object serves any number of calls: everything a reply
    depends on is in its request.
    """

    __slots__ = ("_can_transfer",)

    def __init__(self, *, can_transfer: bool = True) -> None:
        self._can_transfer = can_transfer

    async def reply(
        self, request: ReplyRequest
    ) -> AsyncGenerator[ReplyText | ToolRequested | ReplyEnded | Consumed, None]:
        """Yield the sentences, the tool if one is needed, and the end with the new memo."""
        memo, reply = self._compose(request)
        yield Consumed(TURNS_ITEM, 1)
        for line in reply.lines:
            yield ReplyText(request.turn, f"{line} ")
        if reply.tool is not None:
            tool = reply.tool
            yield ToolRequested(request.turn, tool.request_id, tool.name, tool.arguments)
        expects = _EXPECTS.get(memo.ask, Expectation.ANYTHING)
        yield ReplyEnded(request.turn, expects, write_note(memo))

    def _compose(self, request: ReplyRequest) -> tuple[Memo, Reply]:
        scene = recall(request.history)
        memo = scene.memo
        own = transfer_rules(request.facts.agent) is not None
        setting = _setting(request.facts, scene, can_transfer=self._can_transfer or own)
        last = _catch_up(memo, scene, setting)
        reply = Reply()
        for used in _untold(scene, memo):
            existing.tell_result(memo, reply, setting, used)
        if last is None or (reply.lines and not _has_content(last)):
            if not reply.lines:
                _continue(memo, reply, setting)
            return memo, reply
        if reply.tool is not None or (memo.ask is Ask.WAITING and reply.lines):
            return memo, reply  # what was said meanwhile waits for the result too
        told = list(reply.lines)
        reply = _answer(memo, last, setting)
        reply.lines[:0] = told[:-1] if told else []
        return memo, reply


def _catch_up(memo: Memo, scene: Scene, setting: Setting) -> Said | None:
    """Fold what was dealt with before into the memo; returns what is still to be answered."""
    for index, said in enumerate(scene.said):
        if said.led_to_tool:
            earlier = scene.tools[: said.tool_count]
            _answer(memo, said, msgspec.structs.replace(setting, tools=earlier))
        elif index == len(scene.said) - 1:
            return said
        else:
            absorb(memo, _understand(memo, said, setting))
    return None


def _answer(memo: Memo, said: Said, setting: Setting) -> Reply:
    doubtful = msgspec.structs.replace(setting, doubtful=said.doubtful)
    return decide(memo, _understand(memo, said, setting), doubtful)


def _understand(memo: Memo, said: Said, setting: Setting) -> Heard:
    return understand(said.text, said.keys, memo, Context(setting.now, setting.region))


def _untold(scene: Scene, memo: Memo) -> tuple[ToolUsed, ...]:
    """Tools whose result the caller has not been told."""
    ids = [used.request_id for used in scene.tools]
    told = ids.index(memo.announced) + 1 if memo.announced in ids else 0
    return scene.tools[told:]


def _has_content(said: Said) -> bool:
    """More than an "okay" murmured while waiting."""
    words = said.text.lower().replace(",", " ").replace(".", " ").split()
    return bool(said.keys) or any(word.strip("!?") not in MURMURS for word in words)


def _continue(memo: Memo, reply: Reply, setting: Setting) -> None:
    """Nobody said anything that is still unanswered: pick up where the call stands."""
    if memo.order_id or memo.ask is Ask.CLOSED:
        anything_else(memo, reply, setting)
    elif memo.service or memo.problem:
        go_on(memo, reply, setting)
    elif memo.count_asked(Ask.OPENING):
        anything_else(memo, reply, setting)
    else:
        ask(memo, reply, setting, Ask.OPENING)


def _setting(facts: CallFacts, scene: Scene, *, can_transfer: bool) -> Setting:
    agent = facts.agent
    behaviour = _object(agent.behavior_config)
    zone = zone_of(_text(behaviour, "timezone"), facts.called_number)
    caller = facts.caller_number if is_dialable(facts.caller_number) else ""
    return Setting(
        voice=_voice(agent, behaviour, scene.turn_count),
        now=(_EPOCH + timedelta(milliseconds=facts.started_at)).astimezone(zone),
        zone=zone,
        region=region_of(facts.called_number, agent.phone_number, caller),
        caller_number=caller if facts.direction != "outbound" else "",
        can_transfer=can_transfer,
        heard=scene.heard,
        interrupted=scene.interrupted,
        doubtful=False,
        tools=scene.tools,
    )


def _voice(agent: AgentRow, behaviour: Mapping[str, Any], turn: int) -> Voice:
    style = _text(behaviour, "conversation_style").lower()
    return Voice(
        turn=turn,
        casual=style in {"friendly", "casual", "informal", "warm"},
        agent_name=agent.name.strip(),
        tenant_name=agent.tenant_name.strip(),
    )


def _object(text: str) -> Mapping[str, Any]:
    """A configuration's JSON object; anything else counts as empty."""
    try:
        parsed = msgspec.json.decode(text)
    except msgspec.MsgspecError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _text(values: Mapping[str, Any], key: str) -> str:
    value = values.get(key)
    return value if isinstance(value, str) else ""
