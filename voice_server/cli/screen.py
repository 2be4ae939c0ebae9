"""A call in the terminal while it happens."""

from __future__ import annotations

import sys
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from voice_server.call.live import Line, LiveState
from voice_server.ports import CallId

_BAR = 20
_COLOURS = {
    "minimal": "green",
    "low": "green",
    "medium": "yellow",
    "high": "red",
    "critical": "bold white on red",
}
_VOICES = {"caller": "▶ caller speaks", "agent": "◀ agent speaks", "nobody": "· silence"}


class CallScreen:
    """Shows `LiveState`s: as a moving picture on a terminal, as plain lines elsewhere."""

    def __init__(self, title: str, console: Console | None = None) -> None:
        self._title = title
        # not even FORCE_COLOR makes a moving picture of what is not a terminal
        self._console = console or Console(stderr=True, force_terminal=sys.stderr.isatty())
        self._live: Live | None = None
        self._lines: list[Line] = []
        self._latencies: dict[int, int] = {}
        self._severity = "minimal"
        self._partial = ""

    def __enter__(self) -> CallScreen:
        if self._console.is_terminal:
            self._live = Live(console=self._console, refresh_per_second=10, transient=False)
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, call_id: CallId, state: LiveState) -> None:
        """Take the newest state of the call; a watcher for the mirror."""
        fresh = state.line_count - len(self._lines)
        new = list(state.lines[-fresh:]) if fresh > 0 else []
        self._lines += new
        if state.latency_ms and state.turn not in self._latencies:
            self._latencies[state.turn] = state.latency_ms
        if self._live is not None:
            self._live.update(self._picture(call_id, state))
        else:
            self._print(new, state)

    def _print(self, new: list[Line], state: LiveState) -> None:
        if state.partial and state.partial != self._partial:
            self._console.print(Text(f"{'':8}… {state.partial}", style="dim"), soft_wrap=True)
        self._partial = state.partial
        for line in new:
            self._console.print(_line(line), soft_wrap=True)
        if state.severity.value != self._severity:
            self._severity = state.severity.value
            self._console.print(_risk(state), soft_wrap=True)

    def _picture(self, call_id: CallId, state: LiveState) -> RenderableType:
        lines: list[Text] = [_line(line) for line in self._lines[-14:]]
        if state.partial:
            lines.append(Text(f"{'':8}… {state.partial}", style="dim italic"))
        facts = Table.grid(padding=(0, 3))
        facts.add_row(
            _VOICES[state.speaking],
            f"{state.at_ms / 1000:5.1f} s",
            f"turn {state.turn}",
            f"latency {self._latency()}",
            f"cost ${state.cost_micro_usd / 1_000_000:.4f}",
        )
        body = Group(facts, Text(), *lines, Text(), _risk(state))
        title = f"{self._title} · {call_id} · {state.outcome or state.phase}"
        return Panel(body, title=title, title_align="left", border_style="cyan")

    def _latency(self) -> str:
        return " ".join(f"{ms}" for ms in list(self._latencies.values())[-6:]) + " ms"


def _line(line: Line) -> Text:
    text = Text(f"{line.at_ms / 1000:6.1f}  ", style="dim")
    text.append("caller " if line.speaker == "caller" else "agent  ", style="bold")
    text.append(line.text, style="cyan" if line.speaker == "caller" else "green")
    if line.unheard:
        text.append(f" [{line.unheard}]", style="dim strike")
    return text


def _risk(state: LiveState) -> Text:
    filled = round(state.risk * _BAR)
    text = Text("scam risk ")
    text.append("█" * filled + "░" * (_BAR - filled), style=_COLOURS[state.severity.value])
    text.append(f" {state.risk:.2f} {state.severity.value}")
    if state.evidence:
        text.append("  " + ", ".join(state.evidence), style="dim")
    return text
