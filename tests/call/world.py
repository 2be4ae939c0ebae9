"""A small world around a call: everything it asks for happens, mostly, and sometimes nonsense.

What happens is read from a tape of bytes, two for each step, so that a property test can
search among worlds and a seeded one can make many of them quickly.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from random import Random

from detectors.assessment import Segment, Severity
from tests.call.scenes import FRAME, LOUD, QUIET, view
from tests.call.watch import Broken, Rule, Watch, held
from voice_server.call import Call, Phase, Policy, Rate
from voice_server.call import commands as c
from voice_server.call import events as e

TARIFF = (Rate("tts", 3, 7), Rate("llm", 11, 4), Rate("line", 8_500, 1))
POLICIES = (
    Policy(
        greeting="",
        tariff=TARIFF,
        carrier_items=("line",),
        stream_items=("line",),
        max_call_ms=300_000,
        transfer_wait_ms=20_000,
    ),
    Policy(tariff=TARIFF, max_call_ms=250_000, digits_gap_ms=1_500),
    Policy(interruptible=False, detect_scams=False, max_call_ms=250_000),
    Policy(
        greeting="",
        end_on_silence=False,
        silence_prompts=(),
        fillers=(),
        max_call_ms=250_000,
        block_at=Severity.MINIMAL,
        sensitive_tools=("book_order", "cancel_order"),
        hand_over_at=Severity.HIGH,
        end_at=None,
        scam_hand_over="",
        transfer_wait_ms=5_000,
        transfer_missed="",
    ),
    Policy(
        silence_prompts=("Hello?", "Still there?"),
        silence_ms=3_000,
        silence_closing="",
        barge_in_ms=60,
        end_of_turn_ms=2_000,
        filler_ms=900,
        max_call_ms=100_000,
        max_call_closing="",
    ),
)
UTTERANCES = ("My tap leaks.", "Yes.", "", "it is my", "  ", "Number 14, Elm Street.", "No, wait")
REPLIES = (
    "Of course. ",
    "We can fix that ",
    "tomorrow, at nine, ",
    "if it suits you. ",
    "When? ",
    "Dr. Lee will come. ",
    " ",
    "",
    "One moment please, I am looking for a free hour; ",
)
TOOLS = ("book_order", "cancel_order", "end_call", "transfer_call")
SPEECH_MS_PER_CHARACTER = 55
STEPS_BEFORE_THE_START = 6  # at most
STEPS_AFTER_THE_END = 4
ANSWER_LIMIT_MS = 7_500  # transcript wait, patience for numbers and a little


class World:
    """One call and its surroundings. `steps` runs the tape, then end it one way or another."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.watch = Watch(call)
        self.now = 0
        self._thinking: list[int] = []  # turns whose reply is not finished, the newest last
        self._texts: dict[int, deque[str]] = {}  # what the voice still has to say, per turn
        self._closed: set[int] = set()  # turns whose last text is known to the voice
        self._commits: deque[int] = deque()
        self._tools: deque[tuple[str, str, bool]] = deque()
        self._requests = 0
        self._marks: deque[tuple[int, str]] = deque()  # when the carrier returns them
        self._cleared: deque[str] = deque()
        self._played_until = 0
        self._old: deque[e.Event] = deque(maxlen=8)

    def steps(self, tape: bytes) -> World:
        """Live through a tape."""
        after = 0
        for place in range(0, len(tape) - 1, 2):
            after += self.watch.ended
            if after > STEPS_AFTER_THE_END:
                break
            if place == STEPS_BEFORE_THE_START * 2:
                self._start(0)
            _ACTIONS[tape[place] % len(_ACTIONS)](self, tape[place + 1])
        return self

    def hang_up(self) -> None:
        """The caller leaves: this ends any call at once."""
        self._feed(e.MediaStopped(e.StopCause.CALLER_HUNG_UP))
        self._feed(e.MediaStopped(e.StopCause.CARRIER_ENDED))  # also of one without a stream
        held(Rule.ONE_END, self.watch.ended)
        self._feed(e.TimePassed())
        self._feed(e.AudioHeard(FRAME, LOUD, self.now))

    def wait_for_the_end(self) -> None:
        """Nothing happens any more but time: the call must end by itself."""
        self._feed(e.MediaStarted())
        owes = self._owes_an_answer()
        begun = self.now
        for _ in range(800):
            if self.watch.ended:
                return
            out = self._next_deadline()
            owes = owes and not any(map(self._answers, out))
            if owes and self.now > begun + ANSWER_LIMIT_MS and not self._closing():
                raise Broken(Rule.ANSWERED, f"{self.now - begun} ms")
        raise Broken(Rule.TIME_LIMIT, "it never ends")

    def _owes_an_answer(self) -> bool:
        quiet = self.call.phase is Phase.LISTENING and not self.watch.caller_speaks
        return quiet and self.call.dialogue.unanswered

    def _answers(self, command: c.Command) -> bool:
        challenge = self.watch.policy.scam_challenge
        return isinstance(command, c.Think) or (
            isinstance(command, c.Say) and command.text == challenge
        )

    def _closing(self) -> bool:
        turn = self.call.agent.turn
        return turn is not None and turn.held

    def _next_deadline(self) -> list[c.Command]:
        due = self.call.deadline
        held(Rule.WATCHED, due is not None)
        assert due is not None
        self.now = max(self.now, due)
        return self._feed(e.TimePassed())

    # The partners: what the call asks for is put on their desks.

    def _feed(self, event: e.Event) -> list[c.Command]:
        commands = self.watch.feed(event, self.now)
        for command in commands:
            self._obey(command)
        for command in commands:
            if isinstance(command, c.Interject):
                audio = bytes(8 * SPEECH_MS_PER_CHARACTER * len(command.text))
                self._feed(e.InterjectionReady(command.text, audio))
        return commands

    def _obey(self, command: c.Command) -> None:  # noqa: C901 - one flat table
        match command:
            case c.Think(turn=turn):
                self._thinking.append(turn)
            case c.Say(turn=turn, text=text):
                self._texts.setdefault(turn, deque()).append(text)
            case c.FinishSaying(turn=turn):
                self._texts.setdefault(turn, deque())
                self._closed.add(turn)
            case c.Abandon(turn=turn):
                self._old.append(e.ReplyText(turn, "Late. "))
                self._old.append(e.SpeechReady(turn, bytes(800), "Late."))
            case c.Play(mulaw=mulaw):
                self._played_until = max(self._played_until, self.now) + len(mulaw) // 8
            case c.PlaceMark(name=name):
                self._marks.append((self._played_until, name))
            case c.StopPlaying():
                self._cleared.extend(name for _, name in self._marks)
                self._marks.clear()
                self._played_until = self.now
            case c.Commit(utterance=utterance):
                self._commits.append(utterance)
            case c.RunTool(request_id=key):
                self._tools.append((key, "{}", True))
            case c.RefuseTool(request_id=key):
                self._tools.append((key, "refused", False))

    def _pass(self, ms: int) -> None:
        """Let time pass: deadlines are kept and the carrier returns marks when it should."""
        until = self.now + ms
        while True:
            due = self.call.deadline
            mark_at = self._marks[0][0] if self._marks else None
            soonest = min((at for at in (due, mark_at) if at is not None), default=until + 1)
            if soonest > until:
                break
            self.now = max(self.now, soonest)
            if soonest == mark_at:
                self._feed(e.MarkPlayed(self._marks.popleft()[1]))
            else:
                self._feed(e.TimePassed())
        self.now = until

    def _frames(self, loudness: int, count: int, gap_ms: int) -> None:
        for _ in range(count):
            self._pass(gap_ms)
            self._feed(e.AudioHeard(FRAME, loudness, self.now))

    # What may happen. `n` in 0..255 chooses the details.

    def _start(self, n: int) -> None:
        self._feed(e.MediaStarted())

    def _talk(self, n: int) -> None:
        """Speech arrives frame by frame or, after a hitch of the network, in one burst."""
        self._frames(LOUD, 4 + n % 12, 0 if n > 235 else 20)

    def _hush(self, n: int) -> None:
        self._frames(QUIET, 2 + n % 10, 100)

    def _transcript(self, n: int) -> None:
        if self._commits:
            text = UTTERANCES[n % len(UTTERANCES)]
            self._feed(e.FinalTranscript(text, self._commits.popleft()))
        elif n > 200:
            self._feed(e.FinalTranscript(UTTERANCES[n % len(UTTERANCES)], 0))
        else:
            self._hush(n)

    def _caller_turn(self, n: int) -> None:
        self._talk(n)
        self._frames(QUIET, 4, 100)
        self._transcript(n)
        self._frames(QUIET, 12, 100)

    def _model(self, n: int) -> None:
        if not self._thinking:
            return self._voice(n)
        turn = self._thinking[-1] if n % 8 else self._thinking[0]
        if n < 110:
            self._feed(e.ReplyText(turn, REPLIES[n % len(REPLIES)]))
        elif n < 190:
            name = TOOLS[n % len(TOOLS)] if n < 135 else TOOLS[n % 2]
            self._requests += n % 5 != 0
            self._feed(e.ToolRequested(turn, f"r{self._requests}", name, "{}"))
        else:
            self._thinking.remove(turn)
            expects = tuple(e.Expectation)[n % 5]
            self._feed(e.ReplyEnded(turn, expects, "" if n % 3 else f"note {turn}"))
        return None

    def _voice(self, n: int) -> None:
        turn = self.watch.turn
        texts = self._texts.get(turn)
        if texts:
            text = texts.popleft()
            audio = bytes(8 * SPEECH_MS_PER_CHARACTER * len(text))
            half = len(audio) // 16 * 8 if n % 3 == 0 else len(audio)
            self._feed(e.SpeechReady(turn, audio[:half], text))
            if half < len(audio):
                self._feed(e.SpeechReady(turn, audio[half:], ""))
        elif turn in self._closed:
            self._closed.discard(turn)
            self._feed(e.SpeechEnded(turn))
        else:
            self._listen_to_agent(n)

    def _listen_to_agent(self, n: int) -> None:
        self._frames(QUIET, 1 + n % 12, 200)

    def _agent_turn(self, n: int) -> None:
        """Model and voice do all they have to do for the turn in progress."""
        turn = self.watch.turn
        if turn in self._thinking:
            for text in REPLIES[n % 7 : n % 7 + 2]:
                self._feed(e.ReplyText(turn, text))
            if n % 3 == 0:
                self._requests += 1
                tool = TOOLS[n // 8 % 4]
                for _ in range(1 + n % 2):
                    self._feed(e.ToolRequested(turn, f"r{self._requests}", tool, "{}"))
            self._thinking = [other for other in self._thinking if other != turn]
            self._feed(e.ReplyEnded(turn, note="asked" if n % 2 else ""))
        while self._texts.get(turn) or turn in self._closed:
            self._voice(n)

    def _tool(self, n: int) -> None:
        if self._tools:
            key, result, may_succeed = self._tools.popleft()
            event = e.ToolReturned(key, result, may_succeed and n % 4 != 0)
            self._old.append(e.ToolReturned(key, "again", True))
            self._feed(event)
        else:
            self._agent_turn(n)

    def _keys(self, n: int) -> None:
        for digit in "5551234#"[n % 8 :][:3]:
            self._feed(e.DigitPressed(digit))
            self._pass(150)

    def _deadline(self, n: int) -> None:
        due = self.call.deadline
        if due is not None:  # the time limit is too far away to be waited for often
            self._pass(min(max(0, due - self.now), 60_000 if n < 8 else 9_000))

    def _stall(self, n: int) -> None:
        """Nobody answers for up to half a minute; the carrier plays what it was sent."""
        self._pass(n * 118)

    def _score(self, n: int) -> None:
        self._feed(e.VoiceScored(n * 100 // 255))

    def _hosted(self, n: int) -> None:
        """A hosted agent speaks up, or stops because it hears the caller."""
        if n < 8:
            self._feed(e.ConversationOpened(f"conv {n}"))
        else:
            self._feed(e.ReplyOffered() if n % 3 else e.CallerInterrupted())

    def _consume(self, n: int) -> None:
        for quantity in (n, 1, n // 3):
            self._feed(e.Consumed(("tts", "llm", "unpriced")[n % 3], quantity))

    def _assess(self, n: int) -> None:
        bands = tuple(Severity)[: 5 if n > 225 else 4]
        for more in range(2):
            assessment = view(bands[(n + more) % len(bands)], n % 7, detectors=n // 4 % 4)
            self._feed(e.RiskAssessed(assessment))
        if n % 3 == 0:
            through = max(0, self.watch.assessed_through)
            tail = Segment(self.watch.segments - n % 2, "caller", "and", 0, 0)
            self._feed(e.RiskAssessed(view(tuple(Severity)[n % 5], through, detectors=3), tail))

    def _rarely(self, n: int) -> None:
        if n < 45:
            part = tuple(e.Part)[n % 4]
            self._feed(e.PartFailed(part, self.watch.turn if n % 3 else 0, n % 2 == 0))
        elif n < 120 and self._marks:
            self._marks.pop()  # the carrier loses it
        elif n < 220:
            self._feed(e.PartialTranscript(UTTERANCES[n % 7]))
        elif n < 226:
            self._feed(e.ServerClosing())
        elif n < 230:
            self._feed(e.MediaStopped(tuple(e.StopCause)[n % 3]))

    def _transfer(self, n: int) -> None:
        """The caller is put through; a human is rung, and takes the call or does not."""
        if self.call.phase is Phase.LISTENING:
            self._caller_turn(n)
        if (turn := self.watch.turn) in self._thinking:
            self._requests += 1
            self._feed(e.ToolRequested(turn, f"r{self._requests}", "transfer_call", "{}"))
            if n % 3:
                self._agent_turn(1)
            else:  # without a word
                self._feed(e.ReplyEnded(turn))
                self._feed(e.SpeechEnded(turn))
            self._pass(2_000)
        if self.call.phase is Phase.TRANSFERRING and n < 220:
            self._feed(e.TransferBegun())
            self._pass(100 * (n % 100))
            self._feed(e.TransferEnded(n % 5 == 0))
            if n < 180:
                self._feed(e.MediaStarted())

    def _late(self, n: int) -> None:
        """Work that was given up goes on for a while; the carrier returns cleared marks."""
        if self._cleared:
            self._feed(e.MarkPlayed(self._cleared.popleft()))
        for event in tuple(self._old)[n % 8 :][:3]:
            self._feed(event)

    def _nonsense(self, n: int) -> None:
        turn = n % 5
        self._feed(
            (
                e.MediaStarted(),
                e.MarkPlayed(f"m{turn}"),
                e.ReplyText(turn, "Nonsense, "),
                e.ToolRequested(turn, f"r{turn}", "book_order", "?"),
                e.ReplyEnded(turn),
                e.ToolReturned(f"r{turn}", "?", True),
                e.SpeechReady(turn, bytes(turn), "odd"),
                e.SpeechEnded(turn),
                e.FinalTranscript("", turn * 3),
                e.FinalTranscript("again", turn),
                e.TimePassed(),
                e.AudioHeard(b"", LOUD, turn),
                e.DigitPressed("*"),
                e.InterjectionReady("One moment, please.", bytes(800)),
            )[n // 5 % 14]
        )


_WEIGHTS: tuple[tuple[Callable[[World, int], None], int], ...] = (
    (World._caller_turn, 10),
    (World._agent_turn, 11),
    (World._model, 8),
    (World._voice, 6),
    (World._listen_to_agent, 7),
    (World._talk, 4),
    (World._hush, 5),
    (World._transcript, 6),
    (World._tool, 5),
    (World._deadline, 4),
    (World._stall, 2),
    (World._keys, 2),
    (World._score, 2),
    (World._consume, 2),
    (World._hosted, 2),
    (World._transfer, 3),
    (World._assess, 2),
    (World._rarely, 3),
    (World._late, 4),
    (World._nonsense, 3),
    (World._start, 1),
)
_ACTIONS = tuple(action for action, weight in _WEIGHTS for _ in range(weight))


def tape_of(seed: int, steps: int = 90) -> bytes:
    """A long tape: most of a call's depth lies behind many plausible steps."""
    return Random(seed).randbytes(2 + 2 * steps)


def live(tape: bytes, call_of: Callable[[Policy], Call] = Call) -> World:
    """A call that has lived through a tape: its first two bytes choose policy and start."""
    policy = POLICIES[tape[0] % len(POLICIES)]
    world = World(call_of(policy))
    if tape[1] >= 32:
        world._start(0)
    elif tape[1] < 4:
        world.hang_up()
    elif tape[1] < 14:
        part = e.Part.VOICE if tape[1] % 2 else e.Part.LANGUAGE_MODEL
        world._feed(e.PartFailed(part, 0, True))
    return world.steps(tape[2:])
