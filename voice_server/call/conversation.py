"""The conversation: its moves, and the parties and books that they touch."""

from __future__ import annotations

from voice_server.call import commands as c
from voice_server.call import outcome
from voice_server.call.agent import AgentSide
from voice_server.call.agent_turn import AgentTurn
from voice_server.call.caller import CallerSide
from voice_server.call.deadlines import Deadline, Deadlines
from voice_server.call.dialogue import Dialogue
from voice_server.call.handover import Handover
from voice_server.call.outcome import Disposition, Outcome
from voice_server.call.phase import MOVES, Phase
from voice_server.call.playout import MULAW_BYTES_PER_MS
from voice_server.call.policy import Policy
from voice_server.call.quiet import Quiet
from voice_server.call.record import CallRecord

_PLAYOUT_GRACE_MS = 3_000  # a mark that comes later than this after its audio is lost
_RELEASE_MS = 15_000  # for the carrier to take a caller from whom we have let go
_MOST_TRANSFERS = 2  # in a call: who could not be reached twice is not rung a third time


class Conversation:
    """Who speaks, who listens, and how that changes.

    Each move changes the state at once and leaves the commands it needs in `out`.
    `started_at` is when the first media stream opened, `streaming_since` the present one.
    `handover` is the newest attempt to put the caller through to a human.
    """

    __slots__ = (
        "agent",
        "caller",
        "deadlines",
        "dialogue",
        "handover",
        "out",
        "outcome",
        "phase",
        "policy",
        "quiet",
        "record",
        "started_at",
        "streaming_since",
    )

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.phase = Phase.WAITING
        self.outcome: Outcome | None = None
        self.dialogue = Dialogue()
        self.record = CallRecord(policy)
        self.caller = CallerSide(policy)
        self.agent = AgentSide(self.dialogue)
        self.deadlines = Deadlines()
        self.out: list[c.Command] = []
        self.quiet = Quiet(policy)
        self.started_at = 0
        self.streaming_since = 0
        self.handover: Handover | None = None

    def take_out(self) -> list[c.Command]:
        """The commands of the moves made since the last take."""
        out, self.out = self.out, []
        return out

    def think(self, now: int) -> None:
        """Begin a turn: the model is asked, unless the scam shield has a question of its own."""
        if self.record.risk.take_challenge():
            self.dialogue.forget_question()  # the model sees the words with their answer
            self.say(self.policy.scam_challenge, now)
            return
        self.deadlines.clear(Deadline.END_OF_TURN, Deadline.SILENCE, Deadline.TRANSCRIPT)
        self.move(Phase.THINKING)
        self.ask(self.agent.begin(max(self.caller.done_at, self.started_at)), now)
        self.publish(now)

    def offered(self, now: int) -> None:
        """A hosted agent has more to say: now, or after what is being said by either side."""
        if self.phase is Phase.SPEAKING or self.caller.speaking:
            self.dialogue.offered()
        elif self.phase is Phase.LISTENING:
            self.think(now)

    def ask(self, turn: AgentTurn, now: int) -> None:
        """Put the history before the model, for this turn to begin or to go on."""
        self.deadlines.set(Deadline.REPLY, now + self.policy.reply_wait_ms)
        self.out.append(c.Think(turn.number, self.dialogue.ask()))

    def say(
        self, words: str, now: int, *, ending: Outcome | None = None, held: bool = False
    ) -> AgentTurn:
        """Speak words of our own as a turn."""
        self.deadlines.clear(Deadline.END_OF_TURN, Deadline.SILENCE, Deadline.TRANSCRIPT)
        turn = self.agent.begin(now)
        turn.ending, turn.held, turn.expects = ending, held, self.caller.expects
        self.move(Phase.SPEAKING)
        self.out += turn.words(words, now)
        self.publish(now)
        return turn

    def listen(self, now: int) -> None:
        """Leave the word to the caller."""
        self.move(Phase.LISTENING)
        if not self.caller.speaking:
            self.deadlines.set(Deadline.SILENCE, now + self.policy.silence_ms)
            if self.dialogue.unanswered or not self.caller.transcribed:
                self.await_turn()
        self.publish(now)

    def await_turn(self) -> None:
        """The caller pauses: when is it our turn?"""
        if not self.caller.speaking:
            self.deadlines.set(Deadline.END_OF_TURN, self.caller.finished_at)

    def caller_finished(self, now: int) -> None:
        """The silence has lasted: answer, if there is anything to answer."""
        if self.phase is not Phase.LISTENING or self.caller.speaking:
            return
        if not self.caller.transcribed:
            wait = self.caller.spoke_at + self.policy.transcript_wait_ms
            self.deadlines.set(Deadline.TRANSCRIPT, max(now + 1, wait))
        elif self.dialogue.unanswered:
            self.think(now)
        elif self.agent.cut_off is not None:
            self._resume(*self.agent.cut_off, now=now)
        else:
            self.deadlines.set(Deadline.SILENCE, now + self.policy.silence_ms)

    def _resume(self, cut: AgentTurn, rest: str, *, now: int) -> None:
        """Nobody meant to interrupt (a cough, a door): say what was not heard, or think anew."""
        self.agent.cut_off = None
        if not cut.fully_planned:
            self.think(now)
        elif rest.strip():
            turn = self.say(rest, now, ending=cut.ending)
            turn.note, turn.expects = cut.note, cut.expects
        elif cut.ending is not None:
            self.end(cut.ending, now)
        else:
            self.deadlines.set(Deadline.SILENCE, now + self.policy.silence_ms)

    def interrupt(self, now: int) -> bool:
        """The caller takes the turn; False when this turn may not be interrupted."""
        turn = self.agent.turn
        if turn is None:
            return True
        if turn.held or not self.policy.interruptible:
            return False
        self.agent.cut_off = (turn, turn.unheard(self.drop(turn, now)))
        if self.quiet.aside_plays:
            self.hush(now)
        self.caller.asked(turn.expects)
        self.listen(now)
        return True

    def interrupted(self, now: int) -> None:
        """A hosted agent was interrupted, maybe by a voice that is too soft for us.

        Nobody meant to when no words follow.
        """
        if self.phase is Phase.SPEAKING and self.interrupt(now) and not self.caller.speaking:
            self.deadlines.set(Deadline.END_OF_TURN, now + self.policy.end_of_turn_ms)

    def finish_if_heard(self, now: int) -> None:
        """Go on to what follows the turn in progress, once it has been heard out."""
        if self.agent.played_out:
            self.deadlines.clear(Deadline.PLAYOUT)
        if (turn := self.agent.heard_out) is None:
            return
        self.deadlines.clear(Deadline.CLOSING)
        self._heard(turn, self.agent.finish(), interrupted=False, now=now)
        self.caller.asked(turn.expects)
        if turn.ending is not None:
            self.end(turn.ending, now)
        else:
            self.listen(now)

    def _heard(self, turn: AgentTurn, heard: str, *, interrupted: bool, now: int) -> None:
        """Put what was really heard of a turn into history and transcript."""
        self.dialogue.agent_said(heard.strip(), interrupted=interrupted, note=turn.note)
        self.out += self.record.agent_line(turn, heard, now)

    def drop(self, turn: AgentTurn, now: int) -> str:
        """Stop all work and sound of the turn in progress; returns what was heard of it."""
        self.deadlines.clear(Deadline.REPLY, Deadline.PLAYOUT, Deadline.CLOSING)
        self.out.append(c.Abandon(turn.number))
        if not self.agent.played_out:
            self.hush(now)
        heard = self.agent.drop()
        self._heard(turn, heard, interrupted=True, now=now)
        return heard

    def hush(self, now: int) -> None:
        """Throw away all sound that has not been heard."""
        self.out.append(c.StopPlaying())
        self.aside_heard(now)
        self.agent.hushed()
        self.quiet.cut(now)

    def sound(self, mulaw: bytes, text: str, now: int) -> None:
        """Send audio of the turn in progress to the caller."""
        self.out += self.agent.speech(mulaw, text)
        self.quiet.sounds(len(mulaw) // MULAW_BYTES_PER_MS, now)
        self.await_marks(now)

    def await_marks(self, now: int) -> None:
        """The carrier owes marks: for how long?"""
        heard_at = max(now, self.quiet.audible_until)
        self.deadlines.set(Deadline.PLAYOUT, heard_at + _PLAYOUT_GRACE_MS)

    def mind_silence(self, now: int) -> None:
        """See to it that silence which nothing explains is broken in time."""
        due = self.quiet.due(self.caller.active_at, now, owed=self._owes_sound(now))
        if due is None:
            self.deadlines.clear(Deadline.FILLER)
        else:
            self.deadlines.set(Deadline.FILLER, due)

    def _owes_sound(self, now: int) -> bool:
        """Whether the caller may expect to hear something.

        While they speak, press keys or take their pause, and as long as nothing is unanswered,
        silence explains itself.
        """
        caller, turn = self.caller, self.agent.turn
        if caller.speaking or not self.policy.fillers:
            return False
        if turn is not None:
            return not turn.fully_said
        if self.phase is not Phase.LISTENING or caller.entering or now < caller.finished_at:
            return False
        return not caller.transcribed or self.dialogue.unanswered

    def interject(self, now: int) -> None:
        """Ask for a phrase that tells the caller we are there."""
        if self._owes_sound(now):
            turn = self.agent.turn
            tool_runs = turn is not None and turn.awaits_tool
            self.out.append(c.Interject(self.quiet.next_phrase(now, tool_runs=tool_runs)))

    def interjected(self, text: str, mulaw: bytes, now: int) -> None:
        """Send an interjection to the caller, if it still helps.

        It belongs to no turn: it needs no mark, and the model never hears of it.
        """
        if self.quiet.takes(text, now) and self._owes_sound(now):
            self.out.append(c.Play(mulaw))
            self.agent.interjected(mulaw)
            self.quiet.interjected(text, len(mulaw) // MULAW_BYTES_PER_MS, now)
            self.deadlines.set(Deadline.ASIDE, self.quiet.audible_until)

    def aside_heard(self, now: int) -> None:
        """Put what was heard of an interjection into the transcript."""
        self.deadlines.clear(Deadline.ASIDE)
        if (heard := self.quiet.aside_heard(now)) is not None:
            self.out.append(self.record.interjected(heard.text, heard.started_ms, heard.ended_ms))

    def close(self, words: str, end: Outcome, now: int) -> None:
        """Say closing words that nothing interrupts, then end."""
        turn = self.agent.turn
        if turn is not None and turn.held:
            return
        if turn is not None:
            self.drop(turn, now)
            self.move(Phase.LISTENING)
        if not words or self.phase is Phase.WAITING:
            self.end(end, now)
            return
        self.say(words, now, ending=end, held=True)
        self.deadlines.set(Deadline.CLOSING, now + self.policy.closing_ms)

    def transfer(self, end: Outcome, now: int) -> None:
        """Let the carrier put the caller through to a human."""
        if (turn := self.agent.turn) is not None:
            self.drop(turn, now)
        if self.quiet.aside_plays:
            self.hush(now)
        attempt = self.handover.attempt + 1 if self.handover is not None else 1
        self.handover = Handover(end, attempt)
        self.agent.may_transfer = attempt < _MOST_TRANSFERS
        self.caller.away()
        self.move(Phase.TRANSFERRING)
        self.deadlines.clear_all()
        self.deadlines.set(Deadline.TRANSFER, now + _RELEASE_MS)
        self.out += self.record.streamed(now - self.streaming_since)
        self.publish(now)
        self.out.append(c.Transfer())

    def come_back(self, now: int) -> None:
        """Nobody took the call: the caller is on a new media stream."""
        self.streaming_since = now
        self.agent.restart_clock()
        self.deadlines.clear(Deadline.TRANSFER)
        self.deadlines.set(Deadline.MAX_CALL, now + self.policy.max_call_ms)
        self.move(Phase.LISTENING)
        if self.handover is not None and self.handover.deaf:
            self.close(self.policy.failure_closing, outcome.FAILED, now)
        else:
            self._regret(now)

    def _regret(self, now: int) -> None:
        self.dialogue.forget_question()
        if self.policy.transfer_missed:
            self.say(self.policy.transfer_missed, now)
        else:
            self.listen(now)

    def end(self, end: Outcome, now: int) -> None:
        """Close the books and hang up, unless the way leads to a human first."""
        away = self.phase in (Phase.WAITING, Phase.TRANSFERRING)
        if end.disposition is Disposition.HANDED_OVER and self.policy.transfer_wait_ms and not away:
            self.transfer(end, now)
            return
        if (turn := self.agent.turn) is not None:
            self.drop(turn, now)
        if not away:
            self.out += self.record.streamed(now - self.streaming_since)
        self.aside_heard(now)
        self.outcome = self.agent.or_booked(end)
        connected_ms = now - self.started_at if self.phase is not Phase.WAITING else 0
        self.move(Phase.ENDED)
        self.deadlines.clear_all()
        self.out += self.record.closing(connected_ms)
        self.publish(now)
        self.out.append(c.HangUp(self.outcome))

    def publish(self, now: int) -> None:
        """Show the conversation as it stands."""
        side, number = self.caller, self.agent.number
        self.out.append(self.record.publish(now, self.phase, side, number, self.outcome))

    def move(self, to: Phase) -> None:
        """Enter a phase; an illegal move is a bug."""
        if to is not self.phase:
            assert to in MOVES[self.phase], f"{self.phase} -> {to}"
            self.phase = to
