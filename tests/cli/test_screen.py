"""The call on the screen: as lines where there is no terminal."""

from __future__ import annotations

import io
import re

import msgspec
import pytest
from rich.console import Console

from detectors.assessment import Severity
from tests.mirror.states import FIRST
from voice_server.call.live import Line, LiveState
from voice_server.cli.screen import CallScreen

BEGIN = msgspec.structs.replace(FIRST, phase="listening", speaking="nobody")


def shown(capsys: pytest.CaptureFixture[str], *states: LiveState) -> list[str]:
    with CallScreen("a call") as screen:
        for state in states:
            screen.show("call-1", state)
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err.splitlines()


def then(state: LiveState, **changes: object) -> LiveState:
    return msgspec.structs.replace(state, **changes)


def said(*lines: Line, count: int | None = None) -> LiveState:
    return then(BEGIN, lines=lines, line_count=len(lines) if count is None else count)


HELLO = Line("agent", "Hello.", "", 20)
TAP = Line("caller", "My tap leaks.", "", 4_600)
CUT = Line("agent", "We", " can fix that.", 7_000)


def test_each_line_is_shown_once(capsys):
    shown_lines = shown(capsys, BEGIN, said(HELLO), said(HELLO), said(HELLO, TAP))
    assert shown_lines == ["   0.0  agent  Hello.", "   4.6  caller My tap leaks."]


def test_lines_that_came_between_two_states_are_all_shown(capsys):
    assert len(shown(capsys, BEGIN, said(HELLO, TAP, CUT))) == 3


def test_a_state_that_holds_the_newest_lines_only_is_fine(capsys):
    first = said(HELLO, TAP)
    assert shown(capsys, first, said(TAP, CUT, count=3))[-1].startswith("   7.0  agent  We")


def test_what_nobody_heard_stands_in_brackets(capsys):
    assert shown(capsys, said(CUT)) == ["   7.0  agent  We [ can fix that.]"]


def test_words_in_the_making_are_shown_when_they_change(capsys):
    partial = then(BEGIN, partial="my tap")
    lines = shown(capsys, partial, partial, then(BEGIN, partial="my tap leaks"), BEGIN, partial)
    assert [line.strip() for line in lines] == ["… my tap", "… my tap leaks", "… my tap"]


def test_risk_is_shown_when_its_band_changes(capsys):
    high = then(BEGIN, severity=Severity.HIGH, risk=0.8, evidence=("gift_card",))
    lines = shown(capsys, BEGIN, high, then(high, risk=0.81))
    assert lines == ["scam risk ████████████████░░░░ 0.80 high  gift_card"]


def test_markup_in_what_was_said_is_only_text(capsys):
    lines = shown(capsys, said(Line("caller", "[bold]x[/bold] [/]", "", 0)))
    assert lines == ["   0.0  caller [bold]x[/bold] [/]"]


@pytest.mark.parametrize("severity", list(Severity))
@pytest.mark.parametrize("speaking", ["caller", "agent", "nobody"])
def test_every_state_can_be_drawn_on_a_terminal(severity, speaking):
    paper = io.StringIO()
    terminal = Console(file=paper, force_terminal=True, width=100, height=40)
    state = then(
        said(HELLO, TAP, CUT), severity=severity, speaking=speaking, partial="and", latency_ms=700
    )
    with CallScreen("a call", terminal) as screen:
        screen.show("call-1", state)
        screen.show("call-1", then(state, outcome="booked"))
    drawn = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", paper.getvalue())
    assert "My tap leaks." in drawn
    assert severity.value in drawn
    assert "booked" in drawn
