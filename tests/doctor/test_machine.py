"""What the doctor looks at on the machine itself."""

from __future__ import annotations

import asyncio
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from models.manifest import shipped
from models.scam.manifest import FOLDER, MANIFEST_FILE, read_manifest
from models.weights import Weights
from voice_server.doctor.check import State, limited, ok
from voice_server.doctor.machine import (
    clock_check,
    folder_checks,
    is_free,
    scam_model_check,
    settings_checks,
    weights_check,
)
from voice_server.errors import ConfigurationError


def test_every_setting_that_needs_attention_is_a_finding_of_its_own() -> None:
    problem = ConfigurationError(
        "These settings need attention:\n"
        "  VOICE_SERVER_PORT: Input should be less than or equal to 65535\n"
        "  TWILIO_AUTH_TOKEN: missing, so no webhook could be trusted; set it"
    )
    port, token = settings_checks(problem)
    assert (port.state, port.fix) == (State.FAILED, "correct VOICE_SERVER_PORT")
    assert (token.state, token.fix) == (State.FAILED, "set it")
    assert token.what == "TWILIO_AUTH_TOKEN: missing, so no webhook could be trusted"


def test_settings_without_a_problem_are_fine() -> None:
    (check,) = settings_checks(None)
    assert check.state is State.OK


def test_a_data_directory_that_can_be_written_is_left_as_it_was(tmp_path: Path) -> None:
    folder, space = folder_checks(tmp_path, scarce_bytes=1, full_bytes=1)
    assert (folder.state, space.state) == (State.OK, State.OK)
    assert list(tmp_path.iterdir()) == []


def test_a_data_directory_that_does_not_exist_is_not_made(tmp_path: Path) -> None:
    folder, _ = folder_checks(tmp_path / "a" / "b")
    assert folder.state is State.OK
    assert "can be made" in folder.what
    assert list(tmp_path.iterdir()) == []


def test_a_data_directory_below_a_file_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (folder,) = folder_checks(tmp_path / "file" / "data")
    assert folder.state is State.FAILED
    assert "VOICE_SERVER_DATA_DIR" in folder.fix


@pytest.mark.parametrize(
    ("scarce", "full", "state"),
    [(1, 1, State.OK), (1 << 60, 1, State.WARNING), (1 << 60, 1 << 60, State.FAILED)],
)
def test_little_room_on_the_disk_is_told(
    tmp_path: Path, scarce: int, full: int, state: State
) -> None:
    _, space = folder_checks(tmp_path, scarce_bytes=scarce, full_bytes=full)
    assert space.state is state
    assert bool(space.fix) is (state is not State.OK)


def test_missing_weights_are_named_with_the_command_that_fetches_them(tmp_path: Path) -> None:
    (check,) = weights_check(Weights(tmp_path))
    assert check.state is State.FAILED
    assert "voice-server models pull" in check.fix
    for name in shipped().names():
        assert f"{name} missing" in check.what


def test_a_weight_of_the_wrong_size_is_damaged(tmp_path: Path) -> None:
    name = shipped().names()[0]
    (tmp_path / shipped().file(name).cached_as).write_bytes(b"short")
    (check,) = weights_check(Weights(tmp_path))
    assert f"{name} damaged" in check.what


def test_a_whole_scam_model_is_told_by_its_version() -> None:
    (check,) = scam_model_check()
    assert check.state is State.OK
    assert read_manifest().model_version in check.what


@pytest.mark.parametrize("name", read_manifest().files)
def test_a_damaged_file_of_the_scam_model_is_named_with_what_mends_it(
    tmp_path: Path, name: str
) -> None:
    for file in (*read_manifest().files, MANIFEST_FILE):
        shutil.copy(FOLDER / file, tmp_path)
    (tmp_path / name).write_bytes(b"short")
    (check,) = scam_model_check(tmp_path)
    assert (check.state, "reinstall" in check.fix) == (State.FAILED, True)
    assert name in check.what
    (tmp_path / name).unlink()
    (check,) = scam_model_check(tmp_path)
    assert (check.state, "reinstall" in check.fix) == (State.FAILED, True)
    assert name in check.what


@pytest.mark.parametrize(
    ("ahead_s", "state", "words"),
    [
        (None, State.SKIPPED, "nothing"),
        (0.4, State.OK, "within 5 s of openai"),
        (-5.0, State.OK, "within"),
        (5.1, State.WARNING, "5 s ahead of openai"),
        (-3_600.0, State.WARNING, "3600 s behind openai"),
    ],
)
def test_a_clock_that_is_off_by_more_than_five_seconds_is_told(
    ahead_s: float | None, state: State, words: str
) -> None:
    check = clock_check(ahead_s, "openai")
    assert check.state is state
    assert words in check.what
    assert ("timedatectl" in check.fix) is (state is State.WARNING)


@contextmanager
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_port_is_free_once_nobody_listens_there() -> None:
    with taken_port() as port:
        assert is_free("127.0.0.1", port) is not None
    assert is_free("127.0.0.1", port) is None


def test_an_address_of_another_machine_cannot_be_listened_on() -> None:
    assert is_free("192.0.2.1", 8080) is not None


async def test_a_check_that_never_ends_is_cut_off_and_told() -> None:
    async def endless() -> tuple[()]:
        await asyncio.Event().wait()
        return ()

    (check,) = await limited("port", endless(), 0.01)
    assert (check.name, check.state) == ("port", State.FAILED)
    assert "0.01 s" in check.what


async def test_a_check_that_ends_in_time_is_passed_on() -> None:
    async def quick() -> tuple:
        return (ok("port", "free"),)

    assert await limited("port", quick(), 1) == (ok("port", "free"),)
