"""Every fault in every state of a call: what happens, and how long until it does.

Run with `-s` to see the tables.
"""

from __future__ import annotations

import asyncio
import sys

import pytest

from tests.speech.elevenlabs.conftest import ears, mouth
from voice_server.errors import ServiceRejected
from voice_server.testing.lab import elevenlabs_audio as sound
from voice_server.testing.lab.faults import Fault, FaultPlan, Injection

FINAL = frozenset({Fault.UNAUTHORIZED, Fault.QUOTA})
FAULTS = [fault for fault in Fault if fault is not Fault.NONE]
ONCE, ALWAYS = "once", "always"
DELAY_S = 30.0
SENTENCE = "the tap in my kitchen drips all night"
REPLY = ("Hello, this is Acme Plumbing. ", "How can I help you today?")

# Bytes of the caller's audio that pass before the fault: at the handshake, before the first
# words, in mid-sentence, after the commit.
EARS_STATES = {"connecting": 0, "listening": 800, "mid-sentence": 9_600, "committed": 21_000}
VOICE_STATES = {"first audio": 0, "mid-sentence": 6_000, "second piece": 16_000}

RECOVERS_S = 1.6  # a stalled commit, a new connection, the words
GIVES_UP_S = 3.1


def plan(fault: Fault, how_often: str, after_bytes: int) -> FaultPlan:
    injection = Injection(fault, after_bytes=after_bytes, delay_s=DELAY_S)
    return FaultPlan({1: injection}) if how_often == ONCE else FaultPlan(otherwise=injection)


def show(title: str, rows: list[tuple[str, ...]]) -> None:
    sys.stdout.write(f"\n{title}\n" + "".join(f"  {' | '.join(row)}\n" for row in rows))


async def listen(fault: Fault, how_often: str, after_bytes: int) -> tuple[str, float]:
    """What became of one sentence; when after its commit, or an error after its cause."""
    async with ears(ears_faults=plan(fault, how_often, after_bytes)) as (_, ear, _ledger):
        began = asyncio.get_running_loop().time()
        number = await ear.say(SENTENCE, pause_ms=300)
        await asyncio.sleep(8)
        if ear.error is None:
            assert ear.words == SENTENCE
            return "heard", ear.answered_after(number)
        kept = " ".join(
            sound.heard(part) for part in ear.transcriber.backlog() if isinstance(part, bytes)
        )
        assert kept == SENTENCE  # for the engine that comes after
        struck_at = began + after_bytes / 8000
        if fault is Fault.STALL and after_bytes:  # shows only when an answer is owed
            struck_at = ear.committed_at[number]
        kind = "rejected" if isinstance(ear.error, ServiceRejected) else "unavailable"
        return kind, ear.error_at - struck_at


@pytest.mark.parametrize("how_often", [ONCE, ALWAYS])
def test_the_ears_hear_every_word_or_say_why_not(virtual, how_often):
    async def main():
        rows = []
        for fault in FAULTS:
            for state, after_bytes in EARS_STATES.items():
                kind, seconds = await listen(fault, how_often, after_bytes)
                rows.append((f"{fault:15}", f"{state:12}", f"{kind:11}", f"{seconds:5.2f} s"))
                if fault in FINAL:
                    assert kind == "rejected"
                    assert seconds < 0.2
                elif how_often == ONCE:
                    assert kind == "heard"
                    assert seconds < RECOVERS_S
                else:
                    assert seconds < GIVES_UP_S
        show(f"ears, fault on {how_often} (time after the commit, or from fault to error)", rows)

    virtual(main())


@pytest.mark.parametrize("how_often", [ONCE, ALWAYS])
def test_the_voice_says_every_word_or_says_why_not(virtual, how_often):
    async def main():
        rows = []
        for fault in FAULTS:
            for state, after_bytes in VOICE_STATES.items():
                socket = plan(fault, how_often, after_bytes)
                http = FaultPlan() if how_often == ONCE else plan(fault, how_often, after_bytes)
                async with mouth(voice_faults=socket, http_faults=http) as it:
                    turn = await it.say(*REPLY)
                gaps = [b - a for a, b in zip(turn.times, turn.times[1:], strict=False)]
                longest = max([turn.first_s, *gaps])
                kind = type(turn.error).__name__ if turn.error else "said"
                heard_until = turn.times[-1] - turn.began if turn.times else 0.0
                end = turn.error_at - heard_until if turn.error else longest
                rows.append((f"{fault:15}", f"{state:12}", f"{kind:18}", f"{end:5.2f} s"))
                assert "".join(REPLY).startswith(turn.text)
                if turn.error is None:
                    assert turn.text == "".join(REPLY)
                    assert longest < RECOVERS_S + 0.1
                elif how_often == ONCE:
                    assert fault in FINAL
                else:
                    assert end < GIVES_UP_S
        show(f"voice, fault on socket (and HTTP) {how_often} (longest silence, or error)", rows)

    virtual(main())
