from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.weights import WeightsMissing, path
from tests.speech.conftest import SILENCE, SPEECH, channel, frames, shared_folder
from voice_server.speech import g711
from voice_server.speech.vad import WINDOW, SileroModel, SileroVoiceActivity, State


class Judge:
    """Scores a window by its first new sample, counts rows, and keeps a sum as its state."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.free = threading.Event()
        self.free.set()
        self.asked = threading.Event()
        self.called = threading.Event()
        self.broken = False

    def __call__(self, windows: Sequence[bytes], state: State) -> tuple[list[int], State]:
        self.asked.set()
        assert self.free.wait(60)
        self.called.set()
        if self.broken:
            raise LookupError("no model")
        assert state.shape == (2, len(windows), 128)
        assert all(len(window) == 32 + WINDOW for window in windows)
        self.batches.append(len(windows))
        return [int(row) + 50 for row in state[0, :, 0]], state + 1


class Listener:
    """Collects scores and wakes whoever waits for a number of them."""

    def __init__(self) -> None:
        self.scores: list[int] = []
        self._changed = asyncio.Event()

    def __call__(self, percent: int) -> None:
        self.scores.append(percent)
        self._changed.set()

    async def wait_for(self, count: int) -> list[int]:
        async with asyncio.timeout(60):
            while len(self.scores) < count:
                self._changed.clear()
                await self._changed.wait()
        return self.scores


@pytest.fixture
async def judge():
    return Judge()


@pytest.fixture(params=[0, 8], ids=["in a thread", "on the loop"])
async def activity(judge, request):
    made = SileroVoiceActivity(judge, on_loop=request.param)
    yield made
    judge.free.set()
    made.close()


async def test_every_window_of_32_ms_is_scored_in_order(activity):
    heard = Listener()
    track = activity.watch(heard)
    for _ in range(8):
        track.push(SPEECH)

    assert await heard.wait_for(5) == [50, 51, 52, 53, 54]


@pytest.mark.parametrize("size", [1, 7, 160, 256, 1000])
async def test_frames_may_have_any_size(activity, size: int):
    heard = Listener()
    track = activity.watch(heard)
    audio = SPEECH * 8
    for at in range(0, len(audio), size):
        track.push(audio[at : at + size])

    assert len(await heard.wait_for(5)) == 5


async def test_a_window_sees_the_32_samples_before_it():
    seen: list[bytes] = []

    def score(windows: Sequence[bytes], state: State) -> tuple[list[int], State]:
        seen.extend(windows)
        return [50] * len(windows), state

    activity = SileroVoiceActivity(score)
    heard = Listener()
    track = activity.watch(heard)
    audio = bytes(range(128)) * 4
    track.push(audio)
    await heard.wait_for(2)
    activity.close()

    assert seen == [g711.SILENCE * 32 + audio[:256], audio[224:512]]


async def test_calls_share_a_run(activity, judge):
    heard = [Listener() for _ in range(20)]
    tracks = [activity.watch(listener) for listener in heard]
    for _ in range(2):
        for track in tracks:
            track.push(SPEECH)
    for listener in heard:
        await listener.wait_for(1)

    assert judge.batches == [20]
    assert activity.runs == 1


async def test_every_call_keeps_its_own_state(activity):
    early, late = Listener(), Listener()
    track = activity.watch(early)
    for _ in range(8):
        track.push(SPEECH)
    await early.wait_for(5)
    other = activity.watch(late)
    for _ in range(8):
        track.push(SPEECH)
        other.push(SPEECH)

    assert (await early.wait_for(10))[5:] == [55, 56, 57, 58, 59]
    assert await late.wait_for(5) == [50, 51, 52, 53, 54]


async def test_more_calls_than_foreseen_find_room(activity):
    heard = [Listener() for _ in range(70)]
    tracks = [activity.watch(listener) for listener in heard]
    for _ in range(8):
        for track in tracks:
            track.push(SPEECH)

    for listener in heard:
        assert await listener.wait_for(5) == [50, 51, 52, 53, 54]


async def test_a_new_call_does_not_inherit_the_state_of_one_that_left(activity):
    for _ in range(50):
        heard = Listener()
        track = activity.watch(heard)
        track.push(SPEECH * 2)
        assert await heard.wait_for(1) == [50]
        track.close()


async def test_a_call_that_leaves_during_a_run_hears_no_more_and_harms_nobody(judge):
    activity = SileroVoiceActivity(judge, on_loop=0)
    judge.free.clear()
    gone, stays = Listener(), Listener()
    leaving, staying = activity.watch(gone), activity.watch(stays)
    leaving.push(SPEECH * 4)
    staying.push(SPEECH * 4)
    await asyncio.to_thread(judge.asked.wait)
    leaving.close()
    leaving.close()
    newcomer = Listener()
    activity.watch(newcomer).push(SPEECH * 2)
    judge.free.set()

    assert await stays.wait_for(2) == [50, 51]
    assert await newcomer.wait_for(1) == [50]
    assert gone.scores == []
    activity.close()


async def test_a_closed_track_takes_audio_and_does_nothing(activity, judge):
    track = activity.watch(Listener())
    track.close()
    track.push(SPEECH * 100)

    assert judge.batches == []


async def test_quiet_windows_score_zero_without_the_model(activity, judge):
    heard = Listener()
    track = activity.watch(heard)
    for _ in range(8):
        track.push(SILENCE)

    assert await heard.wait_for(5) == [0] * 5
    assert judge.batches == []
    assert activity.skipped == 5


async def test_a_quiet_window_within_speech_is_left_to_the_model(activity, judge):
    heard = Listener()
    track = activity.watch(heard)
    track.push(SPEECH * 8)
    await heard.wait_for(5)
    track.push(SILENCE * 8)

    assert (await heard.wait_for(10))[5:] == [55, 56, 57, 58, 59]
    assert activity.skipped == 0


async def test_lag_costs_the_oldest_windows_and_is_counted(judge):
    activity = SileroVoiceActivity(judge, on_loop=0)
    judge.free.clear()
    heard = Listener()
    track = activity.watch(heard)
    track.push(SPEECH * 2)
    await asyncio.to_thread(judge.asked.wait)
    for _ in range(160):
        track.push(SPEECH)
    judge.free.set()

    await heard.wait_for(9)
    assert activity.dropped == 101 - 9
    assert len(heard.scores) == 9
    activity.close()


async def test_a_call_that_chokes_on_its_score_does_not_starve_the_others(activity, caplog):
    def choke(percent: int) -> None:
        raise ValueError("a bug in one call")

    heard = Listener()
    sick, well = activity.watch(choke), activity.watch(heard)
    for _ in range(8):
        sick.push(SPEECH)
        well.push(SPEECH)

    assert len(await heard.wait_for(5)) == 5
    assert "voice score not taken" in caplog.text


async def test_a_model_that_fails_is_logged_and_tried_again(activity, judge, caplog):
    judge.broken = True
    heard = Listener()
    track = activity.watch(heard)
    track.push(SPEECH * 2)
    await asyncio.to_thread(judge.called.wait, 5)
    judge.broken = False
    track.push(SPEECH * 2)

    assert len(await heard.wait_for(1)) >= 1
    assert caplog.records[0].message == "voice activity model failed"


def test_the_same_engine_serves_one_event_loop_after_another():
    activity = SileroVoiceActivity(Judge())

    async def call() -> list[int]:
        heard = Listener()
        activity.watch(heard).push(SPEECH * 2)
        return list(await heard.wait_for(1))

    assert asyncio.run(call()) == [50]
    assert asyncio.run(call()) == [50]
    activity.close()


@pytest.mark.parametrize("on_loop", [0, 2, 8])
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 400)), max_size=40))
def test_windows_scored_skipped_and_dropped_are_all_windows(on_loop, script):
    async def play() -> tuple[int, int, int, int]:
        activity = SileroVoiceActivity(Judge(), on_loop=on_loop)
        heard = Listener()
        tracks = [activity.watch(heard) for _ in range(4)]
        bytes_in = [0] * 4
        for call, size in script:
            tracks[call].push((SPEECH * 3)[:size])
            bytes_in[call] += size
        windows = sum(count // WINDOW for count in bytes_in)
        await heard.wait_for(windows - activity.dropped)
        await asyncio.sleep(0)
        activity.close()
        return windows, activity.scored + activity.skipped, activity.dropped, len(heard.scores)

    windows, judged, dropped, told = asyncio.run(play())

    assert judged + dropped == windows
    assert told == judged


@pytest.fixture(scope="module")
def silero() -> SileroModel:
    try:
        return SileroModel(path("silero_vad"))
    except WeightsMissing as missing:
        pytest.skip(str(missing))


def scores(model: SileroModel, mulaw: bytes) -> list[int]:
    state = np.zeros((2, 1, 128), np.float32)
    padded = g711.SILENCE * 32 + mulaw
    told = []
    for at in range(0, len(padded) - 32 - WINDOW + 1, WINDOW):
        (score,), state = model.score([padded[at : at + 32 + WINDOW]], state)
        told.append(score)
    return told


def mulaw_noise(level: float) -> bytes:
    random = np.random.default_rng(3)
    return g711.encode_float((random.standard_normal(16_000) * level).astype(np.float32))


@pytest.mark.weights
@pytest.mark.parametrize(
    "mulaw",
    [SILENCE * 100, mulaw_noise(0.003), mulaw_noise(0.03), mulaw_noise(0.1)],
    ids=["silence", "faint noise", "noise", "loud noise"],
)
def test_silence_and_noise_are_not_voice(silero: SileroModel, mulaw: bytes):
    told = scores(silero, mulaw)

    assert np.mean(np.array(told) > 50) < 0.05


@pytest.mark.weights
@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "least"),
    [("rc_ssn_suspended", 0.75), ("tel_us_narrowband_1", 0.75), ("rc_ssa_legal_threat", 0.7)],
)
def test_recorded_speech_is_voice(silero: SileroModel, name: str, least: float):
    audio = channel(shared_folder() / "data" / "calls" / f"{name}.wav")

    assert np.mean(np.array(scores(silero, audio[:80_000])) > 50) > least


@pytest.mark.weights
def test_a_batch_scores_every_window_as_if_it_were_alone(silero: SileroModel):
    random = np.random.default_rng(5)
    windows = [random.integers(0, 256, 288, dtype=np.uint8).tobytes() for _ in range(33)]
    state = random.standard_normal((2, 33, 128)).astype(np.float32)

    together, after = silero.score(windows, state)

    for row, window in enumerate(windows):
        (alone,), state_alone = silero.score([window], state[:, row : row + 1])
        assert abs(together[row] - alone) <= 1
        assert np.allclose(after[:, row : row + 1], state_alone, atol=1e-4)


@pytest.mark.weights
@pytest.mark.shared
async def test_through_the_engine_a_call_gets_the_models_own_scores(silero: SileroModel):
    audio = channel(shared_folder() / "data" / "calls" / "rc_ssn_suspended.wav")[:32_000]
    activity = SileroVoiceActivity(silero.score)
    heard = Listener()
    track = activity.watch(heard)
    others = [activity.watch(lambda _: None) for _ in range(3)]
    for count, frame in enumerate(frames(audio), start=1):
        track.push(frame)
        for other in others:
            other.push(frame[::-1])
        if count % 4 == 0:
            await heard.wait_for(count * 160 // WINDOW)
    activity.close()

    alone = np.array(scores(silero, audio))
    told = np.array(heard.scores[: len(alone)])
    assert np.mean(np.abs(told - alone) <= 1) > 0.97
