"""A whole server with a database set: a phone call is seen there by its tenant's client."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import db
from tests.mirror.states import told, without_times
from voice_server.errors import ConfigurationError
from voice_server.settings import load
from voice_server.testing.caller import SilentCaller
from voice_server.testing.lab.faults import Fault, FaultPlan
from voice_server.testing.lab.firebase import FirebaseLab
from voice_server.testing.lab.host import hosting


@contextmanager
def elsewhere(lab: FirebaseLab) -> Iterator[str]:
    """The database on a loop of its own in real time, as it is for the writer's thread."""
    ready, stop, urls = threading.Event(), asyncio.Event(), list[str]()
    loops = list[asyncio.AbstractEventLoop]()

    async def serve() -> None:
        async with hosting(lab.app) as url:
            loops.append(asyncio.get_running_loop())
            urls.append(lab.database_url(url))
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert ready.wait(10)
    try:
        yield urls[0]
    finally:
        loops[0].call_soon_threadsafe(stop.set)
        thread.join(10)


@pytest.mark.weights
@pytest.mark.postgres
@pytest.mark.parametrize("down", [False, True])
def test_a_call_is_mirrored_and_its_last_state_is_the_calls_own(virtual, box, tmp_path, down):
    plan = FaultPlan({number: Fault.SERVER_ERROR for number in range(1, 3)} if down else None)
    lab = FirebaseLab(plan=plan)

    async def call(url: str):
        async with box(firebase_database_url=url) as opened:
            result, _ = await opened.call(SilentCaller(4_000))
            return result, opened.server.mirror.state(result.call_id)

    with elsewhere(lab) as url:
        result, last = virtual(call(url))
    assert last is not None
    assert last.outcome == result.outcome
    node = lab.value(f"live/{db.DEMO_USER_ID}/{result.call_id}")
    if down and node is None:  # the server stopped first: the next one delivers it
        (left,) = (tmp_path / "mirror").iterdir()
        assert result.call_id in left.read_text()
    else:
        assert without_times(node) == told(last)


def test_a_database_in_the_cloud_without_a_key_is_told_with_all_other_problems():
    given = {"insecure_webhooks": True, "firebase_database_url": "https://demo.firebaseio.com"}
    with pytest.raises(ConfigurationError, match="VOICE_SERVER_FIREBASE_CREDENTIALS: missing"):
        load(given)


@pytest.mark.parametrize(
    "url", ["demo.firebaseio.com", "ftp://x", "https://key@host", "https://a b"]
)
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(ConfigurationError, match="VOICE_SERVER_FIREBASE_DATABASE_URL"):
        load({"insecure_webhooks": True, "firebase_database_url": url})
