"""The front desk: who is let in, who is waited for, and that every call ends exactly once."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from db.rows import (
    AgentRow,
    CallRow,
    CostBooked,
    LineSaid,
    SessionBegun,
    SessionEnded,
    StatusChanged,
)
from tests.runtime.fakes import (
    AGENT,
    LOUD,
    QUIET,
    Bug,
    FakeEars,
    FakeGuardian,
    FakeLine,
    FakeMind,
    FakeMirror,
    FakePhrases,
    FakeScorer,
    FakeToolbox,
    FakeVoice,
    FakeVoiceActivity,
)
from voice_server import settings as configuration
from voice_server.call import Phase
from voice_server.call import events as e
from voice_server.desk import FrontDesk
from voice_server.errors import Refused
from voice_server.runtime.driver import Driver
from voice_server.runtime.journal import Journal
from voice_server.runtime.replay import replay
from voice_server.runtime.services import Services
from voice_server.telemetry import Metrics
from voice_server.twilio.desk import (
    Attempt,
    CarrierStatus,
    Dial,
    Dialled,
    HangUp,
    Reconnect,
    Ringing,
    StatusChange,
)

HUMAN = "+12025550199"
FINAL = [status for status in CarrierStatus if status.is_final]


class FakeDirectory:
    """One agent behind one number."""

    def __init__(self, takes_s: float = 0.0) -> None:
        self._takes_s = takes_s

    async def for_number(self, number: str) -> AgentRow | None:
        await asyncio.sleep(self._takes_s)
        return AGENT if number == AGENT.phone_number else None


class Reception:
    """A desk among fakes, and callers of it."""

    def __init__(
        self, folder: Path, *, mind: FakeMind | None = None, ears: FakeEars | None = None,
        voice: FakeVoice | None = None, scorer: FakeScorer | None = None,
        lookup_s: float = 0.0, **settings: object,
    ) -> None:  # fmt: skip
        chosen = {"insecure_webhooks": True, "data_dir": folder, "token_ttl_s": 60} | settings
        self.rows: list[CallRow] = []
        self.metrics = Metrics()
        self.voice = voice or FakeVoice()
        services = Services(
            speech_to_text=ears or FakeEars(),
            voice_activity=FakeVoiceActivity(),
            language_model=mind or FakeMind(),
            text_to_speech=self.voice,
            phrases=FakePhrases(),
            risk=scorer or FakeScorer(),
            toolbox=FakeToolbox(),
            guardian=FakeGuardian(),
            mirror=FakeMirror(),
        )
        self.wall = 1_700_000_000.0
        self.desk = FrontDesk(
            configuration.load(chosen),
            FakeDirectory(lookup_s),
            services,
            self.rows.append,
            self.metrics,
            wall_clock=lambda: self.wall,
        )
        self.lines: list[FakeLine] = []

    async def admit(self, sid: str = "CA1", to: str = AGENT.phone_number) -> str:
        return await self.desk.admit(Ringing(sid, "+12025550143", to, "inbound", "ringing", "AC1"))

    def connect(self, call_id: str, line: FakeLine | None = None) -> Driver:
        line = line or FakeLine()
        self.lines.append(line)
        driver = self.desk.connect(call_id, line)
        line.feed = driver.feed
        driver.feed(e.MediaStarted())
        return driver

    async def talking(self, sid: str = "CA1") -> Driver:
        """A call whose greeting has been heard."""
        driver = self.connect(await self.admit(sid))
        await asyncio.sleep(5)
        return driver

    def report(self, sid: str, status: CarrierStatus) -> None:
        self.desk.status_changed(StatusChange(sid, status, -1))

    async def finished(self) -> None:
        """All calls are over; nothing of them is left."""
        for line in self.lines:
            line.hang_up()
        if runs := self.desk.runs:
            await asyncio.wait(runs)
        await asyncio.sleep(0)
        assert self.desk.live == 0
        assert not self.desk.runs

    def of(self, kind: type) -> list[CallRow]:
        return [row for row in self.rows if isinstance(row, kind)]

    @property
    def endings(self) -> list[tuple[str, str, str]]:
        ended = (row for row in self.rows if isinstance(row, SessionEnded))
        return [(row.status, row.outcome, row.reason) for row in ended]


GONE = e.MediaStopped(e.StopCause.CALLER_HUNG_UP)


# Who is let in


def test_a_call_is_admitted_with_its_first_row(virtual, tmp_path):
    async def scene() -> None:
        house = Reception(tmp_path)
        call_id = await house.admit()
        assert house.rows == [
            SessionBegun(
                call_id=call_id,
                user_id="tenant-1",
                agent_id="agent-1",
                carrier_call_id="CA1",
                from_number="+12025550143",
                to_number="+12025550100",
                status="ringing",
                direction="inbound",
                at=1_700_000_000_000,
            )
        ]
        assert house.desk.live == 1
        await house.desk.drain(0)

    virtual(scene())


def test_a_number_nobody_answers_is_refused(virtual, tmp_path):
    async def scene() -> None:
        house = Reception(tmp_path)
        with pytest.raises(Refused) as refusal:
            await house.admit(to="+12025550111")
        assert refusal.value.status == 404
        assert "+1202" not in str(refusal.value)
        assert house.rows == []
        assert house.desk.live == 0

    virtual(scene())


def test_calls_beyond_the_limit_are_refused_until_one_is_over(virtual, tmp_path):
    async def scene() -> None:
        house = Reception(tmp_path, max_calls=2)
        driver = await house.talking("CA1")
        await house.admit("CA2")
        with pytest.raises(Refused) as refusal:
            await house.admit("CA3")
        assert refusal.value.status == 503
        driver.feed(GONE)
        await asyncio.wait(house.desk.runs)
        await house.admit("CA4")
        house.report("CA2", CarrierStatus.CANCELED)
        await house.admit("CA5")
        await house.desk.drain(0)

    virtual(scene())


def test_calls_that_come_together_do_not_exceed_the_limit(virtual, tmp_path):
    async def scene() -> None:
        house = Reception(tmp_path, max_calls=5, lookup_s=0.3)
        asked = [house.admit(f"CA{number}") for number in range(20)]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        refused = [answer for answer in answers if isinstance(answer, Refused)]
        assert len(refused) == 15
        assert {refusal.status for refusal in refused} == {503}
        assert house.desk.live == 5
        assert len(house.of(SessionBegun)) == 5
        await house.desk.drain(0)

    virtual(scene())


def test_a_desk_that_is_closing_takes_nobody(virtual, tmp_path):
    async def scene() -> None:
        house = Reception(tmp_path, lookup_s=1.0)
        coming = asyncio.ensure_future(house.admit())
        await asyncio.sleep(0.5)
        house.desk.stop_admitting()
        assert house.desk.draining
        for attempt in (coming, house.admit("CA2")):
            with pytest.raises(Refused) as refusal:
                await attempt
            assert refusal.value.status == 503
        assert house.rows == []

    virtual(scene())


# Calls whose stream never comes


def test_a_call_that_never_connects_fails_once(virtual, tmp_path):
    async def scene() -> None:
        house = Reception(tmp_path)
        call_id = await house.admit()
        await asyncio.sleep(74)
        assert house.desk.live == 1
        await asyncio.sleep(2)
        assert house.endings == [("failed", "failed", "stream_lost")]
        assert house.desk.live == 0
        assert await house.desk.after_stream("CA1") == HangUp()
        with pytest.raises(Refused) as refusal:
            house.connect(call_id)
        assert refusal.value.status == 409
        house.report("CA1", CarrierStatus.COMPLETED)
        await house.desk.drain(0)
        assert len(house.endings) == 1

    virtual(scene())


@pytest.mark.parametrize("status", FINAL)
def test_a_caller_who_gives_up_before_the_stream_ends_the_call_once(virtual, tmp_path, status):
    async def scene() -> None:
        house = Reception(tmp_path)
        call_id = await house.admit()
        house.report("CA1", CarrierStatus.RINGING)
        house.report("CA1", status)
        assert house.desk.live == 0
        with pytest.raises(Refused):
            house.connect(call_id)
        await asyncio.sleep(200)
        word = "cancelled" if status is CarrierStatus.CANCELED else "failed"
        assert house.endings == [(word, "abandoned", "carrier_ended")]
        changes = house.of(StatusChanged)
        assert [row.raw_status for row in changes] == ["ringing", status.value]

    virtual(scene())


def test_a_stream_can_be_opened_once(virtual, tmp_path):
    async def scene() -> None:
        house = Reception(tmp_path)
        call_id = await house.admit()
        house.connect(call_id)
        with pytest.raises(Refused) as refusal:
            house.desk.connect(call_id, FakeLine())
        assert refusal.value.status == 409
        await house.desk.drain(0)
        await house.finished()

    virtual(scene())


def test_a_stream_for_an_unknown_call_is_refused(virtual, tmp_path):
    async def scene() -> None:
        with pytest.raises(Refused):
            Reception(tmp_path).desk.connect("call-unknown", FakeLine())

    virtual(scene())


# Live calls


@pytest.mark.parametrize("status", FINAL)
def test_the_carriers_last_word_ends_a_live_call_once(virtual, tmp_path, status):
    async def scene() -> None:
        house = Reception(tmp_path)
        driver = await house.talking()
        house.report("CA1", CarrierStatus.IN_PROGRESS)
        assert not driver.ended.is_set()
        house.report("CA1", status)
        driver.feed(GONE)
        house.report("CA1", status)
        await house.finished()
        assert house.endings == [("completed", "abandoned", "carrier_ended")]

    virtual(scene())


def test_news_of_a_call_nobody_knows_changes_nothing(virtual, tmp_path):
    async def scene() -> None:
        house = Reception(tmp_path)
        for status in CarrierStatus:
            house.report("CA404", status)
        assert house.rows == []
        assert await house.desk.after_stream("CA404") == HangUp()

    virtual(scene())


@pytest.mark.parametrize(
    "after_s", [0.0, 0.1, 0.25, 1.0, 5.0, 6.0, 7.5, 8.0, 9.0, 12.0, 30.0, 90.0]
)
@pytest.mark.parametrize("cause", list(e.StopCause))
def test_a_caller_may_be_gone_at_any_moment(virtual, tmp_path, after_s, cause):
    async def scene() -> None:
        house = Reception(
            tmp_path,
            ears=FakeEars("My tap leaks.", "Goodbye."),
            mind=FakeMind(["One moment. ", ("r1", "book_order", "{}")], ["Booked."]),
        )
        driver = house.connect(await house.admit())
        talk = asyncio.ensure_future(_talk(driver))
        await asyncio.sleep(after_s)
        driver.feed(e.MediaStopped(cause))
        talk.cancel()
        await house.finished()
        assert len(house.endings) == 1
        assert house.rows[-1] == house.of(SessionEnded)[0]
        total = house.metrics.registry.get_sample_value(
            "voice_server_calls_ended_total", {"outcome": house.endings[0][1]}
        )
        assert total == 1
        [path] = tmp_path.glob("journals/*/*.journal")
        told = replay(path)
        assert told.difference is None
        assert (told.outcome, told.reason) == house.endings[0][1:]

    virtual(scene())


async def _talk(driver: Driver) -> None:
    await asyncio.sleep(5)
    for mulaw, loudness, ms in (
        (LOUD, 40, 600),
        (QUIET, 0, 6_000),
        (LOUD, 40, 600),
        (QUIET, 0, 9_000),
    ):
        for _ in range(ms // 20):
            await asyncio.sleep(0.02)
            driver.feed(e.AudioHeard(mulaw, loudness, 0))


def test_a_call_is_told_in_metrics_rows_and_a_journal_of_its_day(virtual, tmp_path):
    async def scene() -> None:
        house = Reception(tmp_path)
        driver = await house.talking()
        driver.feed(GONE)
        await house.finished()
        path = tmp_path / "journals" / "2023-11-14" / f"{driver.facts.call_id}.journal"
        assert replay(path).said("agent").startswith("Hello, this is Ann from Acme.")
        [last] = house.of(SessionEnded)
        assert last.journal == str(path)
        assert [line.speaker for line in house.of(LineSaid)] == ["agent"]
        sample = house.metrics.registry.get_sample_value
        assert sample("voice_server_calls_admitted_total") == 1
        assert sample("voice_server_calls_ended_total", {"outcome": "abandoned"}) == 1

    virtual(scene())


@pytest.mark.parametrize("media", [True, False])
def test_settings_say_whether_audio_is_kept(virtual, tmp_path, media):
    async def scene() -> None:
        house = Reception(tmp_path, journal_media=media)
        driver = await house.talking()
        driver.feed(GONE)
        await house.finished()

    virtual(scene())
    [path] = tmp_path.glob("journals/*/*")
    assert Journal(path).header.media is media


def test_settings_can_turn_journals_off(virtual, tmp_path):
    async def scene() -> None:
        house = Reception(tmp_path, journal=False)
        (await house.talking()).feed(GONE)
        await house.finished()
        assert house.of(SessionEnded)[0].journal == ""

    virtual(scene())
    assert list(tmp_path.glob("journals/*/*")) == []


def test_a_disk_without_room_for_a_journal_does_not_refuse_the_call(virtual, tmp_path, caplog):
    async def scene() -> None:
        (tmp_path / "journals").write_text("in the way")
        house = Reception(tmp_path)
        (await house.talking()).feed(GONE)
        await house.finished()
        assert len(house.endings) == 1

    virtual(scene())
    assert "a call without a journal" in caplog.text


def test_calls_in_company_do_not_disturb_each_other(virtual, tmp_path):
    async def scene() -> None:
        house = Reception(tmp_path)
        calls = [house.connect(await house.admit(f"CA{number}")) for number in range(10)]
        broken = await house.admit("CA-broken")
        house.connect(broken, FakeLine(breaks=Bug("private")))
        await asyncio.sleep(5)
        assert house.desk.live == 10
        for driver in calls:
            driver.feed(GONE)
        await house.finished()
        outcomes = Counter(outcome for _, outcome, _ in house.endings)
        assert outcomes == {"abandoned": 10, "failed": 1}

    virtual(scene())


# After the stream


async def handed_over(house: Reception, sid: str = "CA1") -> Driver:
    """The caller has asked for a human and is with the carrier."""
    driver = await house.talking(sid)
    await ask(driver)
    return driver


async def ask(driver: Driver) -> None:
    """The caller says something, and the agent lets go of them."""
    for loudness in (40, 0, 0, 0, 0, 0):
        for _ in range(25):
            await asyncio.sleep(0.02)
            driver.feed(e.AudioHeard(LOUD if loudness else QUIET, loudness, 0))
    await asyncio.sleep(5)
    assert driver.released.is_set()


def transferring() -> dict[str, object]:
    return {
        "ears": FakeEars("A human, please."),
        "mind": FakeMind(["One moment.", ("r1", "transfer_call", "{}")]),
        "human_number": HUMAN,
    }


PICKED_UP = StatusChange("CA-h", CarrierStatus.IN_PROGRESS, -1)


def booked(house: Reception) -> list[tuple[str, int]]:
    costs = house.of(CostBooked)
    return [(row.item, row.quantity) for row in costs if row.item.startswith("twilio.")]


def test_a_human_who_answers_has_the_call_and_its_later_minutes_are_booked_once(virtual, tmp_path):
    async def scene() -> None:
        house = Reception(tmp_path, **transferring())
        driver = await handed_over(house)
        call_id = driver.facts.call_id
        first = Attempt(call_id, 1)
        for _ in range(2):
            assert await house.desk.after_stream("CA1") == Dial(HUMAN, first)
        await house.desk.human_moved(first, PICKED_UP)
        await house.finished()
        assert house.endings == [("completed", "handed_over", "transfer")]
        assert sorted(booked(house)) == [
            ("twilio.media_stream.minutes", 1),
            ("twilio.voice_inbound.minutes", 1),
        ]
        for _ in range(2):
            talked = Dialled(answered=True, human_id="CA-h", duration_s=200)
            assert await house.desk.after_dial(first, talked) == HangUp()
            ended = StatusChange("CA-h", CarrierStatus.COMPLETED, 200)
            await house.desk.human_moved(first, ended)
            house.desk.status_changed(StatusChange("CA1", CarrierStatus.COMPLETED, 250))
        different = {row.sequence: (row.item, row.quantity) for row in house.of(CostBooked)}
        total = Counter[str]()
        for item, quantity in different.values():
            total[item] += quantity
        assert total["twilio.voice_inbound.minutes"] == 5  # the caller's 250 s
        assert total["twilio.voice_transfer.minutes"] == 4  # the human's 200 s

    virtual(scene())


def test_minutes_with_a_human_are_booked_even_when_they_end_before_our_late_work(virtual, tmp_path):
    async def scene() -> None:
        house = Reception(tmp_path, scorer=FakeScorer(takes_s=15.0), **transferring())
        driver = await handed_over(house)
        await house.desk.after_stream("CA1")
        await house.desk.human_moved(Attempt(driver.facts.call_id, 1), PICKED_UP)
        await asyncio.sleep(1)
        assert house.desk.runs
        house.desk.status_changed(StatusChange("CA1", CarrierStatus.COMPLETED, 70))
        await house.finished()
        minutes = [n for item, n in booked(house) if item == "twilio.voice_inbound.minutes"]
        assert sum(minutes) == 2

    virtual(scene())


def test_a_caller_nobody_took_comes_back_once_to_the_same_call(virtual, tmp_path):
    async def scene() -> None:
        house = Reception(tmp_path, **transferring())
        driver = await handed_over(house)
        call_id = driver.facts.call_id
        with pytest.raises(Refused):
            house.desk.connect("another call", FakeLine())
        await house.desk.after_stream("CA1")
        back = await house.desk.after_dial(Attempt(call_id, 1), Dialled(answered=False))
        assert back == Reconnect(call_id)
        line = FakeLine()
        assert house.connect(call_id, line) is driver
        assert not driver.released.is_set()
        with pytest.raises(Refused):  # never two streams, never two agents
            house.desk.connect(call_id, FakeLine())
        await asyncio.sleep(2)
        assert driver.call.policy.transfer_missed in [said for _, said in house.voice.said]
        driver.feed(GONE)
        await house.finished()
        assert house.endings == [("completed", "abandoned", "caller_hung_up")]
        assert len(house.of(SessionBegun)) == 1

    virtual(scene())


def test_without_a_human_nobody_is_handed_over_not_even_a_scammer(virtual, tmp_path):
    async def scene() -> None:
        house = Reception(tmp_path, **transferring() | {"human_number": ""})
        policy = (await house.talking()).call.policy
        assert (policy.transfer_wait_ms, policy.hand_over_at) == (0, None)
        assert await house.desk.after_stream("CA1") == HangUp()
        house.lines[0].hang_up()
        await house.finished()

    virtual(scene())


def test_a_call_that_wants_nobody_is_hung_up_on_after_its_stream(virtual, tmp_path):
    async def scene() -> None:
        house = Reception(tmp_path, **transferring())
        driver = await house.talking()
        for sid in ("CA1", "CA-other"):
            assert await house.desk.after_stream(sid) == HangUp()
        driver.feed(GONE)
        assert await house.desk.after_stream("CA1") == HangUp()
        await house.finished()
        nothing = Attempt(driver.facts.call_id, 0)
        for answered in (True, False):
            assert await house.desk.after_dial(nothing, Dialled(answered)) == HangUp()
        assert await house.desk.whisper(nothing) == ""
        assert await house.desk.accept(nothing) is None

    virtual(scene())


async def returned(house: Reception, driver: Driver, attempt: Attempt) -> None:
    """Nobody took the call: the caller comes back to the agent."""
    await house.desk.after_stream("CA1")
    assert isinstance(await house.desk.after_dial(attempt, Dialled(answered=False)), Reconnect)
    house.connect(driver.facts.call_id, FakeLine())


def test_late_news_of_an_earlier_human_say_nothing_of_the_present_one(virtual, tmp_path):
    async def scene() -> None:
        wants = [[(f"r{number}", "transfer_call", "{}")] for number in (1, 2)]
        parts = {"ears": FakeEars("A human.", "Again."), "mind": FakeMind(*wants)}
        house = Reception(tmp_path, human_number=HUMAN, **parts)
        driver = await handed_over(house)
        first, second = (Attempt(driver.facts.call_id, number) for number in (1, 2))
        await returned(house, driver, first)
        await asyncio.sleep(5)
        await ask(driver)
        assert driver.call.phase is Phase.TRANSFERRING
        assert await house.desk.after_stream("CA1") == Dial(HUMAN, second)
        await house.desk.human_moved(first, PICKED_UP)
        assert await house.desk.after_dial(first, Dialled(answered=True)) == HangUp()
        assert driver.call.phase is Phase.TRANSFERRING
        await house.desk.human_moved(second, PICKED_UP)
        assert driver.call.phase is Phase.ENDED
        await house.finished()
        assert house.endings == [("completed", "handed_over", "transfer")]

    virtual(scene())


# Closing time


def test_a_live_call_may_end_by_itself_within_the_grace(virtual, tmp_path):
    async def scene() -> None:
        house = Reception(tmp_path)
        driver = await house.talking()
        draining = asyncio.ensure_future(house.desk.drain(30))
        await asyncio.sleep(1)
        assert not draining.done()
        driver.feed(GONE)
        await draining
        assert house.endings == [("completed", "abandoned", "caller_hung_up")]
        await house.finished()

    virtual(scene())


def test_after_the_grace_the_agent_says_goodbye(virtual, tmp_path):
    async def scene() -> None:
        house = Reception(tmp_path)
        driver = await house.talking()
        waiting = await house.admit("CA2")
        await house.desk.drain(1)
        assert house.voice.said[-1][1] == driver.call.policy.server_closing
        assert sorted(house.endings) == [
            ("failed", "failed", "server_closing"),
            ("failed", "failed", "stream_lost"),
        ]
        with pytest.raises(Refused):
            house.desk.connect(waiting, FakeLine())
        await house.finished()

    virtual(scene())


class DeafVoice(FakeVoice):
    """Never says anything, and never fails."""

    async def speak(self, turn, pieces, facts):
        async for _ in pieces:
            await asyncio.Event().wait()
            yield


def test_a_call_that_cannot_say_goodbye_is_cut_in_the_end(virtual, tmp_path):
    async def scene() -> None:
        house = Reception(tmp_path, voice=DeafVoice())
        driver = house.connect(await house.admit())
        await asyncio.sleep(0.1)
        loop = asyncio.get_running_loop()
        began = loop.time()
        await house.desk.drain(0)
        assert 10 < loop.time() - began < 21
        assert driver.ended.is_set()
        await house.finished()
        assert len(house.endings) == 1

    virtual(scene())


def test_draining_in_a_hurry_after_a_patient_start(virtual, tmp_path):
    async def scene() -> None:
        house = Reception(tmp_path)
        await house.talking()
        patient = asyncio.ensure_future(house.desk.drain(3_600))
        await asyncio.sleep(1)
        patient.cancel()
        await house.desk.drain(0)
        await house.finished()
        assert house.endings == [("failed", "failed", "server_closing")]

    virtual(scene())


def test_draining_an_empty_desk_is_instant_and_may_be_repeated(virtual, tmp_path):
    async def scene() -> None:
        house = Reception(tmp_path)
        loop = asyncio.get_running_loop()
        await house.desk.drain(30)
        await house.desk.drain(30)
        assert loop.time() == 0
        assert house.rows == []

    virtual(scene())
