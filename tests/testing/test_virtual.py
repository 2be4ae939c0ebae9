from __future__ import annotations

import asyncio
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from voice_server.testing import Unhurried, VirtualLoop, hold_time, run


def real_seconds(coroutine) -> float:
    began = time.perf_counter()
    run(coroutine)
    return time.perf_counter() - began


def now() -> float:
    return asyncio.get_running_loop().time()


def test_an_hour_of_sleep_takes_no_time():
    async def main():
        await asyncio.sleep(3600)
        assert now() == pytest.approx(3600)

    assert real_seconds(main()) < 10


def test_timers_fire_in_order_at_their_times():
    async def main():
        seen = []
        loop = asyncio.get_running_loop()
        for delay in (0.3, 0.1, 0.2):
            loop.call_later(delay, lambda delay=delay: seen.append((delay, round(now(), 9))))
        await asyncio.sleep(1)
        return seen

    assert run(main()) == [(0.1, 0.1), (0.2, 0.2), (0.3, 0.3)]


def test_time_stands_still_while_an_executor_job_runs():
    async def main():
        async with asyncio.timeout(0.01):  # virtual
            await asyncio.to_thread(time.sleep, 0.05)
        assert now() == 0

    run(main())


def test_time_stands_still_until_the_last_of_many_jobs_is_done():
    async def main():
        ticks = []

        async def tick():
            while True:
                await asyncio.sleep(0.001)
                ticks.append(now())

        ticking = asyncio.create_task(tick())
        await asyncio.gather(*(asyncio.to_thread(time.sleep, 0.01 * n) for n in range(4)))
        assert not ticks
        await asyncio.sleep(0.1)
        assert len(ticks) == pytest.approx(100, abs=1)
        ticking.cancel()

    run(main())


def test_a_job_that_nobody_awaits_any_longer_still_holds_time_until_it_ends():
    done = []

    def work():
        time.sleep(0.05)
        done.append(True)

    async def main():
        job = asyncio.get_running_loop().run_in_executor(None, work)
        await asyncio.to_thread(time.sleep, 0.01)  # the job is running by now
        job.cancel()
        await asyncio.sleep(1)
        assert done

    run(main())


def test_a_job_cancelled_in_the_queue_lets_time_go_on():
    async def main():
        with ThreadPoolExecutor(1) as one:
            loop = asyncio.get_running_loop()
            first = loop.run_in_executor(one, time.sleep, 0.02)
            second = loop.run_in_executor(one, time.sleep, 60)
            second.cancel()
            await first
            await asyncio.sleep(5)
            assert now() == 5

    assert real_seconds(main()) < 20


def test_a_failing_job_lets_time_go_on():
    async def main():
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 / 0)
        await asyncio.sleep(5)
        assert now() == 5

    run(main())


def test_an_executor_that_refuses_jobs_does_not_stop_time():
    async def main():
        closed = ThreadPoolExecutor(1)
        closed.shutdown()
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop().run_in_executor(closed, time.sleep, 0)
        await asyncio.sleep(5)
        assert now() == 5

    run(main())


def test_holding_time_waits_for_the_world_outside():
    async def main():
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with ThreadPoolExecutor(1) as world:
            world.submit(lambda: (time.sleep(0.05), theirs.send(b"!")))
            with hold_time():
                async with asyncio.timeout(0.01):
                    assert await asyncio.get_running_loop().sock_recv(ours, 1) == b"!"
        assert now() == 0
        ours.close()
        theirs.close()

    run(main())


def test_holds_nest():
    async def main():
        with hold_time():
            with hold_time():
                pass
            loop = asyncio.get_running_loop()
            answer = loop.create_future()
            with ThreadPoolExecutor(1) as world:
                world.submit(
                    lambda: (time.sleep(0.02), loop.call_soon_threadsafe(answer.set_result, 1))
                )
                async with asyncio.timeout(0.001):
                    await answer
        await asyncio.sleep(1)
        assert now() == 1

    run(main())


def test_holding_time_means_nothing_on_an_ordinary_loop():
    async def main():
        with hold_time():
            await asyncio.sleep(0)

    asyncio.run(main())


class Archive:
    """Something that waits for another process, as a database does."""

    name = "archive"

    async def write(self, rows):
        loop = asyncio.get_running_loop()
        answer = loop.create_future()
        with ThreadPoolExecutor(1) as world:
            world.submit(
                lambda: (time.sleep(0.02), loop.call_soon_threadsafe(answer.set_result, rows))
            )
            return await answer

    def size(self):
        return 3


def test_an_unhurried_object_takes_no_virtual_time_and_is_otherwise_itself():
    async def main():
        archive = Unhurried(Archive())
        async with asyncio.timeout(0.001):
            assert await archive.write(["row"]) == ["row"]
        assert (archive.name, archive.size()) == ("archive", 3)
        assert archive.write.__name__ == "write"
        assert now() == 0
        with pytest.raises(AttributeError):
            _ = archive.missing

    run(main())


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def exchange(port: int, rounds: int, size: int, seen: list) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for number in range(rounds):
        await asyncio.sleep(0.02)
        sent_at = now()
        writer.write(bytes([number % 256]) * size)
        assert await reader.readexactly(size) == bytes([number % 256]) * size
        seen.append(now() - sent_at)
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("size", [1, 300, 200_000])
def test_a_round_trip_over_loopback_takes_no_virtual_time(size):
    async def main():
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        seen = []
        async with server:
            await asyncio.gather(*(exchange(port, 40, size, seen) for _ in range(5)))
        assert len(seen) == 200
        assert set(seen) == {0.0}

    run(main())


