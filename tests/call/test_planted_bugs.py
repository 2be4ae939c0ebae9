"""Small mistakes in the core are found by the promises: the promises are worth something."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.call.plants import BEHAVIOUR, Plant, planted
from tests.call.watch import Broken, Rule, held
from tests.call.world import POLICIES, live, tape_of
from voice_server.call import Call, Policy

WORLDS = 300
REPLAYED = 10  # of these worlds; a core that is not exact shows it at once

PLANTS = [
    (
        Plant(
            "marks that a clear returns count as heard",
            "playout",
            "        self._spans.clear()\n",
            "",
        ),
        {Rule.LATE_IS_NOTHING, Rule.HEARD_TRUTH, Rule.STOP_ON_ABANDON},
    ),
    (
        Plant(
            "all that was sent counts as heard",
            "playout",
            "self._heard.append(part_heard(first.text, played_ms, first.end_ms - first.start_ms))",
            "self._heard.extend(span.text for span in self._spans)",
        ),
        {Rule.HEARD_TRUTH},
    ),
    (
        Plant(
            "words in the making are shown with every partial transcript",
            "risk",
            "if now - self._previewed_at < PREVIEW_MS:",
            "if now < 0:",
        ),
        {Rule.PREVIEWS},
    ),
    (
        Plant(
            "words that may be taken back end a call",
            "risk",
            "(tail is None or _VOTES[step] == 1)",
            "True",
        ),
        {Rule.TAKEN_BACK},
    ),
    (
        Plant(
            "a view of words that were committed meanwhile still counts",
            "risk",
            "tail.number < self._count or ",
            "",
        ),
        {Rule.LATE_IS_NOTHING},
    ),
    (
        Plant(
            "speech is cut in the middle of a word",
            "playout",
            "while cut > 0 and not text[cut].isspace():",
            "while False:",
        ),
        {Rule.HEARD_TRUTH},
    ),
    (
        Plant(
            "the media clock is read from the start of the turn",
            "playout",
            "self._anchor_ms, self._anchor_media_ms = span.end_ms, self._free_at(media_ms)",
            "self._anchor_ms = span.end_ms",
        ),
        {Rule.HEARD_TRUTH},
    ),
    (
        Plant(
            "mark names depend on where the call lies in memory",
            "playout",
            'f"m{self._serial}"',
            'f"m{id(self)}-{self._serial}"',
        ),
        {Rule.SAME_AGAIN},
    ),
    (
        Plant(
            "late results are taken for the turn in progress",
            "agent",
            "return turn if turn is not None and turn.number == number else None",
            "return turn",
        ),
        {Rule.LATE_IS_NOTHING},
    ),
    (
        Plant(
            "a turn nobody knows is abandoned",
            "conversation",
            "c.Abandon(turn.number)",
            "c.Abandon(turn.number + 1)",
        ),
        {Rule.ABANDON_ONCE},
    ),
    (
        Plant(
            "the sound of an abandoned turn plays on",
            "conversation",
            "if not self.agent.played_out:\n            self.hush",
            "if self.agent.number < 0:\n            self.hush",
        ),
        {Rule.STOP_ON_ABANDON},
    ),
    (
        Plant(
            "an order that was refused counts as booked",
            "agent",
            "used.name == BOOK_ORDER and event.succeeded",
            "used.name == BOOK_ORDER",
        ),
        {Rule.OUTCOME},
    ),
    (
        Plant(
            "a tool that the shield has blocked runs all the same",
            "agent",
            "if name in self.blocked_tools or",
            "if not name or",
        ),
        {Rule.BLOCKED},
    ),
    (
        Plant(
            "a step of the ladder is taken again and again",
            "risk",
            "            del self._limits[step]\n",
            "            pass\n",
        ),
        {Rule.WARN_ONCE},
    ),
    (
        Plant(
            "the model is no longer asked for more once a tool has returned",
            "agent_turn",
            "        return self.fully_planned\n\n    def think_on",
            "        return False\n\n    def think_on",
        ),
        {Rule.GOES_ON},
    ),
    (
        Plant(
            "the voice is told that nothing follows while a tool runs",
            "agent_turn",
            "return said if self._tools else",
            "return",
        ),
        {Rule.FINISH_ONCE, Rule.INTERJECTED},
    ),
    (
        Plant(
            "the caller stays unanswered for ever",
            "dialogue",
            "        if text or not interrupted:\n            self._asked = False\n",
            "",
        ),
        {Rule.NEW_MATTER},
    ),
    (
        Plant(
            "a result that comes twice is taken twice",
            "dialogue",
            " or used.result is not None:",
            ":",
        ),
        {Rule.LATE_IS_NOTHING, Rule.NEW_MATTER, Rule.HISTORY},
    ),
    (
        Plant(
            "a tool runs again for the same request",
            "dialogue",
            "        if request_id in self._tools:\n            return False\n",
            "",
        ),
        {Rule.TOOL_ONCE},
    ),
    (
        Plant(
            "the note of a turn nobody heard is kept",
            "dialogue",
            "if text or (note and not interrupted):",
            "if text or note:",
        ),
        {Rule.HISTORY},
    ),
    (
        Plant(
            "the caller's words are not put before the model",
            "machine",
            "            talk.dialogue.caller_said(text)\n",
            "",
        ),
        {Rule.HISTORY, Rule.ANSWERED},
    ),
    (
        Plant(
            "what was planned counts as said",
            "conversation",
            "self.dialogue.agent_said(heard.strip(),",
            "self.dialogue.agent_said(turn.planned.strip(),",
        ),
        {Rule.HISTORY},
    ),
    (
        Plant(
            "an interrupted turn is begun again from its first word",
            "conversation",
            "turn = self.say(rest, now, ending=cut.ending)",
            "turn = self.say(cut.planned, now, ending=cut.ending)",
        ),
        {Rule.OWN_WORDS},
    ),
    (
        Plant(
            "the call hangs up twice",
            "conversation",
            "self.out.append(c.HangUp(self.outcome))",
            "self.out += [c.HangUp(self.outcome)] * 2",
        ),
        {Rule.ONE_END},
    ),
    (
        Plant(
            "deadlines stay armed after the end",
            "conversation",
            "        self.deadlines.clear_all()\n        self.out += self.record.closing(",
            "        self.out += self.record.closing(",
        ),
        {Rule.ONE_END},
    ),
    (
        Plant(
            "a caller whom nobody could take is waited for without end",
            "transferring",
            "talk.deadlines.set(Deadline.TRANSFER, now + _BACK_MS)",
            "talk.deadlines.clear(Deadline.TRANSFER)",
        ),
        {Rule.WATCHED},
    ),
    (
        Plant(
            "audio is played while listening or thinking",
            "machine",
            "        if talk.phase is not Phase.SPEAKING:\n            talk.move(Phase.SPEAKING)",
            "        if talk.phase is Phase.WAITING:\n            talk.move(Phase.SPEAKING)",
        ),
        {Rule.PLAY_WHILE_SPEAKING},
    ),
    (
        Plant(
            "of two deadlines due together one is served",
            "machine",
            "while (due := talk.deadlines.take_due(now)) is not None:",
            "for due in filter(None, [talk.deadlines.take_due(now)]):",
        ),
        {Rule.NO_BUSY_LOOP},
    ),
    (
        Plant(
            "a turn is measured with each piece of its audio",
            "machine",
            "if turn.speech_at < 0:",
            "if turn.speech_at < now:",
        ),
        {Rule.MEASURED_ONCE},
    ),
    (
        Plant(
            "the time limit is forgotten",
            "machine",
            "        talk.deadlines.set(Deadline.MAX_CALL, now + self.policy.max_call_ms)\n",
            "",
        ),
        {Rule.WATCHED, Rule.TIME_LIMIT},
    ),
    (
        Plant(
            "words that came while the agent spoke are not answered",
            "conversation",
            "            if self.dialogue.unanswered or not self.caller.transcribed:\n",
            "            if not self.caller.transcribed:\n",
        ),
        {Rule.ANSWERED, Rule.NO_DEAD_AIR},
    ),
    (
        Plant(
            "the agent apologises before anybody can hear it",
            "machine",
            "if talk.phase is Phase.WAITING and not deaf:",
            "if talk.phase is Phase.ENDED:",
        ),
        {Rule.MEDIA_FIRST},
    ),
    (
        Plant(
            "an order booked at the last moment is not counted",
            "conversation",
            "self.outcome = self.agent.or_booked(end)",
            "self.outcome = end",
        ),
        {Rule.OUTCOME},
    ),
    (
        Plant(
            "a phase is entered unseen",
            "machine",
            "            talk.move(Phase.SPEAKING)\n            talk.publish(now)\n",
            "            talk.move(Phase.SPEAKING)\n",
        ),
        {Rule.PHASE_SHOWN},
    ),
    (
        Plant(
            "nobody minds the silence",
            "machine",
            "        talk.mind_silence(now)\n",
            "",
        ),
        {Rule.NO_DEAD_AIR},
    ),
    (
        Plant(
            "one interjection must do for a whole stall",
            "quiet",
            "if self._owed_since is None:",
            "if self._asked_at:\n            return None\n        if self._owed_since is None:",
        ),
        {Rule.NO_DEAD_AIR},
    ),
    (
        Plant(
            "sound that was thrown away counts as heard",
            "quiet",
            "self.audible_until = min(now, self.audible_until)",
            "pass",
        ),
        {Rule.NO_DEAD_AIR, Rule.INTERJECTED},
    ),
    (
        Plant(
            "a transcript that does not come excuses the silence",
            "conversation",
            "return not caller.transcribed or",
            "return",
        ),
        {Rule.NO_DEAD_AIR},
    ),
    (
        Plant(
            "a tool at work excuses the silence",
            "conversation",
            "return not turn.fully_said",
            "return not turn.fully_said and not turn.awaits_tool",
        ),
        {Rule.NO_DEAD_AIR},
    ),
    (
        Plant(
            "an interjection falls into the caller's pause",
            "conversation",
            "caller.entering or now < caller.finished_at",
            "caller.entering",
        ),
        {Rule.INTERJECTED},
    ),
    (
        Plant(
            "an interjection that comes too late is played over the answer",
            "quiet",
            "wanted = bool(text) and text == self._asked and self.audible_until <= now",
            "wanted = bool(text)",
        ),
        {Rule.INTERJECTED, Rule.LATE_IS_NOTHING},
    ),
    (
        Plant(
            "an interjection counts as heard when it is sent",
            "quiet",
            "ends_at = min(now, aside.ends_at)",
            "ends_at = aside.ends_at",
        ),
        {Rule.INTERJECTED, Rule.HEARD_TRUTH, Rule.TIMES, Rule.LINE_PER_TURN},
    ),
    (
        Plant(
            "what is sent behind an interjection counts as heard with it",
            "playout",
            "return max(media_ms, self._aside_until_media_ms)",
            "return media_ms",
        ),
        {Rule.HEARD_TRUTH},
    ),
    (
        Plant(
            "each booking overwrites the cost so far",
            "meter",
            "self._total += added",
            "self._total = added",
        ),
        {Rule.MONEY},
    ),
    (
        Plant(
            "each booking is rounded on its own",
            "meter",
            "self._worth(item, after) - self._worth(item, before)",
            "self._worth(item, quantity)",
        ),
        {Rule.MONEY},
    ),
    (
        Plant(
            "snapshots all have the same number",
            "view",
            "        self._sequence += 1\n",
            "",
        ),
        {Rule.SNAPSHOT},
    ),
    (
        Plant(
            "segments are not counted",
            "risk",
            "        self._count += 1\n",
            "",
        ),
        {Rule.SEGMENTS},
    ),
    (
        Plant(
            "the second pause is committed as the first",
            "caller",
            "self.utterance += 1",
            "self.utterance = 1",
        ),
        {Rule.EARS},
    ),
    (
        Plant(
            "a caller speaks before the call began",
            "turns",
            "max(0, now - self._loud_ms)",
            "now - self._loud_ms",
        ),
        {Rule.TIMES},
    ),
]


def search(call_of: Callable[[Policy], Call], worlds: int) -> Broken | None:
    """The first promise that a core breaks in so many worlds."""
    try:
        for seed in range(worlds):
            world = live(tape_of(seed), call_of)
            world.hang_up()
            live(tape_of(seed, 40), call_of).wait_for_the_end()
            if seed < REPLAYED:
                again = call_of(POLICIES[tape_of(seed)[0] % len(POLICIES)])
                for event, now, commands in world.watch.log:
                    held(Rule.SAME_AGAIN, tuple(again.handle(event, now)) == commands, event)
    except Broken as broken:
        return broken
    return None


@pytest.mark.parametrize(
    ("plant", "rules"), PLANTS, ids=lambda value: getattr(value, "mistake", "")
)
def test_a_planted_mistake_is_found(plant: Plant, rules: set[Rule]):
    broken = search(planted(plant), WORLDS)
    assert broken is not None, f"nobody noticed that {plant.mistake}"
    assert broken.rule in rules, broken


def test_the_copy_without_a_mistake_keeps_every_promise():
    assert search(planted(None), 40) is None


def test_a_mistake_can_be_made_in_every_module_that_behaves():
    unused = {
        "clauses",
        "deadlines",
        "handover",
        "record",
    }  # their own tests look after them more closely
    assert {plant.module for plant, _ in PLANTS} == set(BEHAVIOUR) - unused


def test_the_real_core_is_not_touched_by_the_copies():
    assert planted(None) is not Call
    assert Call.__module__ == "voice_server.call.machine"
