"""What must hold for every call, whatever happens to it: the rules, checked event by event."""

from __future__ import annotations

import math
from collections import deque
from enum import StrEnum
from fractions import Fraction
from typing import NamedTuple

from detectors.assessment import Assessment, Segment, Severity
from voice_server.call import BOOK_ORDER, Call, Disposition, Phase, Policy
from voice_server.call import commands as c
from voice_server.call import events as e
from voice_server.call.agent import TRANSFER_CALL
from voice_server.call.history import AgentSaid, CallerPressed, CallerSaid, History, ToolUsed


class Rule(StrEnum):
    """The promises of a call."""

    TRANSFERS = "two transfers a call, a third for the scam shield; each ends its event"
    ONE_END = "one HangUp, the last command of all, and no deadline after it"
    CURRENT_TURN = "Think, Say and FinishSaying name the turn in progress, new ones in order"
    ABANDON_ONCE = "Abandon names the turn in progress, and that turn is over"
    LATE_IS_NOTHING = "what comes too late to matter changes nothing"
    PLAY_WHILE_SPEAKING = "Play is the audio just made, behind it a mark, while speaking"
    STOP_ON_ABANDON = "abandoning a turn throws away its sound"
    HEARD_TRUTH = "the agent said what the carrier played, cut at a word, and nothing else"
    UNHEARD_REST = "heard and unheard together are what was said"
    LINE_PER_TURN = "a turn that said something leaves exactly one line"
    CALLER_LINE = "every transcript with words is one line of the caller"
    HISTORY = "the model is shown the lines of the transcript, no more and no less"
    NEW_MATTER = "the model is asked only when there is something new to answer"
    MONEY = "the cost is the worth of all that was used, and never falls"
    SNAPSHOT = "snapshots are numbered and tell the truth"
    PHASE_SHOWN = "every change of phase is shown"
    NO_BUSY_LOOP = "after TimePassed nothing is due any more"
    WATCHED = "a live call always has a deadline, a quiet listening one a near deadline"
    TIME_LIMIT = "no call outlives its time limit and its closing words"
    TOOL_ONCE = "a tool runs, or is refused, once per request"
    BLOCKED = "sensitive tools run until the risk reaches the policy's band, and never after"
    WARN_ONCE = "the person the agent protects is warned once, about what was just seen"
    FINISH_ONCE = "FinishSaying comes once for a turn that is heard out, and nothing after it"
    MEDIA_FIRST = "nothing is said before the stream is open"
    EARS = "every frame goes to the transcriber, every pause is committed once, in order"
    LAST_VIEW = "the last assessment of an ended call, and no other, is final"
    SEGMENTS = "the detector is shown every line with words once, in order"
    PREVIEWS = "words in the making are shown as the next segment, at most once a second"
    TAKEN_BACK = "nothing that cannot be taken back follows from words in the making"
    TIMES = "a line lies in the call's past"
    MEASURED_ONCE = "a turn is measured at most once, and never negative"
    OUTCOME = "a call is booked when an order stands, unless it is a scam or a transfer"
    ANSWERED = "a caller left unanswered is answered or the call is closed"
    GOES_ON = "a turn is being written, waits for a tool, or has all its words"
    OWN_WORDS = "what no model said is a phrase of the policy or the rest of what was cut off"
    NO_DEAD_AIR = "silence that nothing explains ends within 1.5 s"
    INTERJECTED = "an interjection is asked for in time, heard alone, and told as heard"
    SAME_AGAIN = "the same events at the same times give the same commands"


class Broken(AssertionError):
    """A rule does not hold."""

    def __init__(self, rule: Rule, detail: object) -> None:
        super().__init__(f"{rule}: {detail}")
        self.rule = rule


class Span(NamedTuple):
    """Audio sent and not yet acknowledged."""

    mark: str
    text: str
    ms: int


class Heard(NamedTuple):
    """What a turn that was cut off can have sounded like."""

    sure: str
    span: Span | None
    share: Fraction  # of the span that the media clock has reached


