"""Who calls during a soak: every way in which a short call begins, goes wrong and ends."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec

from voice_server.testing.box import PUBLIC_URL, Box
from voice_server.testing.caller import Caller, SilentCaller, caller_for
from voice_server.testing.faults import Faults, StatusCallbacks
from voice_server.testing.phone import Phone
from voice_server.testing.webhook import Signing

CALLERS: Final = Path(__file__).resolve().parents[2] / "tests" / "callers"
_STATUS_URL: Final = f"{PUBLIC_URL}/twilio/status"
_ALL_EVENTS: Final = ("initiated", "ringing", "answered", "completed")
_STAY_MS: Final = 30_000  # of callers whose call ends otherwise
_MOST_STEPS: Final = 80  # of the event loop from dialling to the open stream: some 60
_GARBAGE: Final[tuple[str | bytes, ...]] = (
    "{",
    "[]",
    '{"event":"media"}',
    '{"event":"media","media":{"track":"inbound","payload":"%%%"}}',
    '{"event":"mark","mark":{"name":7}}',
    '{"event":"nonsense"}',
    b"\x00\x01",
)


class Plan(msgspec.Struct, frozen=True):
    """One call to be made."""

    kind: str
    caller: Callable[[], Caller]
    options: dict[str, Any] = {}
    hang_up_after_steps: int | None = None  # of the event loop, since dialling
    admitted: bool | None = True  # whether the server takes the call; None: either is right
    replay: bool = False  # shows the parameters of an earlier call


_Maker: TypeAlias = Callable[[random.Random], Plan]


def _silent(stay_ms: int = _STAY_MS) -> Callable[[], Caller]:
    return lambda: SilentCaller(stay_ms)


def _recorded(name: str) -> _Maker:
    return lambda _: Plan(name, lambda: caller_for(CALLERS / f"{name}.wav"))


def _hangs_up_silently(dice: random.Random) -> Plan:
    return Plan("silent", _silent(dice.randrange(1_000, 4_000, 20)))


def _outstays(_: random.Random) -> Plan:
    return Plan("silent to the end", _silent(60_000))


def _hangs_up_during_greeting(dice: random.Random) -> Plan:
    options = {"hang_up_at_s": dice.uniform(0.0, 5.0)}
    return Plan("hangs up in the greeting", _silent(), options)


def _hangs_up_before_media(dice: random.Random) -> Plan:
    steps = dice.randrange(_MOST_STEPS)
    return Plan("hangs up early", _silent(), hang_up_after_steps=steps, admitted=None)


def _keys(dice: random.Random) -> Plan:
    digits = "".join(dice.choices("0123456789*#", k=6))
    return Plan("presses keys", lambda: SilentCaller(3_000, digits=digits, digits_at_ms=500))


def _dropped(dice: random.Random) -> Plan:
    faults = Faults(drop_at_s=dice.uniform(0.0, 4.0), drop_ends_call=dice.random() < 0.5)
    return Plan("socket dies", _silent(), {"faults": faults})


def _no_stop(dice: random.Random) -> Plan:
    stay_ms = dice.randrange(500, 3_000, 20)
    return Plan("closes without stop", _silent(stay_ms), {"faults": Faults(skip_stop=True)})


def _no_start(_: random.Random) -> Plan:
    return Plan("media without start", _silent(1_000), {"faults": Faults(skip_start=True)})


def _garbage(dice: random.Random) -> Plan:
    messages = tuple((dice.uniform(0.0, 2.0), dice.choice(_GARBAGE)) for _ in range(6))
    faults = Faults(raw_messages=tuple(sorted(messages, key=lambda message: message[0])))
    return Plan("sends garbage", _silent(2_500), {"faults": faults})


def _forged_webhook(dice: random.Random) -> Plan:
    signing = dice.choice((Signing.WRONG, Signing.MISSING))
    options = {"faults": Faults(webhook_signing=signing)}
    return Plan("forged webhook", _silent(1_000), options, admitted=False)


def _forged_socket(dice: random.Random) -> Plan:
    signing = dice.choice((Signing.WRONG, Signing.MISSING))
    return Plan("forged socket", _silent(1_000), {"faults": Faults(media_signing=signing)})


def _replayed_token(_: random.Random) -> Plan:
    return Plan("replayed token", _silent(1_000), replay=True)


def _unknown_number(_: random.Random) -> Plan:
    options = {"to_number": "+12025550199"}
    return Plan("unknown number", _silent(1_000), options, admitted=False)


# Of a hundred calls; whole conversations cost a hundred times as much as the others.
_SHARES: Final[Mapping[_Maker, int]] = {
    _recorded("book_plumbing"): 1,
    _recorded("ask_for_human"): 1,
    _recorded("wrong_number"): 2,
    _outstays: 2,
    _hangs_up_silently: 20,
    _hangs_up_during_greeting: 20,
    _hangs_up_before_media: 15,
    _keys: 6,
    _dropped: 10,
    _no_stop: 5,
    _no_start: 3,
    _garbage: 4,
    _forged_webhook: 4,
    _forged_socket: 2,
    _replayed_token: 4,
    _unknown_number: 1,
}


# Ten who talk at the same time bring the engines' memory to its full size.
_RUSH: Final = ("book_plumbing", "ask_for_human", "wrong_number", "ask_for_human", "wrong_number")


def plans(calls: int, seed: int, *, rush: int = 10) -> Iterator[Plan]:
    """So many calls: first a rush of talkers, then hundreds that hold every kind in its share."""
    dice = random.Random(seed)
    for index in range(min(rush, calls)):
        yield _recorded(_RUSH[index % len(_RUSH)])(dice)
    hundred: list[_Maker] = []
    for _ in range(calls - rush):
        if not hundred:
            hundred = [maker for maker, share in _SHARES.items() for _ in range(share)]
            dice.shuffle(hundred)
        plan = hundred.pop()(dice)
        if dice.random() < 0.5:
            plan = msgspec.structs.replace(
                plan, options=plan.options | {"status_callbacks": _callbacks(dice)}
            )
        yield plan


def _callbacks(dice: random.Random) -> StatusCallbacks:
    return StatusCallbacks(
        _STATUS_URL,
        events=dice.choice((_ALL_EVENTS, ("completed",))),
        copies=dice.choice((1, 1, 2)),
        reversed=dice.random() < 0.2,
    )


class Stolen:
    """The stream parameters of the newest call that got any, for those who replay them."""

    def __init__(self) -> None:
        self.parameters = {"call": "call-0", "token": "none-yet"}

    async def make(self, box: Box, plan: Plan) -> str:
        """Make one call; returns the call id that the server gave it, "" if it gave none."""
        options = dict(plan.options)
        if plan.replay:
            options["faults"] = Faults(parameters=self.parameters)
        phone = box.phone(plan.caller(), **options)
        impatience = None
        if plan.hang_up_after_steps is not None:
            impatience = asyncio.ensure_future(_hang_up(phone, plan.hang_up_after_steps))
        await phone.call()
        if impatience is not None:
            await impatience
        if phone.parameters:
            self.parameters = phone.parameters
        return phone.parameters.get("call", "")


async def _hang_up(phone: Phone, steps: int) -> None:
    """Hang up after so many steps of the loop: no time passes before the stream is open."""
    for _ in range(steps):
        await asyncio.sleep(0)
    phone.hang_up()
