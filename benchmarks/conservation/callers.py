"""Who calls: people who book, ask, interrupt, fall silent and hang up at any moment."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any, Final

import asyncpg
import msgspec

import db
from benchmarks.conservation.town import WEB_QUESTION
from benchmarks.tagged import talker
from voice_server.testing.caller import Caller, SilentCaller
from voice_server.testing.faults import Faults
from voice_server.testing.lab.elevenlabs_agents import AGENT_ID
from voice_server.testing.script import Turn

_BOOKING: Final = (
    "Hi, my kitchen sink is leaking.",
    "My name is Mary Cooper.",
    "It's twelve Oak Street.",
    "Yes, please.",
    "Tomorrow at ten in the morning.",
    "Yes, please.",
    "No, that's all. Thank you. Goodbye.",
)
_QUESTIONS: Final = (
    "Can I talk to a real person, please?",
    f"Please {WEB_QUESTION} how to shut off the water of a house.",
    "What does it cost to have a tap replaced?",
    f"Could you {WEB_QUESTION} the opening hours of the town hall?",
    "Oh sorry, I think I have the wrong number.",
)

# Between them every way to a provider: both commit strategies, both voice sockets, each maker
# of models first and others as its hedge, a hosted agent.
_AGENTS: Final[dict[str, dict[str, dict[str, Any]]]] = {
    db.DEMO_NUMBER: {},
    "+12025550101": {
        "voice_config": {"model_id": "eleven_v3_conversational"},
        "llm_config": {"model": "claude-haiku-5-5"},
    },
    "+12025550102": {
        "voice_config": {
            "stt": {"commit_strategy": "vad", "vad_silence_s": 0.4},
            "language": "en",
        },
        "llm_config": {"model": "gpt-6-luna"},
    },
    "+12025550103": {"elevenlabs_config": {"agent_id": AGENT_ID}},
    "+12025550104": {"llm_config": {"model": "gemini-3.5-flash-lite"}},
    "+12025550105": {"llm_config": {"model": "grok-4.20-non-reasoning"}},
}


async def hire(database_url: str) -> None:
    """Put the agents that the calls reach beside the demo agent, for the same tenant."""
    connection = await asyncpg.connect(database_url)
    try:
        for number, configs in _AGENTS.items():
            agent = db.DEMO_AGENT_ID if number == db.DEMO_NUMBER else f"agent-{number}"
            await connection.execute(
                """
                INSERT INTO ai_agents (id, user_id, name, description) VALUES
                ($1, $2, 'Robin', 'Answers the phone') ON CONFLICT (id) DO NOTHING
                """,
                agent,
                db.DEMO_USER_ID,
            )
            for column, config in configs.items():
                await connection.execute(
                    f"UPDATE ai_agents SET {column} = $2::jsonb WHERE id = $1",
                    agent,
                    msgspec.json.encode(config).decode(),
                )
            await connection.execute(
                """
                INSERT INTO phone_numbers (number, user_id, agent_id) VALUES ($1, $2, $3)
                ON CONFLICT (number) DO NOTHING
                """,
                number,
                db.DEMO_USER_ID,
                agent,
            )
    finally:
        await connection.close()


class Plan(msgspec.Struct, frozen=True):
    """One call to be made."""

    kind: str
    from_number: str
    to_number: str
    caller: Callable[[], Caller]
    hang_up_at_s: float | None
    faults: Faults


def plans(calls: int, seed: int) -> Iterator[Plan]:
    """So many calls, each from a number of its own."""
    chance = random.Random(seed)
    for number in range(calls):
        kind, caller = _caller(chance)
        dies = chance.random() < 0.1
        drop_at_s = chance.uniform(0.0, 40.0) if dies else None
        yield Plan(
            kind=kind,
            from_number=f"+1303{5_550_000 + number:07}",
            to_number=chance.choice(tuple(_AGENTS)),
            caller=caller,
            hang_up_at_s=chance.uniform(0.0, 60.0) if chance.random() < 0.6 else None,
            faults=Faults(drop_at_s=drop_at_s, drop_ends_call=chance.random() < 0.5),
        )


def _caller(chance: random.Random) -> tuple[str, Callable[[], Caller]]:
    roll = chance.random()
    if roll < 0.1:
        stay_ms = chance.randrange(0, 30_000, 20)
        return "is silent", lambda: SilentCaller(stay_ms, digits="55", digits_at_ms=3_000)
    if roll < 0.5:
        said = list(_BOOKING[: chance.randrange(1, len(_BOOKING) + 1)])
    else:
        said = [chance.choice(_QUESTIONS) for _ in range(chance.randrange(1, 4))]
    rude = chance.random() < 0.5
    turns = [Turn(text=text, **_timing(chance, rude=rude)) for text in said]
    kind = f"{'books' if roll < 0.5 else 'asks'}{' and interrupts' if rude else ''}"
    return kind, lambda: talker(turns)


def _timing(chance: random.Random, *, rude: bool) -> dict[str, Any]:
    if rude and chance.random() < 0.5:
        return {"interrupt_after_s": chance.uniform(0.05, 4.0)}
    return {"pause_s": chance.choice((0.0, 0.0, chance.uniform(0.0, 3.0)))}
