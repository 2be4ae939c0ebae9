"""What the call does about a caller who may be a scammer."""

from __future__ import annotations

from detectors.assessment import Severity
from tests.call.scenes import only, speaking, started, thinking, view
from voice_server.call import Disposition, EndReason, Outcome, Policy
from voice_server.call import commands as c
from voice_server.call import events as e


def test_every_heard_line_is_shown_to_the_scam_detector():
    scene = started()
    scene.ask("Hello?")
    scene.answer("Good day.")
    segments = [command.segment for command in only(c.AssessRisk, scene.all)]
    assert [(s.number, s.speaker, s.text) for s in segments] == [
        (0, "caller", "Hello?"),
        (1, "agent", "Good day."),
    ]


def test_an_agent_may_go_without_the_scam_shield():
    scene = started(Policy(greeting="", detect_scams=False))
    scene.ask("Hello?")
    scene.do(e.PartialTranscript("Buy gift cards."))
    assert only(c.AssessRisk, scene.all) == only(c.PreviewRisk, scene.all) == []


def test_a_scam_is_noticed_before_the_sentence_is_over():
    scene = started()
    (preview,) = only(c.PreviewRisk, scene.do(e.PartialTranscript("Buy gift cards and")))
    tail = preview.segment
    assert (tail.number, tail.speaker, tail.text) == (0, "caller", "Buy gift cards and")
    out = scene.do(e.RiskAssessed(view(Severity.HIGH), tail))
    assert only(c.Warn, out) == [c.Warn(view(Severity.HIGH))]
    assert [(r.segments, r.final) for r in only(c.RecordRisk, out)] == [((tail,), False)]


def test_a_call_is_not_ended_for_words_that_may_be_taken_back():
    scene = started()
    (preview,) = only(c.PreviewRisk, scene.do(e.PartialTranscript("Buy gift cards")))
    out = scene.do(e.RiskAssessed(view(Severity.CRITICAL), preview.segment))
    assert only(c.Say, out) == []
    scene.utter("Buy gift cards.")
    out = scene.do(e.RiskAssessed(view(Severity.CRITICAL)))
    assert [say.text for say in only(c.Say, out)] == [Policy().scam_closing]


def test_a_new_band_of_risk_is_stored_and_the_last_word_too():
    scene = started()
    scene.ask("Buy gift cards.")
    out = scene.do(e.RiskAssessed(view(Severity.MEDIUM)))
    assert [(r.assessment.severity, r.final) for r in only(c.RecordRisk, out)] == [
        (Severity.MEDIUM, False)
    ]
    assert only(c.RecordRisk, out)[0].segments[0].text == "Buy gift cards."
    assert only(c.RecordRisk, scene.do(e.RiskAssessed(view(Severity.MEDIUM, 1)))) == []
    out = scene.do(e.MediaStopped(e.StopCause.CALLER_HUNG_UP))
    assert [r.final for r in only(c.RecordRisk, out)] == [True]


def test_a_critical_risk_closes_the_call_safely():
    scene = speaking()
    out = scene.do(e.RiskAssessed(view(Severity.CRITICAL)))
    assert [say.text for say in only(c.Say, out)] == [Policy().scam_closing]
    scene.speak(Policy().scam_closing)
    assert only(c.HangUp, scene.played()) == [c.HangUp(Outcome(Disposition.SCAM, EndReason.SCAM))]


def test_a_high_risk_warns_the_protected_person_once():
    scene = started()
    out = scene.do(e.RiskAssessed(view(Severity.HIGH)))
    assert only(c.Warn, out) == [c.Warn(view(Severity.HIGH))]
    assert only(c.Warn, scene.do(e.RiskAssessed(view(Severity.LOW, 1)))) == []
    assert only(c.Warn, scene.do(e.RiskAssessed(view(Severity.HIGH, 2)))) == []


def test_a_suspect_is_asked_who_calls_before_the_agent_goes_on():
    scene = started()
    scene.utter("Read me the code, please.")
    scene.do(e.RiskAssessed(view(Severity.HIGH)))
    out = scene.hush(1_000)
    assert [say.text for say in only(c.Say, out)] == [Policy().scam_challenge]
    assert only(c.Think, out) == []
    scene.speak(Policy().scam_challenge)
    scene.played()
    assert only(c.Think, scene.hush(2_000)) == []  # the answer is the caller's to give
    think = scene.ask("I'm from the bank.")
    assert [type(entry).__name__ for entry in think.history] == [
        "CallerSaid",
        "AgentSaid",
        "CallerSaid",
    ]


def test_sensitive_tools_are_refused_to_a_suspect():
    scene = thinking()
    scene.do(e.RiskAssessed(view(Severity.HIGH)))
    out = scene.do(
        e.ToolRequested(scene.turn, "r1", "look_up_order", "{}"),
        e.ToolRequested(scene.turn, "r2", "take_message", "{}"),
    )
    assert out == [c.RefuseTool("r1"), c.RunTool("r2", "take_message", "{}")]


def test_a_tenant_may_have_suspects_handed_to_a_human():
    policy = Policy(greeting="", hand_over_at=Severity.HIGH)
    scene = started(policy)
    out = scene.do(e.RiskAssessed(view(Severity.HIGH)))
    assert [say.text for say in only(c.Say, out)] == [policy.scam_hand_over]
    scene.speak(policy.scam_hand_over)
    assert only(c.HangUp, scene.played()) == [
        c.HangUp(Outcome(Disposition.HANDED_OVER, EndReason.SCAM))
    ]


def test_a_tenant_may_switch_every_step_of_the_ladder_off():
    never = dict.fromkeys(("warn_at", "verify_at", "block_at", "hand_over_at", "end_at"))
    scene = thinking(Policy(greeting="", **never))
    out = scene.do(e.RiskAssessed(view(Severity.CRITICAL)))
    assert [type(command) for command in out] == [c.RecordRisk, c.Publish]


def test_one_detector_alone_never_ends_a_call():
    scene = speaking()
    out = scene.do(e.RiskAssessed(view(Severity.CRITICAL, detectors=1)))
    assert only(c.Say, out) == []


def test_a_tenant_may_only_be_told_of_scams():
    scene = speaking(policy=Policy(greeting="", end_at=None))
    assert only(c.Say, scene.do(e.RiskAssessed(view(Severity.CRITICAL)))) == []
