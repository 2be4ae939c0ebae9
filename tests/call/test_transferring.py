"""Between the agent and a human: the carrier has the caller, who comes back if nobody is there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.assessment import Severity
from tests.call.scenes import FRAME, LOUD, Scene, only, started, thinking, view
from voice_server.call import Disposition, EndReason, Outcome, Phase, Policy, Rate
from voice_server.call import commands as c
from voice_server.call import events as e

WAIT_MS = 40_000
TARIFF = (Rate("line", 10, 1), Rate("stream", 1, 1))
POLICY = Policy(
    greeting="",
    transfer_wait_ms=WAIT_MS,
    tariff=TARIFF,
    carrier_items=("line",),
    stream_items=("stream",),
)
REACHED, MISSED = e.TransferEnded(True), e.TransferEnded(False)
HANDED_OVER = Outcome(Disposition.HANDED_OVER, EndReason.TRANSFER)


def asks_for_human(scene: Scene) -> list[c.Command]:
    """The model answers with a transfer, and the caller hears that."""
    turn = scene.turn
    scene.do(
        e.ReplyText(turn, "One moment."),
        e.ToolRequested(turn, f"r{turn}", "transfer_call", "{}"),
        e.ReplyEnded(turn),
    )
    return scene.speak("One moment.") + scene.played()


def let_go(policy: Policy = POLICY) -> Scene:
    """The caller has been told, and is with the carrier in a moment."""
    scene = thinking(policy)
    asks_for_human(scene)
    assert scene.call.phase is Phase.TRANSFERRING
    return scene


def rung(policy: Policy = POLICY) -> Scene:
    """The carrier rings a human."""
    scene = let_go(policy)
    scene.wait(500)
    scene.do(e.TransferBegun())
    return scene


def back(policy: Policy = POLICY) -> Scene:
    """Nobody took the call; the caller's stream is open again."""
    scene = rung(policy)
    scene.wait(20_000)
    scene.do(MISSED, e.MediaStarted())
    return scene


def ends(commands: list[c.Command]) -> list[Outcome]:
    return [hang_up.outcome for hang_up in only(c.HangUp, commands)]


def test_a_transfer_lets_go_of_the_stream_and_does_not_end_the_call():
    scene = thinking(POLICY)
    out = asks_for_human(scene)
    assert ends(out) == []
    assert type(out[-1]) is c.Transfer
    assert only(c.Publish, out)[-1].state.phase == "transferring"


def test_without_a_way_back_handing_over_ends_the_call():
    scene = thinking(Policy(greeting=""))
    assert ends(asks_for_human(scene)) == [HANDED_OVER]


def test_a_human_who_takes_the_call_ends_ours():
    assert ends(rung().do(REACHED)) == [HANDED_OVER]


def test_a_caller_nobody_could_take_hears_so_and_talks_on_with_all_that_was_said():
    scene = back()
    assert [say.text for say in only(c.Say, scene.all)][-1] == POLICY.transfer_missed
    assert scene.call.phase is Phase.SPEAKING
    scene.speak(POLICY.transfer_missed)
    scene.played()
    question = scene.ask("Then book me for Monday.")
    said = [entry.text for entry in question.history if hasattr(entry, "text")]
    assert said == [
        "My tap leaks.",
        "One moment.",
        POLICY.transfer_missed,
        "Then book me for Monday.",
    ]


def test_a_tenant_without_such_words_listens_at_once():
    scene = back(Policy(greeting="", transfer_wait_ms=WAIT_MS, transfer_missed=""))
    assert scene.call.phase is Phase.LISTENING


def test_no_news_means_that_somebody_answered():
    scene = rung()
    assert ends(scene.wait(WAIT_MS - 1)) == []
    assert ends(scene.wait(1)) == [HANDED_OVER]


@pytest.mark.parametrize("lost", [let_go, lambda: missed_and_not_back()])
def test_a_caller_the_carrier_never_mentions_again_is_lost(lost):
    scene = lost()
    assert ends(scene.wait(15_000)) == [Outcome(Disposition.ABANDONED, EndReason.STREAM_LOST)]


