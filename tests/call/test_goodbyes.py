"""How calls end, whoever ends them."""

from __future__ import annotations

import pytest

from detectors.assessment import Severity
from tests.call.scenes import Scene, only, speaking, started, thinking, view
from voice_server.call import Disposition, EndReason, Outcome, Phase, Policy
from voice_server.call import commands as c
from voice_server.call import events as e


def test_a_second_reason_to_close_changes_no_closing_words():
    scene = started()
    scene.do(e.ServerClosing())
    assert only(c.Say, scene.do(e.ServerClosing())) == []
    assert only(c.Say, scene.do(e.RiskAssessed(view(Severity.CRITICAL)))) == []


def test_a_call_without_closing_words_ends_at_once():
    scene = started(Policy(greeting="", server_closing=""))
    assert len(only(c.HangUp, scene.do(e.ServerClosing()))) == 1


@pytest.mark.parametrize(
    ("tool", "outcome"),
    [
        ("end_call", Outcome(Disposition.ANSWERED, EndReason.AGENT_GOODBYE)),
        ("transfer_call", Outcome(Disposition.HANDED_OVER, EndReason.TRANSFER)),
    ],
)
def test_the_call_ends_once_the_last_words_were_heard(tool: str, outcome: Outcome):
    scene = thinking()
    turn = scene.turn
    scene.do(
        e.ReplyText(turn, "Goodbye."),
        e.ToolRequested(turn, "r1", tool, "{}"),
        e.ReplyEnded(turn),
    )
    assert only(c.HangUp, scene.speak("Goodbye.")) == []
    assert only(c.HangUp, scene.played()) == [c.HangUp(outcome)]


def test_one_more_thing_after_the_goodbye_keeps_the_call():
    scene = thinking()
    turn = scene.turn
    scene.do(
        e.ReplyText(turn, "Goodbye."),
        e.ToolRequested(turn, "r1", "end_call", "{}"),
        e.ReplyEnded(turn),
    )
    scene.speak("Goodbye.")
    scene.voice(400)
    scene.hush(300)
    scene.do(e.FinalTranscript("Wait, one more thing!", 2))
    assert len(only(c.Think, scene.hush(900))) == 1


@pytest.mark.parametrize(
    ("cause", "reason"),
    [
        (e.StopCause.CALLER_HUNG_UP, EndReason.CALLER_HUNG_UP),
        (e.StopCause.STREAM_LOST, EndReason.STREAM_LOST),
        (e.StopCause.CARRIER_ENDED, EndReason.CARRIER_ENDED),
    ],
)
@pytest.mark.parametrize("scene_of", [Scene, started, thinking, speaking])
def test_a_caller_may_hang_up_in_any_state(scene_of, cause: e.StopCause, reason: EndReason):
    scene = scene_of()
    out = scene.do(e.MediaStopped(cause))
    assert only(c.HangUp, out) == [c.HangUp(Outcome(Disposition.ABANDONED, reason))]
    assert type(out[-1]) is c.HangUp
    assert scene.call.phase is Phase.ENDED
    assert scene.call.deadline is None
    assert scene.do(e.AudioHeard(b"", 0, 0), e.MediaStarted(), e.TimePassed()) == []


def test_hanging_up_during_the_goodbye_is_a_normal_end():
    scene = thinking()
    turn = scene.turn
    scene.do(
        e.ReplyText(turn, "Goodbye."),
        e.ToolRequested(turn, "r1", "end_call", "{}"),
        e.ReplyEnded(turn),
    )
    (hang_up,) = only(c.HangUp, scene.do(e.MediaStopped(e.StopCause.CALLER_HUNG_UP)))
    assert hang_up.outcome == Outcome(Disposition.ANSWERED, EndReason.CALLER_HUNG_UP)


def test_hanging_up_during_a_transfer_leaves_nobody_to_transfer():
    scene = thinking()
    turn = scene.turn
    scene.do(e.ToolRequested(turn, "r1", "transfer_call", "{}"), e.ReplyEnded(turn))
    (hang_up,) = only(c.HangUp, scene.do(e.MediaStopped(e.StopCause.CALLER_HUNG_UP)))
    assert hang_up.outcome.disposition is Disposition.ABANDONED


def test_a_closing_server_says_goodbye():
    scene = speaking()
    out = scene.do(e.ServerClosing())
    assert [say.text for say in only(c.Say, out)] == [Policy().server_closing]
    assert only(c.StopPlaying, out) == [c.StopPlaying()]


def test_a_closing_server_ends_a_call_that_never_began():
    (hang_up,) = only(c.HangUp, Scene().do(e.ServerClosing()))
    assert hang_up.outcome.reason is EndReason.SERVER_CLOSING


def test_a_carrier_that_returns_no_marks_does_not_hold_up_the_call():
    scene = speaking("one two three four")
    (line,) = only(c.Record, scene.hush(5_000))
    assert (line.speaker, line.text) == ("agent", "one two three four")
    assert scene.call.phase is Phase.LISTENING
