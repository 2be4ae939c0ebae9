"""What an operator sees of engines: by provider and engine, never by key."""

from __future__ import annotations

from contextlib import aclosing
from functools import partial

import httpx
import pytest

from tests.engines.engines import DOWN, LIMITS, REFUSED, REQUEST, Ears, Mind, Voice, collect, slowly
from tests.engines.test_selection import local
from tests.runtime.fakes import FACTS
from voice_server.engines.ears import EarsChain, EarsLink
from voice_server.engines.health import Health
from voice_server.engines.hosted import HostedAgents, HostedPlan
from voice_server.engines.plan import LocalOnly
from voice_server.engines.race import Runner, race
from voice_server.engines.tally import Tally
from voice_server.engines.voice import VoiceChain, VoiceLink
from voice_server.errors import (
    EngineBroken,
    KeyRefused,
    ServiceError,
    ServiceRejected,
    ServiceUnavailable,
)
from voice_server.hosted import HostedConfig
from voice_server.telemetry import Metrics


class Board:
    """Healths that count, and what was counted."""

    def __init__(self) -> None:
        self._metrics = Metrics()

    def health(self, place: int) -> Health:
        tally = Tally(self._metrics.engines, f"provider {place}", "engine")
        return Health(f"engine {place}", tally=tally)

    def __call__(self, name: str, place: int, **labels: str) -> float:
        labels = {"provider": f"provider {place}", "engine": "engine", **labels}
        value = self._metrics.registry.get_sample_value(f"voice_server_engine{name}", labels)
        return value or 0.0


@pytest.fixture
def board() -> Board:
    return Board()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ServiceUnavailable("x", "HTTP 503"), "unavailable"),
        (ServiceRejected("x", "quota"), "rejected"),
        (KeyRefused("x", "HTTP 401"), "key_refused"),
        (EngineBroken("x", "a bug"), "bug"),
    ],
)
def test_failures_are_counted_by_their_kind(board: Board, error: ServiceError, kind: str) -> None:
    board.health(0).failed(0.0, error)
    assert board("_failures_total", 0, kind=kind) == 1


def test_an_engine_rests_from_its_last_failure_to_its_next_answer(board: Board) -> None:
    health = board.health(0)
    health.failed(0.0, DOWN)
    assert board("s_resting", 0) == 0
    health.failed(1.0, DOWN)
    health.failed(2.0, DOWN)
    health.failed(3.0, DOWN)
    assert board("s_resting", 0) == 1
    assert health.may_ask(60.0)
    assert board("s_resting", 0) == 1, "a probe is no answer"
    health.answered(0.1)
    health.answered(0.1)
    assert board("s_resting", 0) == 0


def test_an_account_that_is_forgotten_does_not_rest_for_ever(board: Board) -> None:
    health, other = board.health(0), board.health(0)
    health.failed(0.0, REFUSED)
    other.failed(0.0, REFUSED)
    assert board("s_resting", 0) == 2
    health.forget()
    assert board("s_resting", 0) == 1


def contest(board: Board, *minds: Mind) -> list[Runner]:
    return [
        Runner(board.health(place), LIMITS, partial(mind.reply, REQUEST))
        for place, mind in enumerate(minds)
    ]


def test_a_prompt_answer_counts_nothing(virtual, board: Board) -> None:
    virtual(collect(race(contest(board, Mind(0.1, "a"), Mind("b")))))
    assert [board(name, place) for name in ("_hedges_total", "_fallbacks_total")
            for place in (0, 1)] == [0, 0, 0, 0]  # fmt: skip


def test_a_hedge_that_loses_is_counted_as_a_hedge_only(virtual, board: Board) -> None:
    virtual(collect(race(contest(board, Mind(0.9, "late"), Mind(0.5, "slow")))))
    assert (board("_hedges_total", 1), board("_fallbacks_total", 1)) == (1, 0)


def test_a_hedge_that_wins_has_worked_in_place_of_the_first(virtual, board: Board) -> None:
    virtual(collect(race(contest(board, Mind(0.99, "late"), Mind(0.1, "quick")))))
    assert (board("_hedges_total", 1), board("_fallbacks_total", 1)) == (1, 1)


def test_who_answers_after_a_failure_is_a_fallback_and_no_hedge(virtual, board: Board) -> None:
    virtual(collect(race(contest(board, Mind(DOWN), Mind("b")))))
    assert (board("_hedges_total", 1), board("_fallbacks_total", 1)) == (0, 1)
    assert board("_failures_total", 0, kind="unavailable") == 1


def test_a_voice_that_goes_on_for_another_is_a_fallback(virtual, board: Board) -> None:
    voices = VoiceChain(
        [
            VoiceLink(voice, board.health(place), LIMITS)
            for place, voice in enumerate((Voice(moods={0: DOWN}), Voice()))
        ]
    )

    async def speak() -> None:
        async for _ in voices.speak(1, slowly(["Hello there."], 0.0), FACTS):
            pass

    virtual(speak())
    assert (board("_fallbacks_total", 0), board("_fallbacks_total", 1)) == (0, 1)


def test_ears_that_go_on_for_others_are_a_fallback(virtual, board: Board) -> None:
    ears = (Ears(refuses=DOWN), Ears())
    chain = EarsChain([EarsLink(each, board.health(place)) for place, each in enumerate(ears)])

    async def listen() -> None:
        async with chain.listen(FACTS) as transcriber:
            transcriber.push(b"a")
            transcriber.commit(1)
            async with aclosing(aiter(transcriber)) as hearing:
                await anext(hearing)

    virtual(listen())
    assert (board("_fallbacks_total", 0), board("_fallbacks_total", 1)) == (0, 1)


async def test_a_hosted_agent_counts_as_an_engine_of_elevenlabs() -> None:
    metrics = Metrics()
    async with httpx.AsyncClient() as http:
        agents = HostedAgents("http://127.0.0.1:9", lambda: http, metrics.engines)
        plan = await agents.plan(
            FACTS, HostedConfig("agent"), None, voice_id="voice", ordinary=LocalOnly(local())
        )
    assert isinstance(plan, HostedPlan)
    plan.health.failed(0.0, DOWN)
    labels = {"provider": "elevenlabs", "engine": "hosted_agent", "kind": "unavailable"}
    assert metrics.registry.get_sample_value("voice_server_engine_failures_total", labels) == 1
