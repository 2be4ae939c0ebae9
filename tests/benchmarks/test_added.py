from __future__ import annotations

import asyncio
import math
from pathlib import Path

import pytest

from benchmarks.added import (
    DELAYS,
    PACE,
    PROMPT_MS,
    Asker,
    Providers,
    Turn,
    figures,
    measure,
    prepare,
)
from voice_server.testing.caller import FRAME_MS
from voice_server.testing.lab import elevenlabs_audio as sound
from voice_server.testing.virtual import VirtualLoop


def test_the_providers_own_time_is_not_the_servers() -> None:
    took = PACE.first_byte_s + DELAYS.first_audio_s + 0.012
    assert Turn(final_at=5.0, spoke_at=4.5, heard_at=5.0 + took).added_ms == pytest.approx(12)


def test_percentiles_are_values_that_were_measured() -> None:
    turns = [Turn(0.0, 0.0, 0.275 + ms / 1000) for ms in range(1, 101)]
    found = {figure.name: figure.value for figure in figures("openai", turns)}
    assert [found[f"added to a turn, openai, p{p}"] for p in (50, 95, 99)] == [50, 95, 99]


ANSWER_AT_MS = 5_003


def test_a_caller_notes_to_the_sample_when_the_answer_begins() -> None:
    async def scene() -> Turn:
        loop = asyncio.get_running_loop()
        began = loop.time()
        providers = Providers()
        asker = Asker(providers, 1)
        turn = providers.turns[7] = Turn(final_at=began + 4.0)
        line = bytearray(sound.SILENCE * 1_000)
        for at_ms, audio in (
            (500, sound.voice("Hello.")),
            (ANSWER_AT_MS, sound.voice("7, thanks")),
        ):
            line[at_ms * 8 : at_ms * 8 + len(audio)] = audio
        for now_ms in range(FRAME_MS, 20_000, FRAME_MS):
            await asyncio.sleep(began + now_ms / 1000 - loop.time())
            if asker.move(bytes(line[(now_ms - FRAME_MS) * 8 : now_ms * 8]), now_ms).hangs_up:
                return turn
        raise AssertionError("the caller never hangs up")

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        turn = runner.run(scene())
    assert turn.added_ms == pytest.approx(ANSWER_AT_MS - 4_000 - 275)
    assert turn.whole_ms > turn.added_ms
    assert not math.isnan(turn.spoke_at)


@pytest.mark.postgres
@pytest.mark.weights
@pytest.mark.slow
def test_a_turn_takes_hardly_longer_than_the_providers(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    asyncio.run(prepare(tmp_path / "data", {"end_of_turn_ms": PROMPT_MS}))
    turns = asyncio.run(measure(tmp_path / "data", "openai", calls=1, turns=1))
    assert len(turns) == 1
    assert all(0 < turn.added_ms < 1_000 for turn in turns), "generous: others use the machine"