def test_dual_stack_listeners_are_recognised():
    async def main():
        listener = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
        server = await asyncio.start_server(echo, sock=listener)
        seen = []
        async with server:
            await exchange(server.sockets[0].getsockname()[1], 3, 100, seen)
        assert seen == [0.0] * 3

    if not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    assert real_seconds(main()) < 20


def test_the_end_of_a_stream_arrives_before_time_moves():
    async def main():
        ends = []

        async def serve(reader, writer):
            await reader.read()
            ends.append(now())
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            for number in range(1, 4):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                await asyncio.sleep(1)
                writer.close()
                await asyncio.sleep(0.001)
                assert len(ends) == number
        assert [round(end) for end in ends] == [1, 2, 3]

    run(main())


def test_a_peer_that_stops_reading_delays_time_only_once():
    async def main():
        async def deaf(reader, writer):
            writer.transport.pause_reading()
            await asyncio.sleep(30)
            writer.transport.resume_reading()
            await reader.readexactly(160_000)
            writer.close()

        server = await asyncio.start_server(deaf, "127.0.0.1", 0)
        async with server:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", server.sockets[0].getsockname()[1]
            )
            for _ in range(1000):
                writer.write(b"x" * 160)
                await asyncio.sleep(0.02)
            assert await reader.read() == b""
            writer.close()

    assert real_seconds(main()) < 20


def test_aborted_connections_leave_nothing_on_its_way():
    async def main():
        async def serve(reader, writer):
            writer.write(b"unread")
            writer.transport.abort()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            for _ in range(20):
                _, writer = await asyncio.open_connection(
                    "127.0.0.1", server.sockets[0].getsockname()[1]
                )
                writer.write(b"unread too")
                await asyncio.sleep(0.5)
                writer.close()

    assert real_seconds(main()) < 10


def test_a_listener_that_never_accepts_does_not_stop_time():
    async def main():
        with socket.create_server(("127.0.0.1", 0)) as listener:
            _, writer = await asyncio.open_connection(*listener.getsockname())
            writer.write(b"anyone there?")
            await asyncio.sleep(100)
            assert now() == 100
            writer.close()

    assert real_seconds(main()) < 10


def test_the_same_traffic_gives_the_same_history():
    async def main():
        history = []

        async def serve(reader, writer):
            while line := await reader.readline():
                history.append((round(now(), 6), line))
                await asyncio.sleep(0.003)
                writer.write(b"ack " + line)
            writer.close()

        async def client(port, name):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for number in range(20):
                await asyncio.sleep(0.007)
                writer.write(f"{name} {number}\n".encode())
                history.append((round(now(), 6), await reader.readline()))
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            await asyncio.gather(*(client(port, name) for name in "abc"))
        return history

    histories = [run(main()) for _ in range(5)]
    assert all(history == histories[0] for history in histories)
    assert len(histories[0]) == 120


def test_a_minute_of_frame_timers_costs_little():
    async def main():
        for _ in range(6000):
            await asyncio.sleep(0.01)

    assert real_seconds(main()) < 15


def test_the_loop_says_what_time_it_is_from_zero():
    loop = VirtualLoop()
    assert loop.time() == 0
    loop.close()


def test_a_hold_that_hangs_lets_the_timeouts_around_it_fire():
    async def main():
        with pytest.raises(TimeoutError), hold_time():
            async with asyncio.timeout(3):
                await asyncio.get_running_loop().create_future()
        assert now() == 3

    with asyncio.Runner(loop_factory=lambda: VirtualLoop(hold_limit_s=0.05)) as runner:
        runner.run(main())


def test_after_a_hold_that_hung_the_next_one_holds_again():
    async def main():
        for _ in range(2):
            with pytest.raises(TimeoutError), hold_time():
                async with asyncio.timeout(3):
                    await asyncio.get_running_loop().create_future()
            await asyncio.sleep(1)
        async with asyncio.timeout(1):
            await asyncio.to_thread(time.sleep, 0.01)
        assert now() == 8

    with asyncio.Runner(loop_factory=lambda: VirtualLoop(hold_limit_s=0.05)) as runner:
        runner.run(main())


def test_unix_sockets_work_though_they_are_not_counted(tmp_path):
    async def main():
        server = await asyncio.start_unix_server(echo, tmp_path / "s")
        async with server:
            reader, writer = await asyncio.open_unix_connection(tmp_path / "s")
            writer.write(b"hello")
            with hold_time():
                assert await reader.readexactly(5) == b"hello"
                writer.write_eof()
                assert await reader.read() == b""
            writer.close()

    run(main())
