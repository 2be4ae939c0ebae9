"""The simulated models hold whole calls: the synthetic callers, through every provider."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.llm.conversation import GREETING, facts, office
from tests.llm.remote.minds import PROVIDERS, Desk, open_desk, text_of, tools_of
from voice_server.call.events import ToolRequested
from voice_server.call.history import AgentSaid, CallerPressed, CallerSaid, Entry, ToolUsed
from voice_server.llm.remote.prompt import CUT_OFF, house_rules, this_call
from voice_server.testing import script as scripts
from voice_server.testing.lab.mind import Asked, Rebuilt, ReceptionistMind, facts_of
from voice_server.testing.virtual import run

FOLDER = Path(__file__).parents[1] / "callers"
ENDINGS = {
    "book_plumbing": ["book_order", "end_call"],
    "book_cleaning_interrupting": ["book_order", "end_call"],
    "ask_for_human": ["transfer_call"],
    "wrong_number": ["end_call"],
    "scam_refund": ["end_call"],
}


async def play(name: str, desks: list[Desk]) -> list[ToolRequested]:
    """A synthetic caller on paper; the desks answer in turn, as after a change of provider."""
    caller = scripts.read_script(FOLDER / f"{name}.json")
    about = facts(caller.from_number)
    history: list[Entry] = [GREETING]
    tools: list[ToolRequested] = []
    turn = 0
    for index, line in enumerate(caller.turns):
        following = caller.turns[index + 1] if index + 1 < len(caller.turns) else None
        cut = following is not None and following.interrupt_after_s is not None
        history.append(CallerPressed(line.digits) if line.digits else CallerSaid(line.text))
        heard = []
        while True:
            turn += 1
            desk = desks[turn % len(desks)]
            pieces = await desk.ask(tuple(history), about, turn)
            heard.append(text_of(pieces).strip())
            wanted = tools_of(pieces)
            tools += wanted
            if not wanted or wanted[0].name in ("end_call", "transfer_call"):
                break
            (used,) = wanted
            result = office(used.name, used.arguments)
            history.append(ToolUsed(used.request_id, used.name, used.arguments, result))
        if wanted:
            return tools
        words = " ".join(filter(None, heard))
        history.append(AgentSaid(words[:40], True, "") if cut else AgentSaid(words, False, ""))
    return tools


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("name", ENDINGS)
def test_a_synthetic_caller_gets_what_it_came_for(virtual, name, provider):
    async def story() -> None:
        async with open_desk(provider) as desk:
            tools = await play(name, [desk])
            assert [tool.name for tool in tools] == ENDINGS[name]
            assert desk.ledger == desk.simulator.meter.items

    virtual(story())


def test_a_call_goes_on_when_every_turn_is_answered_by_another_provider(virtual):
    async def story() -> None:
        async with (
            open_desk("openai") as one,
            open_desk("anthropic") as two,
            open_desk("google") as three,
        ):
            tools = await play("book_plumbing", [one, two, three])
            assert [tool.name for tool in tools] == ENDINGS["book_plumbing"]
            order = msgspec.json.decode(tools[0].arguments)
            assert order["customer_name"] == "Mary Cooper"

    virtual(story())


def test_facts_are_read_from_our_prompt():
    about = facts()
    told = facts_of(house_rules(about, "Be kind.") + "\n\n" + this_call(about))
    assert told.agent.name == "Anna"
    assert told.agent.tenant_name == "Miller Home Services"
    assert told.started_at == about.started_at
    assert told.caller_number == about.caller_number
    assert told.called_number == about.called_number
    assert "America/New_York" in told.agent.behavior_config


def test_any_other_prompt_gets_a_neutral_office():
    told = facts_of("You are a helpful assistant.")
    assert told.caller_number == "anonymous"
    said = run(ReceptionistMind()(Asked("", (CallerSaid("My tap leaks"),), ())))
    assert said.text
    assert not said.tools


def test_a_tool_that_is_not_on_offer_is_not_asked_for():
    history = (CallerSaid("Goodbye."),)
    assert run(ReceptionistMind()(Asked("", history, ("end_call",)))).tools
    assert not run(ReceptionistMind()(Asked("", history, ()))).tools


def test_a_conversation_is_rebuilt_from_its_messages():
    rebuilt = Rebuilt()
    rebuilt.caller("[The call is connected.]")
    rebuilt.agent("Hello")
    rebuilt.caller(f"{CUT_OFF}\nmy tap leaks\n[The caller pressed the keys 12#]")
    rebuilt.tool("a", "f", "{}")
    assert not rebuilt.result("b", "{}")
    assert rebuilt.result("a", '{"x":1}')
    assert rebuilt.history == (
        AgentSaid("Hello", True, ""),
        CallerSaid("my tap leaks"),
        CallerPressed("12#"),
        ToolUsed("a", "f", "{}", '{"x":1}'),
    )
