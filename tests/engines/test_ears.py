"""Ears in a chain: nothing the caller said is lost, and each commit is answered once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from tests.engines.engines import DOWN, REFUSED, Ears
from tests.runtime.fakes import FACTS
from voice_server.call.events import FinalTranscript
from voice_server.engines.ears import EarsChain, EarsLink
from voice_server.engines.health import Health
from voice_server.errors import ServiceUnavailable

Act = Callable[[], None]


def chain(*ears: Ears) -> tuple[EarsChain, list[Health]]:
    healths = [Health(f"ears {place}") for place in range(len(ears))]
    return EarsChain(
        [EarsLink(each, health) for each, health in zip(ears, healths, strict=True)]
    ), healths


class Caller:
    """Speaks one letter a frame into a chain, and notes what was understood."""

    def __init__(self, *ears: Ears) -> None:
        self.chain, self.healths = chain(*ears)
        self.heard: list[tuple[int, str]] = []
        self.error: BaseException | None = None

    async def say(self, *words: str | int) -> None:
        """Letters are frames, numbers are commits; a blank is a pause of a second."""
        async with self.chain.listen(FACTS) as transcriber:
            listening = asyncio.ensure_future(self._listen(transcriber))
            for word in words:
                if isinstance(word, int):
                    transcriber.commit(word)
                    continue
                for letter in word:
                    if letter == " ":
                        await asyncio.sleep(1)
                        continue
                    transcriber.push(letter.encode())
                    await asyncio.sleep(0.02)
            await asyncio.sleep(2)
            listening.cancel()
            await asyncio.wait([listening])

    async def _listen(self, transcriber) -> None:
        try:
            async for heard in transcriber:
                assert isinstance(heard, FinalTranscript)
                self.heard.append((heard.utterance, heard.text))
        except ServiceUnavailable as error:
            self.error = error


def hear(virtual, caller: Caller, *words: str | int) -> list[tuple[int, str]]:
    virtual(caller.say(*words))
    return caller.heard


def test_ears_that_work_are_the_only_ones(virtual):
    first, second = Ears(), Ears()
    heard = hear(virtual, Caller(first, second), "abc", 1, "de ", 2)
    assert heard == [(1, "abc"), (2, "de")]
    assert (second.got, first.open) == ([], 0)


def test_ears_that_cannot_be_opened_are_replaced_and_nothing_is_lost(virtual):
    assert hear(virtual, Caller(Ears(refuses=REFUSED), Ears()), "abc", 1) == [(1, "abc")]


def test_audio_without_an_answer_is_heard_again_by_the_next(virtual):
    first, second = Ears(fails_at=2), Ears()
    heard = hear(virtual, Caller(first, second), "abc", 1, "de ", "f", 2, "gh ", 3)
    assert heard == [(1, "abc"), (2, "def"), (3, "gh")]
    assert second.got[:4] == [b"d", b"e", b"f", 2]
    assert first.open == 0


def test_what_was_answered_is_not_heard_again(virtual):
    first, second = Ears(fails_at=1, answers_first=True), Ears()
    heard = hear(virtual, Caller(first, second), "abc", 1, " de", 2)
    assert heard == [(1, "abc"), (2, "de")]
    assert second.got == [b"d", b"e", 2]


def test_what_is_said_between_two_ears_waits_for_the_second(virtual):
    first, second = Ears(wait_s=0.3, fails_at=1), Ears()
    heard = hear(virtual, Caller(first, second), "ab", 1, "cd", 2, " ef", 3)
    assert heard == [(1, "ab"), (2, "cd"), (3, "ef")]


def test_an_answer_given_twice_is_passed_on_once(virtual):
    assert hear(virtual, Caller(Ears(repeats=True)), "ab", 1, "c", 2) == [(1, "ab"), (2, "c")]


def test_answers_in_disorder_leave_the_rest_to_be_heard_again(virtual):
    class Hasty(Ears):
        async def __aiter__(self):
            await asyncio.sleep(0.5)
            yield FinalTranscript("second", 2)
            raise DOWN

    second = Ears()
    heard = hear(virtual, Caller(Hasty(), second), "ab", 1, "cd", 2, " e", 3)
    assert heard == [(2, "second"), (1, "ab"), (3, "e")]


def test_a_cut_of_its_own_takes_the_audio_and_leaves_the_commits(virtual):
    class Cutting(Ears):
        def push(self, mulaw: bytes) -> None:
            super().push(mulaw)
            if mulaw == b"c":
                self.cut()

    second = Ears()
    heard = hear(virtual, Caller(Cutting(fails_at=1), second), "abcde", " ", 1, "f", 2)
    assert heard[0] == (0, "abc")
    assert heard[1][0] == 1
    assert heard[2] == (2, "f")


def test_more_than_15_s_lose_their_oldest_frames_but_no_commit(virtual):
    class Deaf(Ears):
        async def __aiter__(self):
            await asyncio.sleep(30)
            raise DOWN
            yield

    second = Ears()
    heard = hear(virtual, Caller(Deaf(), second), "a" * 10, 1, "b" * 800, 2, " " * 30, 3)
    assert heard == [(1, ""), (2, "b" * 750), (3, "")]


def test_when_the_last_ears_fail_their_error_is_raised(virtual):
    caller = Caller(Ears(fails_at=1), Ears(fails_at=1))
    assert hear(virtual, caller, "a", 1) == []
    assert isinstance(caller.error, ServiceUnavailable)


def test_ears_that_open_but_never_hear_anything_are_left_alone_in_the_end(virtual):
    class Dead(Ears):
        async def __aiter__(self):
            await asyncio.sleep(0.5)
            raise DOWN
            yield

    dead = Dead()

    async def scene() -> None:
        caller = Caller(dead, Ears())
        for _ in range(5):
            await caller.say("a")

    virtual(scene())
    assert dead.got.count(b"a") == 3


def test_a_commit_without_an_answer_in_time_goes_to_the_next_ears(virtual):
    class Mute(Ears):
        async def __aiter__(self):
            await asyncio.Event().wait()
            yield

    async def scene() -> tuple[tuple[int, str], float]:
        _, healths = chain(Mute(), Ears())
        links = [EarsLink(Mute(), healths[0], answer_s=0.5), EarsLink(Ears(), healths[1])]
        async with EarsChain(links).listen(FACTS) as transcriber:
            heard = aiter(transcriber)
            answer = asyncio.ensure_future(anext(heard))
            await asyncio.sleep(7.3)  # silence is no reason to give up
            transcriber.push(b"a")
            transcriber.commit(1)
            final = await answer
            await heard.aclose()
            return (final.utterance, final.text), asyncio.get_running_loop().time()

    answer, at = virtual(scene())
    assert answer == (1, "a")
    assert at == pytest.approx(7.3 + 0.5 + 0.05)


@pytest.mark.parametrize("fails_at", [0, 1])
def test_leaving_in_the_middle_closes_the_ears_in_use(virtual, fails_at):
    ears = Ears(fails_at=fails_at), Ears()

    async def scene() -> None:
        task = asyncio.ensure_future(Caller(*ears).say("ab", 1, " cd"))
        await asyncio.sleep(0.9)
        task.cancel()
        await asyncio.wait([task])
        for other in asyncio.all_tasks() - {asyncio.current_task()}:
            other.cancel()  # the listener is this test's own
            await asyncio.wait([other])

    virtual(scene())
    assert [each.open for each in ears] == [0, 0]
