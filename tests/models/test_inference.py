from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOAD_THE_SCAM_MODEL = """
import os
from detectors import ScamModel
ScamModel.load()
held = {os.path.realpath(f"/proc/self/fd/{n}") for n in os.listdir("/proc/self/fd")}
assert not [name for name in held if ".onnxruntime" in name], held
"""


def environment(home: Path, **more: str) -> dict[str, str]:
    inherited = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"}
    return inherited | {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")} | more


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks into /proc")
def test_a_process_with_a_model_reports_to_nobody(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-c", LOAD_THE_SCAM_MODEL],
        env=environment(tmp_path),
        cwd=ROOT,
        check=True,
        timeout=60,
    )
    assert not list(tmp_path.rglob("*onnxruntime*"))
    assert not list(tmp_path.rglob("deviceid"))


def test_an_operators_own_choice_is_respected(tmp_path: Path) -> None:
    code = "import os, models.inference; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(tmp_path, ORT_DISABLE_TELEMETRY="0"),
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=60,
    )
    assert done.stdout.strip() == b"0"


@pytest.mark.parametrize("package", ["voice_server", "detectors", "models", "db", "tests"])
def test_nobody_loads_the_library_past_the_quiet_door(package: str) -> None:
    loads = re.compile(r"^\s*(import onnxruntime|from onnxruntime)", re.MULTILINE)
    past = [
        str(path.relative_to(ROOT))
        for path in (ROOT / package).rglob("*.py")
        if loads.search(path.read_text()) and path != ROOT / "models" / "inference.py"
    ]
    assert past == []