class Aside(NamedTuple):
    """An interjection sent and not yet told of."""

    text: str
    began: int
    until: int

    def told(self, now: int) -> c.Record:
        """The line of the transcript that tells what was heard of it so far."""
        ended = min(now, self.until)
        room = Fraction(len(self.text) * (ended - self.began), max(1, self.until - self.began))
        ends = [place for place, letter in enumerate(self.text) if letter.isspace()]
        heard = max((end for end in [0, *ends, len(self.text)] if end <= room), default=0)
        return c.Record("agent", self.text[:heard], "", self.began, ended)


DEAD_AIR_MS = 1_500
LATE_KINDS = (e.ReplyText, e.ToolRequested, e.ReplyEnded, e.SpeechReady, e.SpeechEnded)


def held(rule: Rule, truth: bool, detail: object = "") -> None:
    """Insist on a rule."""
    if not truth:
        raise Broken(rule, detail)


def squeezed(text: str) -> str:
    """Text without its blanks, to compare across the places where it is trimmed."""
    return "".join(text.split())


class Watch:
    """Feeds a call and checks what it does against its own, independent books."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.policy: Policy = call.policy
        self.log: list[tuple[e.Event, int, tuple[c.Command, ...]]] = []
        self.ended = False
        self.started_at = -1
        self.limited_since = -1  # when the time limit began, anew after each transfer
        self.transfers = 0
        self.turn = 0
        self.over = True
        self.said = ""
        self.sent = ""  # what the audio sent of this turn says
        self.lines_of_turn = 0
        self.finished = False
        self.measured = False
        self.spans: deque[Span] = deque()
        self.heard = ""
        self.cut: Heard | None = None
        self.marks: set[str] = set()
        self.media_ms = 0
        self.anchor_media_ms = 0
        self.shown: list[str] = []  # the lines of the transcript that have words
        self.lines = 0
        self.segments = 0
        self.commits = 0
        self.used: dict[str, int] = {}
        self.cost = 0
        self.sequence = 0
        self.caller_speaks = False
        self.tools: dict[str, str] = {}
        self.results: dict[str, str] = {}
        self.writing = False  # the model is at work on the turn in progress
        self.awaited: set[str] = set()  # tools that the turn in progress waits for
        self.booked = False
        self.warned = False
        self.blocked: tuple[str, ...] = ()
        self.assessed_through = -1
        self.band = Severity.MINIMAL
        self.previewed_at = -1_000
        self.rest = ""  # what nobody heard of the newest turn, if it was cut off
        self.phrases = _phrases(self.policy)
        self.now = 0
        self.audible_until = 0
        self.owed_since: int | None = None  # when the caller began to wait for a sound
        self.voice_done = False  # with the turn in progress
        self.transcribed = 0  # the newest commit that was answered
        self.asked = ""  # the interjection that was asked for
        self.aside: Aside | None = None
        self.aside_until_media_ms = 0
        self.matter = False  # words, keys or results the model has not seen
        self.dropped = False  # a turn since the last question was not heard out

    def feed(self, event: e.Event, now: int) -> list[c.Command]:
        """Let the call take one event; raises `Broken` when a rule does not hold."""
        was = self.call.phase
        self._listen_for_dead_air(now)
        late = self._is_late(event)
        commands = list(self.call.handle(event, now))
        self.log.append((event, now, tuple(commands)))
        if self.ended:
            held(Rule.ONE_END, not commands, commands)
            held(Rule.ONE_END, self.call.phase is Phase.ENDED and self.call.deadline is None)
            return commands
        if late:
            held(Rule.LATE_IS_NOTHING, not commands, (event, commands))
        self._note(event, now, commands, away=was is Phase.TRANSFERRING)
        for place, command in enumerate(commands):
            self._check(command, event, now, commands[place + 1 :])
        self._settle(event, now, was, commands)
        return commands

    def _is_late(self, event: e.Event) -> bool:
        if isinstance(event, e.RiskAssessed):
            return not self._counts(event.assessment, event.tail)
        if isinstance(event, e.MarkPlayed):
            return all(span.mark != event.name for span in self.spans)
        if isinstance(event, e.InterjectionReady):
            return event.text != self.asked
        if isinstance(event, e.ToolReturned):
            known = event.request_id in self.tools
            return not known or event.request_id in self.results
        about_turn = isinstance(event, LATE_KINDS) or (
            isinstance(event, e.PartFailed) and event.turn != 0
        )
        return about_turn and (event.turn != self.turn or self.over)  # type: ignore[union-attr]

    def _note(  # noqa: C901 - one flat table
        self, event: e.Event, now: int, commands: list[c.Command], *, away: bool
    ) -> None:
        """Put the facts of the event into our own books."""
        match event:
            case e.AudioHeard() if away:
                held(Rule.EARS, not commands, commands)
            case e.AudioHeard(mulaw=mulaw, media_ms=media_ms):
                self.media_ms = media_ms
                heard = [x for x in commands if isinstance(x, c.Transcribe)]
                held(Rule.EARS, commands[:1] == [c.Transcribe(mulaw)] and len(heard) == 1)
            case e.MediaStarted() if self.started_at < 0:
                self.started_at = self.limited_since = now
            case e.MediaStarted() if away:
                self.limited_since, self.media_ms, self.aside_until_media_ms = now, 0, 0
            case e.SpeechEnded(turn=turn) if turn == self.turn:
                self.voice_done = True
            case e.MarkPlayed(name=name) if any(span.mark == name for span in self.spans):
                self._acknowledge(name)
            case e.FinalTranscript(text=text, utterance=utterance):
                self.transcribed = max(self.transcribed, min(utterance, self.commits))
                words = [x.text for x in commands if isinstance(x, c.Record)]
                held(Rule.CALLER_LINE, words == [text.strip()] * bool(text.strip()), words)
            case e.RiskAssessed(assessment=view, tail=tail) if not self._is_late(event):
                self.assessed_through, self.band = view.through, view.severity
                lasting = any(isinstance(x, c.Say | c.HangUp) for x in commands)
                held(Rule.TAKEN_BACK, tail is None or not lasting, commands)
                block_at = self.policy.block_at
                if block_at and view.detectors and view.severity.rank >= block_at.rank:
                    self.blocked = self.policy.sensitive_tools
            case e.Consumed(item=item, quantity=quantity):
                self.used[item] = self.used.get(item, 0) + quantity
            case e.ReplyOffered():
                self.matter = True
            case e.ReplyEnded(turn=turn) if turn == self.turn:
                self.writing = False
            case e.ToolReturned(request_id=key, result=result, succeeded=succeeded) if (
                key in self.tools
            ):
                self.awaited.discard(key)
                if key not in self.results:
                    self.results[key] = result
                    self.booked |= succeeded and self.tools[key] == BOOK_ORDER
                    self.matter = True

    def _acknowledge(self, name: str) -> None:
        while self.spans:
            span = self.spans.popleft()
            self.heard += span.text
            if span.mark == name:
                break
        self.anchor_media_ms = max(self.media_ms, self.aside_until_media_ms)

    def _check(  # noqa: C901 - one flat table
        self, command: c.Command, event: e.Event, now: int, rest: list[c.Command]
    ) -> None:
        match command:
            case c.Transcribe():
                held(Rule.EARS, isinstance(event, e.AudioHeard))
            case c.Commit(utterance=utterance):
                self.commits += 1
                held(Rule.EARS, utterance == self.commits, utterance)
            case c.Think():
                self._thinks(command)
            case c.Say(turn=turn, text=text):
                if turn != self.turn:
                    known = text in self.phrases or text.strip() == self.rest
                    held(Rule.OWN_WORDS, known, (text, self.rest))
                self._in_progress(turn)
                held(Rule.FINISH_ONCE, not self.finished, command)
                self.said += text
            case c.FinishSaying(turn=turn):
                self._in_progress(turn)
                held(Rule.FINISH_ONCE, not self.finished, command)
                self.finished = True
            case c.Abandon(turn=turn):
                self._abandons(turn, rest)
            case c.Play(mulaw=mulaw) if isinstance(event, e.InterjectionReady):
                self._interjects(event, now)
            case c.Play(mulaw=mulaw):
                self.audible_until = max(now, self.audible_until) + len(mulaw) // 8
                ready = isinstance(event, e.SpeechReady) and event.mulaw == mulaw
                marked = bool(rest) and isinstance(rest[0], c.PlaceMark)
                held(Rule.PLAY_WHILE_SPEAKING, ready and marked, (event, rest))
                held(Rule.PLAY_WHILE_SPEAKING, self.call.phase is Phase.SPEAKING)
                held(Rule.MEDIA_FIRST, self.started_at >= 0)
            case c.PlaceMark(name=name):
                self._sends(name, event)
            case c.StopPlaying():
                needed = self.over if self.spans else self.aside is not None
                held(Rule.STOP_ON_ABANDON, needed)
                self.spans.clear()
                self.audible_until, self.aside_until_media_ms = min(now, self.audible_until), 0
                if self.aside is not None and not self.aside.told(now).text:
                    self.aside = None
            case c.Interject(text=text):
                self._asks_for(text, now)
            case c.RunTool(request_id=key) | c.RefuseTool(request_id=key):
                held(Rule.TOOL_ONCE, key not in self.tools, key)
                asked = isinstance(event, e.ToolRequested) and event.request_id == key
                held(Rule.TOOL_ONCE, asked, event)
                assert isinstance(event, e.ToolRequested)
                refused = isinstance(command, c.RefuseTool)
                blocked = event.name in self.blocked or event.name == TRANSFER_CALL
                held(Rule.BLOCKED, refused == blocked, event.name)
                self.tools[key] = event.name
                self.awaited.add(key)
            case c.Warn(assessment=assessment):
                seen = isinstance(event, e.RiskAssessed) and event.assessment == assessment
                held(Rule.WARN_ONCE, seen and not self.warned)
                self.warned = True
            case c.Record():
                self._records(command, now, rest)
            case c.AssessRisk(segment=segment):
                held(Rule.SEGMENTS, segment.number == self.segments, segment.number)
                self.segments += 1
            case c.PreviewRisk(segment=segment):
                next_one = (segment.number, segment.speaker) == (self.segments, "caller")
                rested = now - self.previewed_at >= 1_000
                held(Rule.PREVIEWS, next_one and rested and self.policy.detect_scams, segment)
                self.previewed_at = now
            case c.RecordRisk(final=final):
                ends = any(isinstance(x, c.HangUp) for x in rest)
                last = ends and not any(isinstance(x, c.RecordRisk) for x in rest)
                held(Rule.LAST_VIEW, final == last, command)
            case c.Book():
                self._books(command, event)
            case c.Measure():
                held(Rule.MEASURED_ONCE, command.turn == self.turn and not self.measured)
                waits = (command.transcript_ms, command.first_text_ms, command.first_audio_ms)
                held(Rule.MEASURED_ONCE, min(waits) >= -1 and waits[-1] >= 0, waits)
                self.measured = True
            case c.Publish():
                self._publishes(command, now)
            case c.Transfer():
                self.transfers += 1
                held(Rule.TRANSFERS, not rest and self.transfers <= 3, self.transfers)
            case c.HangUp():
                held(Rule.ONE_END, not rest and not self.ended, rest)
                self.ended = True
                self._outcome(command)

    def _in_progress(self, turn: int) -> None:
        """A command names this turn: the one in progress, or the very next one."""
        held(Rule.MEDIA_FIRST, self.started_at >= 0, turn)
        if turn == self.turn:
            held(Rule.CURRENT_TURN, not self.over, f"{turn} is over")
            return
        held(Rule.CURRENT_TURN, self.over and turn == self.turn + 1, (turn, self.turn))
        self.turn, self.over, self.said, self.sent = turn, False, "", ""
        self.lines_of_turn, self.finished, self.measured, self.rest = 0, False, False, ""
        self.writing, self.awaited, self.voice_done = False, set(), False

    def _asks_for(self, text: str, now: int) -> None:
        policy = self.policy
        quiet_ms = now - max(self.audible_until, self.call.caller.active_at)
        held(Rule.INTERJECTED, quiet_ms >= policy.filler_ms, (text, quiet_ms))
        held(Rule.INTERJECTED, self.owed_since is not None, text)
        tool_runs = bool(self.awaited) and not self.writing and not self.over
        phrases = policy.tool_fillers if tool_runs else policy.fillers
        held(Rule.INTERJECTED, text in phrases, text)
        self.asked = text

    def _interjects(self, event: e.InterjectionReady, now: int) -> None:
        held(Rule.INTERJECTED, now >= self.audible_until and not self.call.caller.speaking)
        held(Rule.INTERJECTED, self.aside is None and event.text == self.asked, event.text)
        ms = len(event.mulaw) // 8
        self.audible_until, self.asked = now + ms, ""
        self.aside = Aside(event.text, now, self.audible_until)
        self.aside_until_media_ms = max(self.media_ms, self.aside_until_media_ms) + ms

    def _thinks(self, command: c.Think) -> None:
        goes_on = command.turn == self.turn
        self._in_progress(command.turn)
        self.writing = True
        held(Rule.FINISH_ONCE, not self.finished, command.turn)
        held(Rule.NEW_MATTER, self.matter or (self.dropped and not goes_on), command.turn)
        held(Rule.HISTORY, _lines(command.history) == self.shown, command.turn)
        noted = [x for x in command.history if isinstance(x, AgentSaid) and not x.text]
        held(Rule.HISTORY, not any(x.interrupted for x in noted), noted)
        used = {x.request_id: x.result for x in command.history if isinstance(x, ToolUsed)}
        held(Rule.HISTORY, used == {key: self.results.get(key) for key in self.tools}, used)
        self.matter = self.dropped = False

    def _abandons(self, turn: int, rest: list[c.Command]) -> None:
        held(Rule.ABANDON_ONCE, turn == self.turn and not self.over, (turn, self.turn))
        self.over = self.dropped = True
        if self.spans:
            held(Rule.STOP_ON_ABANDON, rest[:1] == [c.StopPlaying()], rest)
        span, share = (self.spans[0] if self.spans else None), Fraction(0)
        if span is not None and span.ms:
            reached = Fraction(max(0, self.media_ms - self.anchor_media_ms), span.ms)
            share = min(Fraction(1), reached)
        self.cut, self.heard = Heard(self.heard, span, share), ""

    def _sends(self, name: str, event: e.Event) -> None:
        held(Rule.PLAY_WHILE_SPEAKING, isinstance(event, e.SpeechReady) and name not in self.marks)
        assert isinstance(event, e.SpeechReady)
        if not self.spans:
            self.anchor_media_ms = max(self.media_ms, self.aside_until_media_ms)
        self.marks.add(name)
        self.sent += event.text
        self.spans.append(Span(name, event.text, len(event.mulaw) // 8))

    def _records(self, line: c.Record, now: int, rest: list[c.Command]) -> None:
        held(Rule.TIMES, 0 <= line.started_ms <= line.ended_ms <= now, line)
        self.lines += 1
        if self.aside is not None and line == self.aside.told(now):
            self.aside = None
            return
        if line.speaker == "agent":
            self.lines_of_turn += 1
            held(Rule.LINE_PER_TURN, self.lines_of_turn == 1, line)
            self._truly_heard(line)
        else:
            held(Rule.CALLER_LINE, line.speaker == "caller" and bool(line.text), line)
            self.matter = True
        if line.text:
            self.shown.append(line.text)
        follows = rest[0] if rest else None
        assessed = isinstance(follows, c.AssessRisk) and follows.segment.text == line.text
        pressed = line.speaker == "caller" and set(line.text) <= set("0123456789*#ABCD")
        wanted = bool(line.text) and self.policy.detect_scams and not pressed
        held(Rule.SEGMENTS, assessed == wanted, line)

    def _counts(self, view: Assessment, tail: Segment | None) -> bool:
        """Whether a view is neither late nor of words in the making that raise nothing."""
        stands = tail is None or (
            tail.number >= self.segments and view.severity.rank > self.band.rank
        )
        return stands and view.through >= self.assessed_through

    def _truly_heard(self, line: c.Record) -> None:
        if self.cut is None:
            held(Rule.HEARD_TRUTH, not self.spans and line.text == self.heard.strip(), line)
            self.heard = ""
        else:
            sure, span, share = self.cut
            held(Rule.HEARD_TRUTH, line.text.startswith(sure.strip()), (line, self.cut))
            whole = sure + (span.text if span else "")
            held(Rule.HEARD_TRUTH, whole.strip().startswith(line.text), (line, self.cut))
            room = len(sure) + (len(span.text) * share if span else 0)
            lead = len(whole) - len(whole.lstrip())
            held(
                Rule.HEARD_TRUTH,
                not line.text or lead + len(line.text) <= max(room, len(sure.rstrip())),
                (line, self.cut),
            )
            beyond = whole.strip()[len(line.text) : len(line.text) + 1]
            at_span = line.text == sure.strip()
            held(Rule.HEARD_TRUTH, at_span or not beyond or beyond.isspace(), (line, self.cut))
            self.rest = line.unheard
        if squeezed(self.said).startswith(squeezed(self.sent)):
            both = squeezed(line.text + line.unheard)
            held(Rule.UNHEARD_REST, both.startswith(squeezed(self.said)), (line, self.said))

    def _books(self, book: c.Book, event: e.Event) -> None:
        if not isinstance(event, e.Consumed):  # the carrier's minutes, at the end
            self.used[book.item] = self.used.get(book.item, 0) + book.quantity
        self.cost += book.micro_usd
        worth = sum(
            math.ceil(Fraction(self.used.get(rate.item, 0) * rate.micro_usd, rate.per))
            for rate in self.policy.tariff
        )
        held(Rule.MONEY, book.micro_usd >= 0 and self.cost <= worth, (book, worth))

    def _publishes(self, publish: c.Publish, now: int) -> None:
        state = publish.state
        held(Rule.SNAPSHOT, state.sequence == self.sequence + 1, state.sequence)
        self.sequence = state.sequence
        held(Rule.SNAPSHOT, (state.at_ms, state.line_count) == (now, self.lines), state)
        held(Rule.MONEY, state.cost_micro_usd == self.cost, (state.cost_micro_usd, self.cost))
        self.caller_speaks = state.speaking == "caller"

    def _outcome(self, hang_up: c.HangUp) -> None:
        held(Rule.ONE_END, hang_up.outcome == self.call.outcome)
        disposition = hang_up.outcome.disposition
        exempt = disposition in (Disposition.SCAM, Disposition.HANDED_OVER)
        if not exempt:
            held(Rule.OUTCOME, self.booked == (disposition is Disposition.BOOKED), disposition)

    def _listen_for_dead_air(self, now: int) -> None:
        """Nothing has changed since the last event but the time."""
        self.now = now
        if self.owed_since is not None:
            active_at = self.call.caller.active_at
            heard_until = max(self.audible_until, active_at, self.owed_since)
            held(Rule.NO_DEAD_AIR, now - heard_until <= DEAD_AIR_MS, now - heard_until)

    def _owes_sound(self, now: int) -> bool:
        """Whether the caller waits for a sound of ours, neither speaking nor in their pause."""
        caller, phase = self.call.caller, self.call.phase
        if caller.speaking or not self.policy.fillers:
            return False
        if phase is Phase.LISTENING:
            if now < caller.finished_at or caller.entering:
                return False
            given_up = now >= caller.spoke_at + self.policy.transcript_wait_ms
            unheard = self.commits > self.transcribed and not given_up
            return unheard or self.call.dialogue.unanswered
        said = self.finished and self.voice_done
        return phase is Phase.THINKING or (phase is Phase.SPEAKING and not said)

    def _settle_silence(self, now: int) -> None:
        if not self._owes_sound(now):
            self.owed_since = None
        elif self.owed_since is None:
            self.owed_since = now
        told = self.aside is None or now <= self.aside.until or not self.aside.told(now).text
        held(Rule.INTERJECTED, told, self.aside)

    def _settle(self, event: e.Event, now: int, was: Phase, commands: list[c.Command]) -> None:
        """The event is dealt with: how does the call stand?"""
        phase, deadline = self.call.phase, self.call.deadline
        published = [x.state.phase for x in commands if isinstance(x, c.Publish)]
        held(Rule.PHASE_SHOWN, phase is was or published[-1:] == [phase.value], published)
        held(Rule.ONE_END, self.ended == (phase is Phase.ENDED), phase)
        if isinstance(event, e.MediaStopped):
            away = was is Phase.TRANSFERRING and event.cause is not e.StopCause.CARRIER_ENDED
            held(Rule.ONE_END, self.ended is not away)
        self._settle_turn(phase)
        self._settle_silence(now)
        self.cut = None
        if isinstance(event, e.TimePassed):
            held(Rule.NO_BUSY_LOOP, deadline is None or deadline > now, (deadline, now))
        if self.ended:
            held(Rule.ONE_END, deadline is None, deadline)
            worth = sum(
                math.ceil(Fraction(self.used.get(rate.item, 0) * rate.micro_usd, rate.per))
                for rate in self.policy.tariff
            )
            held(Rule.MONEY, self.cost == worth, (self.cost, worth))
        elif phase is not Phase.WAITING:
            self._settle_deadline(event, now, phase, deadline)

    def _settle_turn(self, phase: Phase) -> None:
        busy = phase in (Phase.THINKING, Phase.SPEAKING)
        if busy:
            held(Rule.CURRENT_TURN, not self.over, phase)
            held(Rule.GOES_ON, self.writing or bool(self.awaited) or self.finished, self.turn)
            return
        if not self.over:  # without Abandon: it was heard out
            self.over = True
            held(Rule.FINISH_ONCE, self.finished and not self.spans, self.turn)
        faithful = squeezed(self.said).startswith(squeezed(self.sent))
        if self.turn and faithful and squeezed(self.said):
            held(Rule.LINE_PER_TURN, self.lines_of_turn == 1, self.turn)

    def _settle_deadline(
        self, event: e.Event, now: int, phase: Phase, deadline: int | None
    ) -> None:
        held(Rule.WATCHED, deadline is not None, phase)
        assert deadline is not None
        if phase is Phase.LISTENING and not self.caller_speaks:
            policy = self.policy
            longest = max(
                policy.silence_ms,
                policy.digits_gap_ms,
                policy.transcript_wait_ms,
                2 * policy.end_of_turn_ms,
            )
            held(Rule.WATCHED, deadline <= now + longest, (deadline, now))
        if isinstance(event, e.TimePassed) and phase is not Phase.TRANSFERRING:
            last = self.limited_since + self.policy.max_call_ms + self.policy.closing_ms
            # closing words that began for another reason have their own, later, limit
            held(Rule.TIME_LIMIT, now <= last + self.policy.closing_ms, (now, last))


def _phrases(policy: Policy) -> frozenset[str]:
    """All that a call may say of its own accord."""
    fields = [getattr(policy, name) for name in policy.__struct_fields__]
    phrases = [field for field in fields if isinstance(field, str) and field]
    return frozenset([*phrases, *policy.silence_prompts])


def _lines(history: History) -> list[str]:
    """The lines that a history holds, in order."""
    lines = []
    for entry in history:
        match entry:
            case CallerSaid(text=text) | AgentSaid(text=text):
                lines.append(text)
            case CallerPressed(digits=digits):
                lines.append(digits)
    return [line for line in lines if line]
