"""The call: events in, commands out. No clock, no I/O, no asyncio, no logging."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from voice_server.call import commands as c
from voice_server.call import events as e
from voice_server.call import outcome
from voice_server.call.conversation import Conversation
from voice_server.call.deadlines import Deadline
from voice_server.call.outcome import EndReason, Outcome
from voice_server.call.phase import Phase
from voice_server.call.policy import Policy
from voice_server.call.transferring import while_away
from voice_server.call.turns import Edge

_FAILURES_BORNE = 1  # failures of model or voice in a row that an apology mends
# Reading members of an enum would be a quarter of what a frame costs.
_ENDED, _SPEAKING, _TRANSFERRING = Phase.ENDED, Phase.SPEAKING, Phase.TRANSFERRING
_NOTHING: tuple[c.Command, ...] = ()


class Call:
    """One call: knows what each event means for the conversation.

    Owned by one task; feed it with `handle`, obey what it returns, in order. `now` is ms since
    the call began and must never fall. Read `deadline` after each `handle`: it is when
    `TimePassed` must be delivered at the latest.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._talk = Conversation(policy)
        self.agent = self._talk.agent
        self.caller = self._talk.caller
        self.dialogue = self._talk.dialogue
        self.record = self._talk.record
        self._failures = 0

    @property
    def phase(self) -> Phase:
        """Where the call is in its life."""
        return self._talk.phase

    @property
    def outcome(self) -> Outcome | None:
        """How the call ended, None while it goes on."""
        return self._talk.outcome

    @property
    def transfers(self) -> int:
        """How often the caller was to be put through, the present attempt included."""
        return self._talk.handover.attempt if self._talk.handover is not None else 0

    @property
    def deadline(self) -> int | None:
        """When `TimePassed` is due, None = never."""
        return self._talk.deadlines.next

    def give_up(self) -> None:
        """End the call as failed without another command: its shell cannot obey any."""
        self._talk.phase, self._talk.outcome = Phase.ENDED, outcome.FAILED
        self._talk.deadlines.clear_all()

    def handle(self, event: e.Event, now: int) -> Sequence[c.Command]:
        """Take one event; returns the commands to obey, in order."""
        talk = self._talk
        phase = talk.phase
        if phase is _ENDED:
            return _NOTHING
        if phase is _TRANSFERRING:
            while_away(talk, event, now)
        elif type(event) is e.AudioHeard:  # 50 times a second, nearly always just passed on
            talk.agent.media_ms = event.media_ms
            edge = talk.caller.hear(event.loudness, now)
            if edge is None and not (phase is _SPEAKING and talk.caller.speaking):
                return (c.Transcribe(event.mulaw),)
            talk.out.append(c.Transcribe(event.mulaw))
            self._voice(edge, now)
        elif type(event) is e.VoiceScored:
            talk.caller.score(event.percent, now)
            return _NOTHING
        else:
            self._dispatch(event, now)
        talk.mind_silence(now)
        return talk.take_out()

    def _dispatch(self, event: e.Event, now: int) -> None:  # noqa: C901 - one flat table
        talk = self._talk
        match event:
            case e.MediaStarted():
                self._started(now)
            case e.PartialTranscript():
                if talk.caller.seems_to_say(event.text):
                    talk.out += talk.record.seems(event.text, *talk.caller.span, now)
                    talk.publish(now)
            case e.FinalTranscript():
                self._final(event.text.strip(), event.utterance, now)
            case e.DigitPressed():
                self._key(event.digit, now)
            case e.MarkPlayed():
                if talk.agent.mark(event.name):
                    talk.finish_if_heard(now)
            case e.ReplyText() | e.ToolRequested() | e.ReplyEnded():
                self._replied(event, now)
            case e.ToolReturned():
                self._tool_returned(event, now)
            case e.SpeechReady():
                self._speech(event, now)
            case e.SpeechEnded():
                talk.agent.speech_ended(event.turn)
                talk.finish_if_heard(now)
            case e.RiskAssessed():
                self._assessed(event, now)
            case e.Consumed():
                talk.out += talk.record.consumed(event.item, event.quantity)
            case e.PartFailed():
                self._part_failed(event.part, event.turn, now)
            case e.ServerClosing():
                talk.close(self.policy.server_closing, outcome.SERVER_CLOSING, now)
            case e.InterjectionReady():
                talk.interjected(event.text, event.mulaw, now)
            case e.TimePassed():
                self._time_passed(now)
            case e.ReplyOffered():
                talk.offered(now)
            case e.CallerInterrupted():
                talk.interrupted(now)
            case e.ConversationOpened():
                talk.record.conversation_id = event.conversation_id
            case e.MediaStopped():
                reason = EndReason(event.cause.value)
                talk.end(talk.agent.outcome_if_gone(reason), now)
            case e.TransferBegun() | e.TransferEnded():
                pass  # of a transfer that is over
            case e.AudioHeard() | e.VoiceScored():
                raise AssertionError("handled before dispatch")
            case _:
                assert_never(event)

    def _started(self, now: int) -> None:
        talk = self._talk
        if talk.phase is not Phase.WAITING:
            return
        talk.started_at = talk.streaming_since = now
        talk.deadlines.set(Deadline.MAX_CALL, now + self.policy.max_call_ms)
        if self.policy.greeting:
            talk.say(self.policy.greeting, now)
        else:
            talk.listen(now)

    def _voice(self, edge: Edge | None, now: int) -> None:
        talk = self._talk
        if edge is Edge.OPENED:
            talk.deadlines.clear(Deadline.END_OF_TURN, Deadline.SILENCE, Deadline.TRANSCRIPT)
            if talk.phase is Phase.THINKING:
                talk.interrupt(now)
            elif talk.phase is Phase.LISTENING and talk.quiet.aside_plays:
                talk.hush(now)
            talk.publish(now)
        elif edge is Edge.CLOSED:
            talk.out.append(c.Commit(talk.caller.utterance))
            if talk.phase is Phase.LISTENING:
                talk.await_turn()
            talk.publish(now)
        if talk.phase is Phase.SPEAKING and talk.caller.barges_in(now):
            talk.interrupt(now)

    def _final(self, text: str, utterance: int, now: int) -> None:
        talk = self._talk
        talk.caller.transcript(text, utterance, now)
        if talk.caller.transcribed:
            talk.deadlines.clear(Deadline.TRANSCRIPT)
        if text:
            talk.agent.cut_off = None
            talk.dialogue.caller_said(text)
            talk.out += talk.record.line("caller", text, "", *talk.caller.span)
            talk.publish(now)
        if talk.phase is Phase.LISTENING:
            talk.await_turn()

    def _key(self, digit: str, now: int) -> None:
        talk = self._talk
        if talk.phase in (Phase.SPEAKING, Phase.THINKING) and not talk.interrupt(now):
            return
        talk.deadlines.clear(Deadline.SILENCE, Deadline.END_OF_TURN)
        if talk.caller.press(digit, now):
            self._keys_complete(now)
        else:
            talk.deadlines.set(Deadline.DIGITS, now + self.policy.digits_gap_ms)

    def _keys_complete(self, now: int) -> None:
        talk = self._talk
        keys = talk.caller.take_keys(now)
        talk.deadlines.clear(Deadline.DIGITS)
        talk.agent.cut_off = None
        talk.dialogue.caller_pressed(keys)
        talk.out += talk.record.keys(keys, now)
        if talk.phase is Phase.LISTENING and not talk.caller.speaking:
            talk.think(now)

    def _replied(self, event: e.ReplyText | e.ToolRequested | e.ReplyEnded, now: int) -> None:
        talk = self._talk
        commands = talk.agent.replied(event, now)
        if commands is not None:
            talk.deadlines.clear(Deadline.REPLY)
            if type(event) is not e.ReplyEnded:  # a model may also stall in mid-sentence
                talk.deadlines.set(Deadline.REPLY, now + self.policy.reply_wait_ms)
            talk.out += commands

    def _tool_returned(self, event: e.ToolReturned, now: int) -> None:
        talk = self._talk
        goes_on = talk.agent.tool_returned(event)
        if goes_on and (turn := talk.agent.turn) is not None:
            turn.think_on()
            talk.ask(turn, now)
        elif goes_on is False and talk.phase is Phase.LISTENING:
            talk.await_turn()

    def _speech(self, event: e.SpeechReady, now: int) -> None:
        talk = self._talk
        if (turn := talk.agent.at_work(event.turn)) is None:
            return
        if turn.speech_at < 0:
            turn.speech_at = now
            if not turn.scripted:
                self._failures = 0
            talk.out.append(talk.record.measured(turn, talk.caller.transcript_at))
        if talk.phase is not Phase.SPEAKING:
            talk.move(Phase.SPEAKING)
            talk.publish(now)
        talk.sound(event.mulaw, event.text, now)

    def _time_passed(self, now: int) -> None:  # noqa: C901 - one flat table
        talk = self._talk
        while (due := talk.deadlines.take_due(now)) is not None:
            match due:
                case Deadline.END_OF_TURN:
                    talk.caller_finished(now)
                case Deadline.TRANSCRIPT:
                    self._not_understood(now)
                case Deadline.DIGITS:
                    self._keys_complete(now)
                case Deadline.SILENCE:
                    self._silence(now)
                case Deadline.REPLY:
                    self._part_failed(e.Part.LANGUAGE_MODEL, talk.agent.number, now)
                case Deadline.PLAYOUT:
                    self._marks_lost(now)
                case Deadline.ASIDE:
                    talk.aside_heard(now)
                    talk.publish(now)
                case Deadline.FILLER:
                    talk.interject(now)
                case Deadline.MAX_CALL:
                    talk.close(self.policy.max_call_closing, outcome.MAX_DURATION, now)
                case Deadline.TRANSFER:
                    raise AssertionError("due only while transferring")
                case Deadline.CLOSING:
                    talk.end(talk.agent.ending or outcome.FAILED, now)
                case _:
                    assert_never(due)

    def _not_understood(self, now: int) -> None:
        """The transcriber does not answer: go on with what there is, or ask for it again."""
        talk = self._talk
        talk.caller.give_up_transcript()
        if talk.dialogue.unanswered or talk.agent.cut_off is not None:
            talk.caller_finished(now)
        else:
            talk.say(self.policy.apology, now)

    def _silence(self, now: int) -> None:
        talk = self._talk
        if (prompt := talk.caller.next_prompt()) is not None:
            talk.say(prompt, now)
        elif self.policy.end_on_silence:
            talk.close(self.policy.silence_closing, outcome.SILENCE, now)
        else:
            talk.deadlines.set(Deadline.SILENCE, now + self.policy.silence_ms)

    def _marks_lost(self, now: int) -> None:
        """The carrier owes marks for audio that must be over: count what its clock supports."""
        talk = self._talk
        turn = talk.agent.turn
        if turn is None:
            return
        if not turn.fully_said:
            talk.await_marks(now)  # one that comes behind them stands for all
        elif turn.ending is not None:
            talk.end(turn.ending, now)
        else:
            talk.drop(turn, now)
            talk.listen(now)

    def _part_failed(self, part: e.Part, number: e.TurnId, now: int) -> None:
        talk = self._talk
        if part is e.Part.RISK or (number and talk.agent.at_work(number) is None):
            return
        turn, deaf = talk.agent.turn, part is e.Part.TRANSCRIBER
        if turn is not None and turn.held:
            if not deaf:  # not even the closing words can be said
                talk.end(turn.ending or outcome.FAILED, now)
            return
        if talk.phase is Phase.WAITING and not deaf:  # nobody to tell, nothing lost
            return
        self._failures += 1
        if deaf or self._failures > _FAILURES_BORNE:
            talk.close(self.policy.failure_closing, outcome.FAILED, now)
            return
        if turn is not None:
            talk.drop(turn, now)
        talk.dialogue.forget_question()
        talk.say(self.policy.apology, now)

    def _assessed(self, event: e.RiskAssessed, now: int) -> None:
        talk = self._talk
        closing, commands = talk.record.assessed(event.assessment, event.tail)
        talk.out += commands
        talk.agent.blocked_tools = talk.record.risk.blocked_tools
        if closing is not None:
            talk.close(*closing, now)
        elif commands:
            talk.publish(now)
