"""The call: events in, commands out. No clock, no I/O, no asyncio, no logging."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from voice_server.call import commands as c
from voice_server.call import events as e
from voice_server.call import outcome
from voice_server.call.agent import AgentSide
from voice_server.call.agent_turn import AgentTurn
from voice_server.call.caller import CallerSide
from voice_server.call.deadlines import Deadline, Deadlines
from voice_server.call.dialogue import Dialogue
from voice_server.call.outcome import EndReason, Outcome
from voice_server.call.phase import MOVES, Phase
from voice_server.call.policy import Policy
from voice_server.call.record import CallRecord
from voice_server.call.turns import Edge

_PLAYOUT_GRACE_MS = 3_000  # a mark that comes later than this after its audio is lost
_FAILURES_BORNE = 1  # failures of model or voice in a row that an apology mends
_NOTHING: tuple[c.Command, ...] = ()


class Call:
    """One call. Owned by one task; feed it with `handle`, obey what it returns, in order.

    `now` is ms since the call began and must never fall. Read `deadline` after each
    `handle`: it is when `TimePassed` must be delivered at the latest.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.phase = Phase.WAITING
        self.outcome: Outcome | None = None
        self.dialogue = Dialogue()
        self.record = CallRecord(policy)
        self._caller = CallerSide(policy)
        self.agent = AgentSide(self.dialogue)
        self._deadlines = Deadlines()
        self._out: list[c.Command] = []
        self._started_at = 0
        self._failures = 0

    @property
    def deadline(self) -> int | None:
        """When `TimePassed` is due, None = never."""
        return self._deadlines.next

    def handle(self, event: e.Event, now: int) -> Sequence[c.Command]:
        """Take one event; returns the commands to obey, in order."""
        if self.phase is Phase.ENDED:
            return _NOTHING
        if type(event) is e.AudioHeard:  # 50 times a second, nearly always just passed on
            self.agent.media_ms = event.media_ms
            edge = self._caller.hear(event.loudness, now)
            if edge is None and not (self.phase is Phase.SPEAKING and self._caller.speaking):
                return (c.Transcribe(event.mulaw),)
            self._out.append(c.Transcribe(event.mulaw))
            self._voice(edge, now)
        elif type(event) is e.VoiceScored:
            self._caller.score(event.percent, now)
            return _NOTHING
        else:
            self._dispatch(event, now)
        out, self._out = self._out, []
        return out

    def _dispatch(self, event: e.Event, now: int) -> None:  # noqa: C901 - one flat table
        match event:
            case e.MediaStarted():
                self._started(now)
            case e.PartialTranscript():
                if self._caller.seems_to_say(event.text):
                    self._publish(now)
            case e.FinalTranscript():
                self._final(event.text.strip(), event.utterance, now)
            case e.DigitPressed():
                self._key(event.digit, now)
            case e.MarkPlayed():
                if self.agent.mark(event.name):
                    self._finish_if_heard(now)
            case e.ReplyText() | e.ToolRequested() | e.ReplyEnded():
                self._replied(event, now)
            case e.ToolReturned():
                self._tool_returned(event, now)
            case e.SpeechReady():
                self._speech(event, now)
            case e.SpeechEnded():
                self.agent.speech_ended(event.turn)
                self._finish_if_heard(now)
            case e.RiskAssessed():
                self._assessed(event, now)
            case e.Consumed():
                self._out += self.record.consumed(event.item, event.quantity)
            case e.PartFailed():
                self._part_failed(event.part, event.turn, now)
            case e.ServerClosing():
                self._close(self.policy.server_closing, outcome.SERVER_CLOSING, now)
            case e.TimePassed():
                self._time_passed(now)
            case e.MediaStopped():
                reason = EndReason(event.cause.value)
                self._end(self.agent.outcome_if_gone(reason), now)
            case e.AudioHeard() | e.VoiceScored():
                raise AssertionError("handled before dispatch")
            case _:
                assert_never(event)

    def _started(self, now: int) -> None:
        if self.phase is not Phase.WAITING:
            return
        self._started_at = now
        self._deadlines.set(Deadline.MAX_CALL, now + self.policy.max_call_ms)
        if self.policy.greeting:
            self._say(self.policy.greeting, now)
        else:
            self._listen(now)

    def _voice(self, edge: Edge | None, now: int) -> None:
        if edge is Edge.OPENED:
            self._deadlines.clear(Deadline.END_OF_TURN, Deadline.SILENCE, Deadline.TRANSCRIPT)
            if self.phase is Phase.THINKING:
                self._interrupt(now)
            self._publish(now)
        elif edge is Edge.CLOSED:
            self._out.append(c.Commit(self._caller.utterance))
            if self.phase is Phase.LISTENING:
                self._await_turn()
            self._publish(now)
        if self.phase is Phase.SPEAKING and self._caller.barges_in(now):
            self._interrupt(now)

    def _await_turn(self) -> None:
        """The caller pauses: when is it our turn?"""
        if not self._caller.speaking:
            self._deadlines.set(Deadline.END_OF_TURN, self._caller.finished_at)

    def _final(self, text: str, utterance: int, now: int) -> None:
        self._caller.transcript(text, utterance, now)
        if self._caller.transcribed:
            self._deadlines.clear(Deadline.TRANSCRIPT)
        if text:
            self.agent.cut_off = None
            self.dialogue.caller_said(text)
            self._out += self.record.line("caller", text, "", *self._caller.span)
            self._publish(now)
        if self.phase is Phase.LISTENING:
            self._await_turn()

    def _key(self, digit: str, now: int) -> None:
        if self.phase in (Phase.SPEAKING, Phase.THINKING) and not self._interrupt(now):
            return
        self._deadlines.clear(Deadline.SILENCE, Deadline.END_OF_TURN)
        if self._caller.press(digit):
            self._keys_complete(now)
        else:
            self._deadlines.set(Deadline.DIGITS, now + self.policy.digits_gap_ms)

    def _keys_complete(self, now: int) -> None:
        keys = self._caller.take_keys(now)
        self._deadlines.clear(Deadline.DIGITS)
        self.agent.cut_off = None
        self.dialogue.caller_pressed(keys)
        self._out += self.record.keys(keys, now)
        if self.phase is Phase.LISTENING and not self._caller.speaking:
            self._think(now)

    def _think(self, now: int) -> None:
        if self.record.risk.take_challenge():
            self.dialogue.forget_question()  # the model sees the words with their answer
            self._say(self.policy.scam_challenge, now)
            return
        self._deadlines.clear(Deadline.END_OF_TURN, Deadline.SILENCE, Deadline.TRANSCRIPT)
        self._move(Phase.THINKING)
        self._ask(self.agent.begin(max(self._caller.done_at, self._started_at)), now)
        self._publish(now)

    def _ask(self, turn: AgentTurn, now: int) -> None:
        self._deadlines.set(Deadline.REPLY, now + self.policy.reply_wait_ms)
        self._out.append(c.Think(turn.number, self.dialogue.ask()))

    def _replied(self, event: e.ReplyText | e.ToolRequested | e.ReplyEnded, now: int) -> None:
        commands = self.agent.replied(event, now)
        if commands is not None:
            self._deadlines.clear(Deadline.REPLY)
            if type(event) is not e.ReplyEnded:  # a model may also stall in mid-sentence
                self._deadlines.set(Deadline.REPLY, now + self.policy.reply_wait_ms)
            self._out += commands

    def _tool_returned(self, event: e.ToolReturned, now: int) -> None:
        goes_on = self.agent.tool_returned(event)
        if goes_on and (turn := self.agent.turn) is not None:
            turn.think_on()
            self._ask(turn, now)
        elif goes_on is False and self.phase is Phase.LISTENING:
            self._await_turn()

    def _speech(self, event: e.SpeechReady, now: int) -> None:
        if (turn := self.agent.at_work(event.turn)) is None:
            return
        if turn.speech_at < 0:
            turn.speech_at = now
            if not turn.scripted:
                self._failures = 0
            self._out.append(self.record.measured(turn, self._caller.transcript_at))
        if self.phase is not Phase.SPEAKING:
            self._move(Phase.SPEAKING)
            self._publish(now)
        self._out += self.agent.speech(event.mulaw, event.text)
        self._deadlines.set(Deadline.PLAYOUT, now + self.agent.left_ms + _PLAYOUT_GRACE_MS)

    def _finish_if_heard(self, now: int) -> None:
        if self.agent.played_out:
            self._deadlines.clear(Deadline.PLAYOUT)
        if (turn := self.agent.heard_out) is None:
            return
        self._deadlines.clear(Deadline.CLOSING)
        self._heard(turn, self.agent.finish(), interrupted=False, now=now)
        self._caller.asked(turn.expects)
        if turn.ending is not None:
            self._end(turn.ending, now)
        else:
            self._listen(now)

    def _heard(self, turn: AgentTurn, heard: str, *, interrupted: bool, now: int) -> None:
        """Put what was really heard of a turn into history and transcript."""
        self.dialogue.agent_said(heard.strip(), interrupted=interrupted, note=turn.note)
        self._out += self.record.agent_line(turn, heard, now)

    def _interrupt(self, now: int) -> bool:
        """The caller takes the turn; False when this turn may not be interrupted."""
        turn = self.agent.turn
        if turn is None:
            return True
        if turn.held or not self.policy.interruptible:
            return False
        self.agent.cut_off = (turn, turn.unheard(self._drop(turn, now)))
        self._caller.asked(turn.expects)
        self._listen(now)
        return True

    def _drop(self, turn: AgentTurn, now: int) -> str:
        """Stop all work and sound of the turn in progress; returns what was heard of it."""
        self._deadlines.clear(Deadline.REPLY, Deadline.PLAYOUT, Deadline.CLOSING)
        commands, heard = self.agent.drop()
        self._out += commands
        self._heard(turn, heard, interrupted=True, now=now)
        return heard

    def _say(
        self, words: str, now: int, *, ending: Outcome | None = None, held: bool = False
    ) -> AgentTurn:
        """Speak words of our own as a turn."""
        self._deadlines.clear(Deadline.END_OF_TURN, Deadline.SILENCE, Deadline.TRANSCRIPT)
        turn = self.agent.begin(now)
        turn.ending, turn.held, turn.expects = ending, held, self._caller.expects
        self._move(Phase.SPEAKING)
        self._out += turn.words(words, now)
        self._publish(now)
        return turn

    def _listen(self, now: int) -> None:
        self._move(Phase.LISTENING)
        if not self._caller.speaking:
            self._deadlines.set(Deadline.SILENCE, now + self.policy.silence_ms)
            if self.dialogue.unanswered or not self._caller.transcribed:
                self._await_turn()
        self._publish(now)

    def _time_passed(self, now: int) -> None:
        while (due := self._deadlines.take_due(now)) is not None:
            match due:
                case Deadline.END_OF_TURN:
                    self._caller_finished(now)
                case Deadline.TRANSCRIPT:
                    self._caller.give_up_transcript()
                    self._caller_finished(now)
                case Deadline.DIGITS:
                    self._keys_complete(now)
                case Deadline.SILENCE:
                    self._silence(now)
                case Deadline.REPLY:
                    self._part_failed(e.Part.LANGUAGE_MODEL, self.agent.number, now)
                case Deadline.PLAYOUT:
                    self._marks_lost(now)
                case Deadline.MAX_CALL:
                    self._close(self.policy.max_call_closing, outcome.MAX_DURATION, now)
                case Deadline.CLOSING:
                    self._end(self.agent.ending or outcome.FAILED, now)
                case _:
                    assert_never(due)

    def _caller_finished(self, now: int) -> None:
        """The silence has lasted: answer, if there is anything to answer."""
        if self.phase is not Phase.LISTENING or self._caller.speaking:
            return
        if not self._caller.transcribed:
            wait = self._caller.spoke_at + self.policy.transcript_wait_ms
            self._deadlines.set(Deadline.TRANSCRIPT, max(now + 1, wait))
        elif self.dialogue.unanswered:
            self._think(now)
        elif self.agent.cut_off is not None:
            self._resume(*self.agent.cut_off, now=now)
        else:
            self._deadlines.set(Deadline.SILENCE, now + self.policy.silence_ms)

    def _resume(self, cut: AgentTurn, rest: str, *, now: int) -> None:
        """Nobody meant to interrupt (a cough, a door): say what was not heard, or think anew."""
        self.agent.cut_off = None
        if not cut.fully_planned:
            self._think(now)
        elif rest.strip():
            turn = self._say(rest, now, ending=cut.ending)
            turn.note, turn.expects = cut.note, cut.expects
        elif cut.ending is not None:
            self._end(cut.ending, now)
        else:
            self._deadlines.set(Deadline.SILENCE, now + self.policy.silence_ms)

    def _silence(self, now: int) -> None:
        if (prompt := self._caller.next_prompt()) is not None:
            self._say(prompt, now)
        elif self.policy.end_on_silence:
            self._close(self.policy.silence_closing, outcome.SILENCE, now)
        else:
            self._deadlines.set(Deadline.SILENCE, now + self.policy.silence_ms)

    def _marks_lost(self, now: int) -> None:
        """The carrier owes marks for audio that must be over: count what its clock supports."""
        if self.agent.ending is not None:
            self._end(self.agent.ending, now)
        elif self.agent.turn is not None:
            self._drop(self.agent.turn, now)
            self._listen(now)

    def _part_failed(self, part: e.Part, number: e.TurnId, now: int) -> None:
        if part is e.Part.RISK or (number and self.agent.at_work(number) is None):
            return
        turn, deaf = self.agent.turn, part is e.Part.TRANSCRIBER
        if turn is not None and turn.held:
            if not deaf:  # not even the closing words can be said
                self._end(turn.ending or outcome.FAILED, now)
            return
        if self.phase is Phase.WAITING and not deaf:  # nobody to tell, nothing lost
            return
        self._failures += 1
        if deaf or self._failures > _FAILURES_BORNE:
            self._close(self.policy.failure_closing, outcome.FAILED, now)
            return
        if turn is not None:
            self._drop(turn, now)
        self.dialogue.forget_question()
        self._say(self.policy.apology, now)

    def _assessed(self, event: e.RiskAssessed, now: int) -> None:
        closing, commands = self.record.assessed(event.assessment)
        self._out += commands
        self.agent.blocked_tools = self.record.risk.blocked_tools
        if closing is not None:
            self._close(*closing, now)
        elif commands:
            self._publish(now)

    def _close(self, words: str, end: Outcome, now: int) -> None:
        """Say closing words that nothing interrupts, then end."""
        turn = self.agent.turn
        if turn is not None and turn.held:
            return
        if turn is not None:
            self._drop(turn, now)
            self._move(Phase.LISTENING)
        if not words or self.phase is Phase.WAITING:
            self._end(end, now)
            return
        self._say(words, now, ending=end, held=True)
        self._deadlines.set(Deadline.CLOSING, now + self.policy.closing_ms)

    def _end(self, end: Outcome, now: int) -> None:
        if (turn := self.agent.turn) is not None:
            self._drop(turn, now)
        self.outcome = self.agent.or_booked(end)
        connected_ms = now - self._started_at if self.phase is not Phase.WAITING else 0
        self._move(Phase.ENDED)
        self._deadlines.clear_all()
        self._out += self.record.closing(connected_ms)
        self._publish(now)
        self._out.append(c.HangUp(self.outcome))

    def _publish(self, now: int) -> None:
        side, number = self._caller, self.agent.number
        self._out.append(self.record.publish(now, self.phase, side, number, self.outcome))

    def _move(self, to: Phase) -> None:
        if to is not self.phase:
            assert to in MOVES[self.phase], f"{self.phase} -> {to}"
            self.phase = to
