"""The shield over many calls: what one call teaches the next."""

from __future__ import annotations

import asyncio

import pytest

from db.rows import AgentRow
from detectors import ScamModel
from detectors.assessment import Assessment, Segment, Severity
from detectors.crosscall import Signal
from detectors.fusion import Band
from voice_server.call import Policy
from voice_server.ports import CallFacts
from voice_server.shield import ScamShield, with_signals

MODEL = ScamModel.load()
SCRIPT = (
    "This is the billing department of your cable provider and we are calling because your "
    "plan qualifies for half of the price if you settle three months in advance today"
)


def facts(tenant: str = "t1", caller: str = "+12025550143") -> CallFacts:
    agent = AgentRow("a", tenant, "Acme", "Robin", "active", "+12025550100", "", "", "", "")
    return CallFacts("call-1", agent, "CA1", caller, "+12025550100", "inbound", 0)


def says(text: str, number: int = 0, speaker: str = "caller") -> Segment:
    return Segment(number, speaker, text, 0, 1_000)


async def whole_call(shield: ScamShield, call: CallFacts, *texts: str) -> Assessment:
    track = shield.follow(call)
    view = None
    for number, text in enumerate(texts):
        view = await track.assess([says(text, number)])
    track.end()
    await asyncio.get_running_loop().run_in_executor(shield.pool, lambda: None)
    assert view is not None
    return view


def names(view: Assessment) -> list[str]:
    return [finding.name for finding in view.findings if finding.detector == "crosscall"]


async def test_the_same_script_from_another_number_is_noticed():
    shield = ScamShield(MODEL)
    first = await whole_call(shield, facts(), SCRIPT)
    again = await whole_call(shield, facts(caller="+12025550199"), SCRIPT)
    assert names(first) == []
    assert names(again) == ["shared_script"]
    assert again.risk > first.risk
    assert "crosscall" in again.detectors
    shield.close()


async def test_tenants_share_nothing():
    shield = ScamShield(MODEL)
    await whole_call(shield, facts("t1"), SCRIPT)
    assert names(await whole_call(shield, facts("t2", "+12025550199"), SCRIPT)) == []
    shield.close()


async def test_a_number_of_an_earlier_scam_is_known_again():
    shield = ScamShield(MODEL)
    scam = (
        "This is officer Brown from the social security administration, there is a warrant "
        "for your arrest, pay with gift cards now or you go to jail today, do not tell anybody"
    )
    assert (await whole_call(shield, facts(), scam)).severity.rank >= Severity.HIGH.rank
    known = await whole_call(shield, facts(), "Hello, my tap is leaking.")
    assert "flagged_number" in names(known)
    shield.close()


async def test_a_regular_customer_is_only_mentioned():
    shield = ScamShield(MODEL)
    for _ in range(4):
        view = await whole_call(shield, facts(), "Hi, the same boiler again I am afraid.")
    assert names(view) == ["repeated_number"]
    assert "crosscall" not in view.detectors
    assert view.severity.rank <= Severity.LOW.rank
    shield.close()


async def test_withheld_numbers_are_not_one_caller():
    shield = ScamShield(MODEL)
    for _ in range(5):
        view = await whole_call(shield, facts(caller="anonymous"), "Hello, is this the plumber?")
    assert names(view) == []
    shield.close()


async def test_what_our_own_agent_says_is_not_remembered():
    shield = ScamShield(MODEL)
    for caller in ("+12025550143", "+12025550199"):
        track = shield.follow(facts(caller=caller))
        view = await track.assess([says(SCRIPT, 0, "agent"), says("Yes.", 1)])
        track.end()
    assert names(view) == []
    shield.close()


def test_company_alone_never_makes_a_call_critical():
    calm = Assessment(0.02, 0.5, Severity.MINIMAL, 0, "")
    signals = (Signal("shared_script", 0.7, 3, 0.9), Signal("flagged_number", 0.5, 1, 0.0))
    view = with_signals(calm, signals, Band(MODEL.manifest.bands))
    assert view.detectors == ("crosscall",)
    assert view.severity.rank < Severity.CRITICAL.rank
    assert view.risk <= 1.0


async def test_words_in_the_making_are_weighed_with_other_calls_and_forgotten():
    shield = ScamShield(MODEL)
    await whole_call(shield, facts(), SCRIPT)
    track = shield.follow(facts(caller="+12025550199"))
    seen = await track.preview(says(SCRIPT))
    assert names(seen) == ["shared_script"]
    after = await track.assess([says("Hello, my tap is leaking.")])
    assert names(after) == []
    assert after.risk < seen.risk
    shield.close()


async def test_a_call_is_not_remembered_for_what_it_only_seemed_to_say():
    shield = ScamShield(MODEL)
    track = shield.follow(facts())
    scam = "pay the warrant with gift cards now or you go to jail today, do not tell anybody"
    assert (await track.preview(says(scam))).severity.rank >= Severity.HIGH.rank
    await track.assess([says("Hello, my tap is leaking.")])
    track.end()
    assert names(await whole_call(shield, facts(), "Hello, it is me again.")) == []
    shield.close()


async def test_the_time_of_a_look_is_measured():
    shield = ScamShield(MODEL)
    track = shield.follow(facts())
    assert (await track.assess([says(SCRIPT)])).processing_us > 0
    assert (await track.preview(says(SCRIPT, 1))).processing_us > 0
    shield.close()


async def test_only_the_beginning_of_a_long_call_is_compared():
    shield = ScamShield(MODEL)
    for caller in ("+12025550143", "+12025550199"):
        chat = " ".join(f"{caller[-2:]} word{number}" for number in range(800))
        view = await whole_call(shield, facts(caller=caller), chat, SCRIPT)
    assert names(view) == []
    shield.close()


def behaviour(view: Assessment) -> set[str]:
    return {finding.name for finding in view.findings if finding.detector == "behaviour"}


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        ("No sir you cannot call us back, it has to be done now.", {"refuses_callback"}),
        ("That is not important, just listen to me.", {"evades_identity"}),
        ("We are Miller Heating, and the number is on our invoices.", set()),
        ("The dental office on Main Street. Sure, call me back any time.", set()),
    ],
)
async def test_what_a_suspect_answers_to_the_challenge_counts(answer: str, shown: set[str]):
    shield = ScamShield(MODEL)
    track = shield.follow(facts())
    view = await track.assess([says(Policy().scam_challenge, 0, "agent"), says(answer, 1)])
    assert behaviour(view) == shown
    shield.close()
