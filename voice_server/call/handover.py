"""An attempt to put the caller through to a human."""

from __future__ import annotations

from voice_server.call.outcome import Outcome


class Handover:
    """How far it has come; leads to `ending` when it succeeds. `attempt` counts from 1.

    `rung`: the carrier has the caller, and nothing says that the attempt failed. `deaf`: the
    transcriber was lost meanwhile.
    """

    __slots__ = ("attempt", "deaf", "ending", "rung")

    def __init__(self, ending: Outcome, attempt: int) -> None:
        self.ending = ending
        self.attempt = attempt
        self.rung = False
        self.deaf = False
