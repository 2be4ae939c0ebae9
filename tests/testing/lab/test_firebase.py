"""What the simulated database does beyond what its SDK asks for: faults, the meter, raw REST."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import httpx
import pytest

from voice_server.testing.lab.faults import Fault, FaultPlan, Injection
from voice_server.testing.lab.firebase import FirebaseLab
from voice_server.testing.lab.firebase_rules import Rules
from voice_server.testing.lab.host import hosting

OPEN = {"rules": {".read": True, ".write": True}}


@asynccontextmanager
async def opened(**options: Any) -> AsyncIterator[tuple[FirebaseLab, httpx.AsyncClient]]:
    lab = FirebaseLab(**{"rules": Rules(OPEN)} | options)
    async with hosting(lab.app) as url, httpx.AsyncClient(base_url=url, timeout=5) as client:
        yield lab, client


async def test_writes_answer_with_what_was_written_unless_silence_is_asked_for():
    async with opened() as (_, client):
        loud = await client.put("/a.json", json={"x": [1, 2], "y": None})
        assert (loud.status_code, loud.json()) == (200, {"x": [1, 2]})
        silent = await client.patch("/a.json", params={"print": "silent"}, json={"y": 3})
        assert (silent.status_code, silent.content) == (204, b"")
        gone = await client.delete("/a.json")
        assert (gone.status_code, gone.json()) == (200, None)


@pytest.mark.parametrize(
    ("method", "path", "content", "status"),
    [
        ("GET", "/a", b"", 404),
        ("PUT", "/a.json", b"{", 400),
        ("PUT", "/a.json", b'{"a.b": 1}', 400),
        ("PATCH", "/a.json", b"[1]", 400),
        ("PATCH", "/a.json", b'{"x": 1, "x/y": 2}', 400),
        ("GET", "/a%24b.json", b"", 400),
    ],
)
async def test_nonsense_is_refused_with_a_reason(method, path, content, status):
    async with opened() as (lab, client):
        answer = await client.request(method, path, content=content)
        assert answer.status_code == status
        assert "error" in answer.json()
        assert lab.value("") is None


@pytest.mark.parametrize(
    ("fault", "status", "done"),
    [
        (Fault.NONE, 200, True),
        (Fault.UNAUTHORIZED, 401, False),
        (Fault.RATE_LIMITED, 429, False),
        (Fault.SERVER_ERROR, 503, False),
        (Fault.QUOTA, 402, False),
        (Fault.GARBAGE, 502, False),
    ],
)
async def test_faults_that_answer(fault, status, done):
    async with opened(plan=FaultPlan({1: fault})) as (lab, client):
        assert (await client.put("/a.json", json=1)).status_code == status
        assert lab.value("a") == (1 if done else None)


@pytest.mark.parametrize(("after_bytes", "kept"), [(0, None), (1, 1)])
async def test_a_dropped_request_was_done_or_not_and_nobody_is_told(after_bytes, kept):
    plan = FaultPlan({1: Injection(Fault.DROP, after_bytes=after_bytes)})
    async with opened(plan=plan) as (lab, client):
        with pytest.raises(httpx.RemoteProtocolError):
            await client.put("/a.json", json=1)
        assert lab.value("a") == kept


def test_a_stalled_write_is_done_though_its_answer_comes_too_late(virtual):
    plan = FaultPlan({1: Injection(Fault.STALL, delay_s=30)})

    async def stall() -> None:
        async with opened(plan=plan) as (lab, client):
            with pytest.raises(httpx.ReadTimeout):
                await client.put("/a.json", json=1)
            assert lab.value("a") == 1

    virtual(stall())


async def test_the_meter_counts_the_nodes_of_each_write_and_the_bytes_of_each_answer():
    async with opened() as (lab, client):
        updates = {"t/a/x": 1, "t/a/y": 2, "t/b": {"z": 3}}
        await client.patch("/live.json", params={"print": "silent"}, json=updates)
        assert [write.node for write in lab.writes] == [("live", "t", "a"), ("live", "t", "b")]
        assert {write.request for write in lab.writes} == {1}
        assert lab.meter.items["firebase.downloaded.bytes"] == 0
        answer = await client.get("/live.json")
        assert lab.meter.items["firebase.downloaded.bytes"] == len(answer.content)
        assert lab.meter.items["firebase.requests"] == 2


def test_a_quiet_stream_is_kept_alive(virtual):
    async def listen() -> list[str]:
        async with opened() as (_, client):
            accept = {"accept": "text/event-stream"}
            async with (
                client.stream("GET", "/a.json", headers=accept, timeout=60) as answer,
                aclosing(answer.aiter_lines()) as lines,
            ):
                return [await anext(lines) for _ in range(5)]

    seen = virtual(listen())
    assert seen == ["event: put", 'data: {"path":"/","data":null}', "", "event: keep-alive",
                    "data: null"]  # fmt: skip


async def test_a_listener_hears_of_its_own_place_only():
    async with opened() as (lab, client):
        accept = {"accept": "text/event-stream"}
        async with client.stream("GET", "/a/b.json", headers=accept) as answer:
            lines = answer.aiter_lines()
            for _ in range(3):
                await anext(lines)
            await client.put("/a/c.json", json=1)  # a neighbour
            await client.put("/a.json", json={"b": {"x": 1}, "c": 2})  # above, and changed
            await client.put("/a/b/x.json", json=5)
            heard = [await anext(lines) for _ in range(6)]
        assert heard[1] == 'data: {"path":"/","data":{"x":1}}'
        assert heard[4] == 'data: {"path":"/x","data":5}'
    await asyncio.sleep(0)
    assert lab.value("a") == {"b": {"x": 5}, "c": 2}
