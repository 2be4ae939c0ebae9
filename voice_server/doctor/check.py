"""What a check found, and the limit every check runs under."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from enum import StrEnum
from typing import Final

import msgspec

LIMIT_S: Final = 20.0  # above the limits of all requests a check makes by itself


class State(StrEnum):
    """How a check ended; only FAILED keeps a server from its work."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"  # not configured, or something else has to be mended first


class Check(msgspec.Struct, frozen=True):
    """One finding. `fix` names the command or variable that mends it; "" where all is well.

    No text holds a key, a phone number or anything of a row beyond its id.
    """

    name: str
    state: State
    what: str
    fix: str = ""


def ok(name: str, what: str) -> Check:
    """All is well."""
    return Check(name, State.OK, what)


def warning(name: str, what: str, fix: str) -> Check:
    """Calls work, but not as they should."""
    return Check(name, State.WARNING, what, fix)


def failed(name: str, what: str, fix: str) -> Check:
    """Something that was configured does not work."""
    return Check(name, State.FAILED, what, fix)


def skipped(name: str, what: str) -> Check:
    """Nothing was looked at."""
    return Check(name, State.SKIPPED, what)


async def limited(
    name: str, work: Awaitable[tuple[Check, ...]], limit_s: float = LIMIT_S
) -> tuple[Check, ...]:
    """The findings of `work`, or that it took too long."""
    try:
        async with asyncio.timeout(limit_s):
            return await work
    except TimeoutError:
        return (
            failed(name, f"no answer within {limit_s:g} s", "check the network, and try again"),
        )
