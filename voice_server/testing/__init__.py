"""The phone network in a box, and the pytest plugin.

    from voice_server.testing import Phone, ScriptedCaller, run

    phone = Phone(webhook_url, auth_token=token, caller=ScriptedCaller("leaky_tap.wav"))
    report = run(phone.call())            # virtual time; `await phone.call()` for real time

`WavCaller` plays a recording from its start, `ScriptedCaller` answers the agent as the
recording's sidecar says, `caller_for` picks the right one. A server and its phone may share
one virtual loop; wrap what waits on other processes in `hold_time` or `Unhurried`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from voice_server.testing.caller import (
        Caller,
        Conversation,
        Monologue,
        Move,
        ScriptedCaller,
        SilentCaller,
        WavCaller,
        caller_for,
    )
    from voice_server.testing.carrier import CarrierBuffer, MediaPeer
    from voice_server.testing.faults import DialResult, Faults, StatusCallbacks
    from voice_server.testing.phone import Phone
    from voice_server.testing.report import BargeIn, PhoneReport, WireProblem
    from voice_server.testing.script import Script, ScriptError, Turn
    from voice_server.testing.virtual import Unhurried, VirtualLoop, hold_time, run
    from voice_server.testing.webhook import Signing, sign

# Imported when first asked for: pytest loads this package to find the plugin, in every run.
_HOMES = {
    "BargeIn": "report",
    "Caller": "caller",
    "CarrierBuffer": "carrier",
    "Conversation": "caller",
    "DialResult": "faults",
    "Faults": "faults",
    "MediaPeer": "carrier",
    "Monologue": "caller",
    "Move": "caller",
    "Phone": "phone",
    "PhoneReport": "report",
    "Script": "script",
    "ScriptError": "script",
    "ScriptedCaller": "caller",
    "Signing": "webhook",
    "SilentCaller": "caller",
    "StatusCallbacks": "faults",
    "Turn": "script",
    "Unhurried": "virtual",
    "VirtualLoop": "virtual",
    "WavCaller": "caller",
    "WireProblem": "report",
    "caller_for": "caller",
    "hold_time": "virtual",
    "run": "virtual",
    "sign": "webhook",
}

__all__ = [
    "BargeIn",
    "Caller",
    "CarrierBuffer",
    "Conversation",
    "DialResult",
    "Faults",
    "MediaPeer",
    "Monologue",
    "Move",
    "Phone",
    "PhoneReport",
    "Script",
    "ScriptError",
    "ScriptedCaller",
    "Signing",
    "SilentCaller",
    "StatusCallbacks",
    "Turn",
    "Unhurried",
    "VirtualLoop",
    "WavCaller",
    "WireProblem",
    "caller_for",
    "hold_time",
    "run",
    "sign",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)
