"""One turn of the agent, from the first thought to the last word."""

from __future__ import annotations

from voice_server.call import commands as c
from voice_server.call.clauses import Clauses
from voice_server.call.events import Expectation, ReplyEnded, TurnId
from voice_server.call.outcome import Outcome


class AgentTurn:
    """What is planned, said and still to come; its methods return the commands it needs next.

    `ending` is the outcome to end the call with once this turn has been heard; `held` turns
    are closing words that nothing interrupts; `scripted` ones need no language model.
    Instants are -1 until they happen.
    """

    __slots__ = (
        "_pieces",
        "_reply_ended",
        "_tools",
        "asked_at",
        "ending",
        "expects",
        "held",
        "note",
        "number",
        "planned",
        "scripted",
        "speech_at",
        "speech_ended",
        "text_at",
    )

    def __init__(self, number: TurnId, asked_at: int) -> None:
        self.number = number
        self.asked_at = asked_at
        self.planned = ""
        self.note = ""
        self.expects = Expectation.ANYTHING
        self.ending: Outcome | None = None
        self.held = False
        self.scripted = False
        self.text_at = -1
        self.speech_at = -1
        self.speech_ended = False
        self._pieces = Clauses()
        self._tools: set[str] = set()
        self._reply_ended = False

    @property
    def writing(self) -> bool:
        """The language model is at it: text and tool requests are welcome."""
        return not self._reply_ended

    @property
    def awaits_tool(self) -> bool:
        """Nothing more is written until a tool has returned."""
        return self._reply_ended and bool(self._tools)

    @property
    def fully_said(self) -> bool:
        """All its words have been sent towards the caller's ear."""
        return self.fully_planned and self.speech_ended

    @property
    def fully_planned(self) -> bool:
        """No more text can come."""
        return self._reply_ended and not self._tools

    def text(self, text: str, now: int) -> list[c.Command]:
        """Take some reply text."""
        if self.text_at < 0:
            self.text_at = now
        self.planned += text
        return self._say(self._pieces.add(text))

    def words(self, text: str, now: int) -> list[c.Command]:
        """Take all words of a turn that needs no language model."""
        self.planned, self.text_at = text, now
        self.scripted = self._reply_ended = True
        return [*self._say(text), c.FinishSaying(self.number)]

    def await_tool(self, request_id: str) -> None:
        """The turn goes on when this tool has returned."""
        self._tools.add(request_id)

    def tool_returned(self, request_id: str) -> bool:
        """Take a tool's return; True when the model should go on with the turn."""
        if request_id not in self._tools:
            return False
        self._tools.discard(request_id)
        return self.fully_planned

    def think_on(self) -> None:
        """The model writes again, with the tools' results in the history."""
        self._reply_ended = False

    def reply_ended(self, event: ReplyEnded) -> list[c.Command]:
        """The model has written all it wanted, for now or for good."""
        self._reply_ended, self.note, self.expects = True, event.note, event.expects
        said = self._say(self._pieces.rest())
        return said if self._tools else [*said, c.FinishSaying(self.number)]

    def unheard(self, heard: str) -> str:
        """What was planned beyond the heard part."""
        return self.planned[len(heard) :] if self.planned.startswith(heard) else ""

    def _say(self, piece: str) -> list[c.Command]:
        return [c.Say(self.number, piece)] if piece else []
