"""The agent's side of the conversation: the turn in progress and how much of it was heard."""

from __future__ import annotations

from voice_server.call import commands as c
from voice_server.call import events as e
from voice_server.call.agent_turn import AgentTurn
from voice_server.call.dialogue import Dialogue
from voice_server.call.outcome import Disposition, EndReason, Outcome
from voice_server.call.playout import Playout

# Tools that are moves of the call itself, and the one whose success is the call's purpose;
# all but the first two are run by the shell.
END_CALL = "end_call"
TRANSFER_CALL = "transfer_call"
BOOK_ORDER = "book_order"


class AgentSide:
    """Owns the turns, their numbers and the playout ledger.

    `media_ms` is the newest inbound timestamp: the carrier's clock. `booked` tells that an
    order stands, `may_transfer` that nobody was rung in vain too often. `cut_off` is the newest
    turn if it was interrupted, with its unheard rest.
    """

    __slots__ = (
        "_dialogue",
        "_playout",
        "blocked_tools",
        "booked",
        "cut_off",
        "may_transfer",
        "media_ms",
        "number",
        "turn",
    )

    def __init__(self, dialogue: Dialogue) -> None:
        self._dialogue = dialogue
        self._playout = Playout()
        self.turn: AgentTurn | None = None
        self.number: e.TurnId = 0
        self.media_ms = 0
        self.booked = False
        self.may_transfer = True
        self.blocked_tools: frozenset[str] = frozenset()  # by the scam shield
        self.cut_off: tuple[AgentTurn, str] | None = None

    @property
    def heard_out(self) -> AgentTurn | None:
        """The turn in progress, once it is written, spoken and heard to its end."""
        turn = self.turn
        if turn is None or not (turn.fully_said and self._playout.idle):
            return None
        return turn

    @property
    def played_out(self) -> bool:
        """Nothing sent is on its way to the caller's ear."""
        return self._playout.idle

    @property
    def ending(self) -> Outcome | None:
        """The outcome that the turn in progress leads to."""
        return self.turn.ending if self.turn is not None else None

    def outcome_if_gone(self, reason: EndReason) -> Outcome:
        """The outcome when the media stream goes away now.

        Hanging up during the goodbye is a normal end; during a transfer there is nobody left
        to transfer.
        """
        ending = self.ending
        if ending is not None and ending.disposition is not Disposition.HANDED_OVER:
            return Outcome(ending.disposition, reason)
        return Outcome(Disposition.ABANDONED, reason)

    def or_booked(self, end: Outcome) -> Outcome:
        """The outcome with the orders in mind: what was booked stays booked.

        Only a scam is a scam and a transfer a transfer, whatever was booked before.
        """
        if not self.booked or end.disposition in (Disposition.SCAM, Disposition.HANDED_OVER):
            return end
        return Outcome(Disposition.BOOKED, end.reason)

    def begin(self, asked_at: int) -> AgentTurn:
        """Start the next turn."""
        self.number += 1
        self.cut_off = None
        self.turn = AgentTurn(self.number, asked_at)
        return self.turn

    def at_work(self, number: e.TurnId) -> AgentTurn | None:
        """The turn in progress, if it is this one: late results fall through here."""
        turn = self.turn
        return turn if turn is not None and turn.number == number else None

    def replied(
        self, event: e.ReplyText | e.ToolRequested | e.ReplyEnded, now: int
    ) -> list[c.Command] | None:
        """Take a piece of a reply; None when no such piece is welcome."""
        turn = self.at_work(event.turn)
        if turn is None or not turn.writing:
            return None
        match event:
            case e.ReplyText():
                return turn.text(event.text, now)
            case e.ReplyEnded():
                return turn.reply_ended(event)
            case e.ToolRequested(name=name) if name == END_CALL:
                turn.ending = Outcome(Disposition.ANSWERED, EndReason.AGENT_GOODBYE)
            case e.ToolRequested(name=name) if name == TRANSFER_CALL and self.may_transfer:
                turn.ending = Outcome(Disposition.HANDED_OVER, EndReason.TRANSFER)
            case e.ToolRequested(request_id=key, name=name, arguments=arguments):
                if self._dialogue.tool_requested(key, name, arguments):
                    turn.await_tool(key)
                    if name in self.blocked_tools or name == TRANSFER_CALL:
                        return [c.RefuseTool(key)]
                    return [c.RunTool(key, name, arguments)]
        return []

    def tool_returned(self, event: e.ToolReturned) -> bool | None:
        """Take a tool's result; True = the turn in progress goes on with it, None = unknown."""
        used = self._dialogue.tool_returned(event.request_id, event.result)
        if used is None:
            return None
        self.booked |= used.name == BOOK_ORDER and event.succeeded
        return self.turn is not None and self.turn.tool_returned(event.request_id)

    def speech(self, mulaw: bytes, text: str) -> list[c.Command]:
        """Send audio of the turn in progress to the caller."""
        mark = self._playout.queue(text, len(mulaw), self.media_ms)
        return [c.Play(mulaw), c.PlaceMark(mark)]

    def speech_ended(self, number: e.TurnId) -> None:
        """The voice has said all of a turn."""
        turn = self.at_work(number)
        if turn is not None:
            turn.speech_ended = True

    def mark(self, name: str) -> bool:
        """Take a returned mark; False for one that is not owed."""
        return self._playout.played(name, self.media_ms)

    def finish(self) -> str:
        """The turn has been heard out; returns all of it."""
        self.turn = None
        return self._playout.take()

    def interjected(self, mulaw: bytes) -> None:
        """Audio that belongs to no turn was sent: what is sent next begins behind it."""
        self._playout.interjected(len(mulaw), self.media_ms)

    def restart_clock(self) -> None:
        """Another media stream begins, with a clock of its own."""
        self.media_ms = 0
        self._playout.hushed()

    def hushed(self) -> None:
        """What was interjected has been thrown away."""
        self._playout.hushed()

    def drop(self) -> str:
        """The turn is over, its sound thrown away; returns what was heard of it."""
        self.turn = None
        return self._playout.cut(self.media_ms)
