"""The shipped model, loaded once, and short ways to let somebody speak."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from detectors.detector import ScamDetector, ScamModel


@pytest.fixture(scope="session")
def model() -> ScamModel:
    return ScamModel.load()


@pytest.fixture
def detector(model: ScamModel) -> ScamDetector:
    return ScamDetector(model)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    beside = Path(__file__).parents[3] / "shared"
    folder = Path(os.environ.get("VOICE_SERVER_SHARED", beside)) / "data"
    if not (folder / "corpus").is_dir():
        pytest.skip("the shared data folder is absent; set VOICE_SERVER_SHARED to its parent")
    return folder