def missed_and_not_back() -> Scene:
    scene = rung()
    scene.do(MISSED)
    return scene


@pytest.mark.parametrize("cause", [e.StopCause.CALLER_HUNG_UP, e.StopCause.STREAM_LOST])
def test_the_end_of_the_stream_is_no_end_of_the_call(cause):
    assert ends(let_go().do(e.MediaStopped(cause))) == []


def test_a_caller_who_hangs_up_while_it_rings_has_abandoned_the_call():
    out = rung().do(e.MediaStopped(e.StopCause.CARRIER_ENDED))
    assert ends(out) == [Outcome(Disposition.ABANDONED, EndReason.CARRIER_ENDED)]


@pytest.mark.parametrize(
    ("scene", "disposition"), [(let_go, Disposition.FAILED), (rung, Disposition.HANDED_OVER)]
)
def test_a_closing_server_leaves_the_caller_to_whom_they_are_with(scene, disposition):
    (end,) = ends(scene().do(e.ServerClosing()))
    assert end.disposition is disposition


def test_who_could_not_be_reached_twice_is_not_rung_again():
    scene = back()
    scene.speak(POLICY.transfer_missed)
    scene.played()
    scene.ask("Try again.")
    assert only(c.Transfer, asks_for_human(scene))
    scene.do(e.TransferBegun(), MISSED, e.MediaStarted())
    scene.speak(POLICY.transfer_missed)
    scene.played()
    scene.ask("And again.")
    out = scene.do(e.ToolRequested(scene.turn, "r9", "transfer_call", "{}"))
    assert out == [c.RefuseTool("r9")]
    scene.do(e.ReplyEnded(scene.turn), e.ToolReturned("r9", "refused", False))
    scene.answer("Shall somebody call you back?")
    assert scene.call.phase is Phase.LISTENING


def test_a_voice_that_was_cut_with_the_stream_does_not_interrupt_what_follows():
    scene = thinking(POLICY)
    turn = scene.turn
    scene.do(
        e.ReplyText(turn, "One."),
        e.ToolRequested(turn, "r1", "transfer_call", "{}"),
        e.ReplyEnded(turn),
    )
    scene.speak("One.")
    scene.frames(LOUD, 100)
    scene.played()
    scene.do(e.TransferBegun())
    scene.wait(5_000)
    scene.do(MISSED, e.MediaStarted())
    scene.speak(POLICY.transfer_missed)
    assert only(c.StopPlaying, scene.hush(300)) == []


def test_late_work_goes_into_the_books_and_begins_nothing():
    scene = let_go()
    out = scene.do(
        e.Consumed("line", 2),
        e.FinalTranscript("Thank you.", 0),
        e.PartialTranscript("Thank"),
        e.AudioHeard(FRAME, LOUD, 0),
        e.VoiceScored(90),
        e.DigitPressed("1"),
        e.RiskAssessed(view(Severity.CRITICAL)),
        e.ReplyOffered(),
        e.ConversationOpened("conv"),
        e.ToolReturned("nobody", "{}", True),
        e.PartFailed(e.Part.LANGUAGE_MODEL, 0, False),
        e.SpeechReady(scene.turn, FRAME, "late"),
        e.TimePassed(),
    )
    assert scene.call.phase is Phase.TRANSFERRING
    assert [line.text for line in only(c.Record, out)] == ["Thank you."]
    assert only(c.Book, out) == [c.Book("line", 2, 20)]
    assert only(c.Say, out) == only(c.Think, out) == only(c.Play, out) == ends(out) == []
    assert scene.call.record.conversation_id == "conv"


def test_ears_lost_meanwhile_end_the_call_when_the_caller_is_back():
    scene = rung()
    scene.do(e.PartFailed(e.Part.TRANSCRIBER, 0, False), MISSED)
    (say,) = only(c.Say, scene.do(e.MediaStarted()))
    assert say.text == POLICY.failure_closing
    scene.speak(say.text)
    assert [end.disposition for end in ends(scene.played())] == [Disposition.FAILED]


