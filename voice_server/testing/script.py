"""The sidecar of a recorded caller: what is said where in the wav, and when to say it.

    {"id": "leaky_tap", "file": "leaky_tap.wav", "respond": true,
     "from": "+12025550143", "to": "+12025550100",
     "turns": [{"start": 0.0, "end": 2.4, "text": "My tap is leaking."},
               {"digits": "5551234", "pause_s": 1.0},
               {"start": 3.1, "end": 4.0, "text": "Stop.", "interrupt_after_s": 0.8}]}

With `respond` the turns are spoken one by one in answer to the agent; without it the wav
simply plays from its start. Unknown fields are ignored, so corpora may carry their own.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from voice_server.errors import VoiceServerError
from voice_server.testing import wav

_KEYS = frozenset("0123456789*#ABCD")


class ScriptError(VoiceServerError):
    """A caller's script cannot be used; the message names the field and the reason."""


class Turn(msgspec.Struct, frozen=True):
    """One thing the caller says or keys in; `start` and `end` are seconds in the wav."""

    start: float = 0.0
    end: float = 0.0
    text: str = ""
    digits: str = ""
    pause_s: float = 0.0  # waits so much longer than the usual patience
    interrupt_after_s: float | None = None  # speaks so long after the agent began to


class Script(msgspec.Struct, frozen=True):
    """A caller, as its sidecar describes it."""

    id: str = ""
    file: str = ""
    turns: tuple[Turn, ...] = ()
    respond: bool = False
    hang_up: bool = True
    from_number: str = msgspec.field(name="from", default="")
    to_number: str = msgspec.field(name="to", default="")
    patience_s: float = 0.6  # silence after which the agent counts as finished
    farewell_s: float = 1.5  # silence after which the agent's closing counts as over
    max_wait_s: float = 12.0  # goes on without an answer after so long


def read_script(path: Path) -> Script:
    """The sidecar of a wav (same name, `.json`); an empty script when there is none.

    Takes the path of either file. Raises ScriptError.
    """
    sidecar = path.with_suffix(".json")
    if not sidecar.exists():
        return Script(id=path.stem, file=path.with_suffix(".wav").name)
    try:
        return msgspec.json.decode(sidecar.read_bytes(), type=Script)
    except msgspec.DecodeError as error:
        raise ScriptError(f"{sidecar.name}: {error}") from None


def read_caller(path: Path) -> tuple[Script, bytes]:
    """Script and voice (channel 0) of a caller. Raises ScriptError, WavError, OSError."""
    script = read_script(path)
    voice = wav.read(path.with_name(script.file or path.with_suffix(".wav").name)).channels[0]
    if script.respond:
        check(script, voice)
    return script, voice


def check(script: Script, voice: bytes) -> None:
    """Raises ScriptError when a turn says nothing or lies outside the wav."""
    length = len(voice) / wav.SAMPLE_RATE
    for number, turn in enumerate(script.turns, start=1):
        where = f"{script.id or 'script'}: turn {number}"
        if turn.digits and not _KEYS.issuperset(turn.digits):
            raise ScriptError(f"{where}: digits may hold 0-9, *, #, A-D only")
        if not turn.digits and turn.end <= turn.start:
            raise ScriptError(f"{where}: says nothing; set start < end, or digits")
        if not 0 <= turn.start <= turn.end <= length + 0.05:
            raise ScriptError(
                f"{where}: {turn.start}..{turn.end} s lies outside the wav ({length:.2f} s)"
            )
