"""What all tests share: virtual time, one database server, one set of engines, a leak check."""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from hypothesis import settings

from voice_server.testing.virtual import VirtualLoop

# Servers and engines are imported by the tests that use them: those of the core start at once.
if TYPE_CHECKING:
    from voice_server.speech.engines import LocalEngines
    from voice_server.testing.box import Box

pytest_plugins = ["pytester"]

# How long an example takes says more of the machine than of the code. The same code gets the same
# examples, so that the suite says the same of it everywhere; --hypothesis-profile search looks for
# new ones.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None, max_examples=1_000)
settings.load_profile("steady")

T = TypeVar("T")
Virtual = Callable[[Coroutine[Any, Any, T]], T]
BoxFactory = Callable[..., "AbstractAsyncContextManager[Box]"]

_RUNNER = "_function_scoped_runner"  # pytest-asyncio's, which lives until the test is torn down


def shared_folder() -> Path | None:
    """The folder of recorded calls and corpora, where this machine has one."""
    given = os.environ.get("VOICE_SERVER_SHARED")
    folder = Path(given) if given else Path(__file__).parents[2] / "shared"
    return folder if (folder / "data").is_dir() else None


@functools.cache
def _why_no_weights() -> str:
    from models.weights import WeightsMissing
    from voice_server.speech.engines import open_local

    try:
        open_local(1).close()
    except WeightsMissing as missing:
        return str(missing)
    return ""


@functools.cache
def _why_no_postgres() -> str:
    import db
    from tests.db.server import shared_server

    try:
        shared_server()
    except db.EmbeddedServerError as error:
        return f"the embedded Postgres cannot run here: {error}"
    return ""


def _why_no_shared() -> str:
    if shared_folder() is not None:
        return ""
    return "no shared data here: set VOICE_SERVER_SHARED to its folder"


_NEEDS = {"weights": _why_no_weights, "postgres": _why_no_postgres, "shared": _why_no_shared}


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker, why_not in _NEEDS.items():
        if item.get_closest_marker(marker) is not None and (reason := why_not()):
            pytest.skip(reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Fail a test whose event loop still has tasks that were not there before it."""
    runner = getattr(item, "funcargs", {}).get(_RUNNER)
    if runner is None:
        yield
        return
    before = asyncio.all_tasks(runner.get_loop())
    yield
    runner.run(asyncio.sleep(0))  # a task that has just been cancelled may end
    fail_on_tasks(asyncio.all_tasks(runner.get_loop()) - before)


def fail_on_tasks(tasks: set[asyncio.Task[Any]]) -> None:
    leaked = sorted(task.get_name() for task in tasks)
    if leaked:
        pytest.fail(f"tasks are left behind: {', '.join(leaked)}")


@pytest.fixture
def virtual() -> Virtual[Any]:
    """Runs a coroutine to its end in virtual time; fails when it leaves a task behind."""

    def run(main: Coroutine[Any, Any, T]) -> T:
        async def watched() -> T:
            result = await main
            await asyncio.sleep(0)
            fail_on_tasks(asyncio.all_tasks() - {asyncio.current_task()})  # type: ignore[arg-type]
            return result

        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            return runner.run(watched())

    return run


@pytest.fixture(scope="session")
def postgres() -> str:
    """The URL of a migrated database with the demo tenant, shared by all tests that need no more.

    Tests that look at rows find their own by call id; those that need a database alone take
    `database` of `tests.db.server`.
    """

    import db
    from tests.db.server import empty_database, shared_server

    async def build() -> str:
        url = await empty_database(shared_server().dsn)
        await db.migrate(url)
        pool = await db.open_pool(url, size=1)
        try:
            await db.seed_demo(pool)
        finally:
            await pool.close()
        return url

    return asyncio.run(build())


@pytest.fixture(scope="session")
def engines() -> Iterator[LocalEngines]:
    """The local engines, loaded once: 1 s and 400 MB."""
    from voice_server.speech.engines import open_local

    opened = open_local(2)
    yield opened
    opened.close()


@pytest.fixture
def box(postgres: str, engines: LocalEngines, tmp_path: Path) -> BoxFactory:
    """Opens whole servers on the shared database and engines; see `open_box`."""

    from voice_server.testing.box import open_box

    @asynccontextmanager
    async def factory(**settings: Any) -> AsyncIterator[Box]:
        settings = {"engines": engines, "database_url": postgres} | settings
        async with open_box(tmp_path, **settings) as opened:
            yield opened

    return factory