def test_each_stream_and_the_whole_line_are_booked_by_their_minutes():
    scene = started(POLICY)
    scene.wait(7_000)
    scene.ask()
    asks_for_human(scene)  # under a minute
    scene.do(e.TransferBegun())
    scene.wait(30_000)
    scene.do(MISSED, e.MediaStarted())
    scene.speak(POLICY.transfer_missed)
    scene.wait(1_000)
    scene.played()
    scene.do(e.MediaStopped(e.StopCause.CALLER_HUNG_UP))
    assert [(book.item, book.quantity) for book in only(c.Book, scene.all)] == [
        ("stream", 1),
        ("stream", 1),
        ("line", 1),
    ]


def test_waiting_for_a_human_is_not_streamed():
    scene = rung()
    scene.wait(WAIT_MS - 1_000)
    scene.do(REACHED)
    assert [(book.item, book.quantity) for book in only(c.Book, scene.all)] == [
        ("stream", 1),
        ("line", 1),
    ]


def test_the_time_limit_begins_anew_for_a_caller_who_is_back():
    policy = Policy(greeting="", transfer_wait_ms=WAIT_MS, max_call_ms=30_000, silence_ms=60_000)
    scene = back(policy)
    scene.speak(policy.transfer_missed)
    scene.played()
    assert only(c.Say, scene.wait(29_000)) == []
    assert [say.text for say in only(c.Say, scene.wait(1_000))] == [policy.max_call_closing]


def test_a_scammer_handed_over_may_come_back_and_is_not_handed_over_again():
    policy = Policy(greeting="", transfer_wait_ms=WAIT_MS, hand_over_at=Severity.HIGH, end_at=None)
    scene = started(policy)
    scene.do(e.RiskAssessed(view(Severity.HIGH)))
    scene.speak(policy.scam_hand_over)
    assert only(c.Transfer, scene.played())
    scene.do(e.TransferBegun(), MISSED, e.MediaStarted())
    assert scene.call.phase is Phase.SPEAKING
    assert only(c.Transfer, scene.do(e.RiskAssessed(view(Severity.HIGH)))) == []


def test_news_of_a_transfer_that_is_over_change_nothing():
    scene = back()
    assert scene.do(e.TransferBegun(), REACHED, MISSED) == []


NEWS: tuple[e.Event, ...] = (
    e.TransferBegun(),
    REACHED,
    MISSED,
    e.MediaStarted(),
    *map(e.MediaStopped, e.StopCause),
    *(e.PartFailed(part, 0, False) for part in e.Part),
    e.ServerClosing(),
    e.TimePassed(),
    e.AudioHeard(FRAME, LOUD, 0),
    e.FinalTranscript("Hello?", 0),
    e.DigitPressed("5"),
    e.RiskAssessed(view(Severity.CRITICAL)),
    e.ReplyText(1, "Late."),
    e.ReplyOffered(),
    e.SpeechReady(2, FRAME, "Late."),
)


@given(st.lists(st.tuples(st.sampled_from(NEWS), st.integers(0, 30_000)), max_size=12))
def test_whatever_news_come_a_transfer_ends_once_and_never_hangs(news):
    scene = let_go()
    for event, ms in news:
        scene.wait(ms)
        scene.do(event)
        assert (scene.call.deadline is None) is (scene.call.phase is Phase.ENDED)
    scene.do(REACHED)
    scene.wait(3 * POLICY.max_call_ms)
    assert len(ends(scene.all)) == 1
    assert scene.call.phase is Phase.ENDED
    assert len(only(c.Transfer, scene.all)) <= 3


def test_an_interjection_is_over_when_the_caller_is_let_go():
    scene = thinking(POLICY)
    [asked] = only(c.Interject, scene.all)[-1:]
    scene.do(e.InterjectionReady(asked.text, bytes(8_000)))
    turn = scene.turn
    scene.wait(500)
    out = scene.do(
        e.ToolRequested(turn, "r1", "transfer_call", "{}"),
        e.ReplyEnded(turn),
        e.SpeechEnded(turn),
    )
    assert scene.call.phase is Phase.TRANSFERRING
    assert len(only(c.StopPlaying, out)) == 1
    assert asked.text.startswith(only(c.Record, out)[0].text)
    assert only(c.Interject, scene.wait(20_000)) == []
