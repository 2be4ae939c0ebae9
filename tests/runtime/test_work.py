"""The tasks of a call end with their turn, by themselves, or some time after the call."""

from __future__ import annotations

import asyncio

from voice_server.call.events import Part, TurnId
from voice_server.runtime.work import Work

VOICE, RISK = Part.VOICE, Part.RISK


class Job:
    """Takes a while; `ended` tells how that went."""

    def __init__(self, takes_s: float = 1.0, *, fails: Exception | None = None) -> None:
        self.ended = ""
        self._takes_s = takes_s
        self._fails = fails

    async def __call__(self) -> None:
        try:
            await asyncio.sleep(self._takes_s)
            if self._fails is not None:
                raise self._fails
        except asyncio.CancelledError:
            self.ended = "cancelled"
            raise
        self.ended = "done"


class Stubborn(Job):
    """Goes on when it is cancelled."""

    async def __call__(self) -> None:
        while True:
            try:
                await asyncio.sleep(self._takes_s)
            except asyncio.CancelledError:
                self.ended = "cancelled"
            else:
                return


class Told:
    """What was lost."""

    def __init__(self) -> None:
        self.losses: list[tuple[Part, TurnId, Exception]] = []
        self.work = Work("call-1", lambda *loss: self.losses.append(loss))


def now() -> float:
    return asyncio.get_running_loop().time()


def test_an_abandoned_turn_takes_its_tasks_along_and_no_others(virtual):
    async def scene() -> None:
        told = Told()
        jobs = [Job(), Job(), Job(), Job()]
        for turn, job in zip((1, 1, 2, 0), jobs, strict=True):
            told.work.start(VOICE, turn, job)
        await asyncio.sleep(0.5)
        told.work.abandon(1)
        await asyncio.sleep(1.0)
        assert [job.ended for job in jobs] == ["cancelled", "cancelled", "done", "done"]
        assert told.losses == []

    virtual(scene())


def test_a_turn_that_is_abandoned_before_it_began_begins_nothing(virtual):
    async def scene() -> None:
        told, job = Told(), Job()
        task = told.work.start(VOICE, 1, job)
        told.work.abandon(1)
        await asyncio.wait([task])
        assert job.ended == ""

    virtual(scene())


def test_what_is_left_of_a_released_turn_ends_by_itself(virtual):
    async def scene() -> None:
        told, job = Told(), Job()
        told.work.start(VOICE, 1, job)
        told.work.release(1)
        told.work.abandon(1)
        await asyncio.sleep(1.5)
        assert job.ended == "done"

    virtual(scene())


def test_a_task_that_fails_tells_what_it_was_for(virtual):
    async def scene() -> None:
        told, error = Told(), ValueError("a bug")
        task = told.work.start(RISK, 3, Job(fails=error))
        await task
        assert told.losses == [(RISK, 3, error)]

    virtual(scene())


def test_tasks_are_named_after_their_call(virtual):
    async def scene() -> None:
        task = Told().work.start(VOICE, 1, Job())
        assert task.get_name() == "call-1 voice"
        await task

    virtual(scene())


def test_finishing_waits_for_what_belongs_to_no_turn(virtual):
    async def scene() -> None:
        told, of_turn, other = Told(), Job(5.0), Job(5.0)
        told.work.start(VOICE, 1, of_turn)
        told.work.start(RISK, 0, other)
        await asyncio.sleep(1.0)
        await told.work.finish()
        assert (of_turn.ended, other.ended) == ("cancelled", "done")
        assert now() == 5.0

    virtual(scene())


def test_finishing_without_work_takes_no_time(virtual):
    async def scene() -> None:
        await Told().work.finish()
        assert now() == 0.0

    virtual(scene())


def test_what_takes_too_long_is_cancelled(virtual):
    async def scene() -> None:
        told, job = Told(), Job(1e6)
        told.work.start(RISK, 0, job)
        await told.work.finish()
        assert job.ended == "cancelled"
        assert now() == 10.0

    virtual(scene())


def test_what_does_not_even_end_when_cancelled_is_not_waited_for(virtual):
    async def scene() -> None:
        told, job = Told(), Stubborn(30.0)
        task = told.work.start(RISK, 0, job)
        await told.work.finish()
        assert job.ended == "cancelled"
        assert now() == 11.0
        await task

    virtual(scene())


def test_finishing_that_is_cancelled_cancels_what_is_left(virtual):
    async def scene() -> None:
        told, job = Told(), Job(5.0)
        task = told.work.start(RISK, 0, job)
        finishing = asyncio.ensure_future(told.work.finish())
        await asyncio.sleep(1.0)
        finishing.cancel()
        await asyncio.wait([finishing, task])
        assert job.ended == "cancelled"
        assert now() == 1.0

    virtual(scene())


def test_work_that_is_not_worth_finishing_ends_at_once(virtual):
    async def scene() -> None:
        told, jobs = Told(), [Job(5.0), Job(5.0)]
        for turn, job in enumerate(jobs):
            told.work.start(VOICE, turn, job)
        await asyncio.sleep(0.1)
        told.work.cancel()
        await told.work.finish()
        assert [job.ended for job in jobs] == ["cancelled", "cancelled"]
        assert now() < 1.0

    virtual(scene())
