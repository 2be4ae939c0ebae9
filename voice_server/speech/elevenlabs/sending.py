"""The sending half of a socket: a task of its own, whose bugs the receiving half hears of."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from voice_server.errors import EngineBroken, ServiceError, place_of
from voice_server.speech.elevenlabs.failures import SERVICE, mapped

log = logging.getLogger(__name__)


# Called only once its task runs: a task cancelled before that leaves no coroutine behind.
Send: TypeAlias = Callable[[ClientConnection], Coroutine[Any, Any, None]]


@asynccontextmanager
async def sending(socket: ClientConnection, send: Send, name: str) -> AsyncIterator[None]:
    """Run `send` while the block receives, and no longer; whoever opened the socket closes it.

    What the block raises is mapped to `ServiceError`. A bug on either side is `EngineBroken`, at
    once: a half that is dead would leave the other to wait until somebody loses patience.
    """
    sender = asyncio.get_running_loop().create_task(_send(socket, send, name), name=name)
    try:
        with mapped():
            yield
    except ServiceError:
        if sender.done() and (broken := sender.result()) is not None:
            raise broken from None
        raise
    except Exception as bug:
        raise _broken(name, bug) from bug
    finally:
        sender.cancel()
        await asyncio.wait([sender])


async def _send(socket: ClientConnection, send: Send, name: str) -> EngineBroken | None:
    try:
        await send(socket)
    except ConnectionClosed:
        return None  # the receiver tells why
    except Exception as bug:  # noqa: BLE001 - raised by the receiver, who is woken by this
        socket.transport.abort()
        return _broken(name, bug)
    return None


def _broken(name: str, bug: Exception) -> EngineBroken:
    where = {"part": name, "kind": type(bug).__name__, "at": place_of(bug)}
    log.error("a bug in an engine", extra=where)
    return EngineBroken(SERVICE, f"a bug of ours: {where['kind']} at {where['at']}")
