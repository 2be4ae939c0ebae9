"""To whom an agent hands its callers over, and how."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from db.rows import AgentRow

_NUMBER: Final = re.compile(r"\+[1-9][0-9]{6,14}")
_WHISPER_MOST: Final = 300  # characters: about 20 s, while the caller waits


class TransferRules(msgspec.Struct, frozen=True):
    """`warm`: the human hears the whisper and decides. The number is never logged."""

    number: str  # E.164
    warm: bool
    whisper: str  # before what is known of the call


class _Behaviour(msgspec.Struct):
    transfer_number: object = ""
    transfer_mode: object = "blind"
    transfer_whisper: object = ""


def transfer_rules(agent: AgentRow, default_number: str = "") -> TransferRules | None:
    """The rules of the agent's `behavior_config`; None when there is nobody to hand over to.

    Odd values fall back, they never fail a call.
    """
    try:
        told = msgspec.json.decode(agent.behavior_config or "{}", type=_Behaviour)
    except msgspec.MsgspecError:
        told = _Behaviour()
    own = told.transfer_number
    number = own if isinstance(own, str) and _NUMBER.fullmatch(own) else default_number
    if not number:
        return None
    whisper = told.transfer_whisper if isinstance(told.transfer_whisper, str) else ""
    return TransferRules(number, told.transfer_mode == "warm", whisper.strip()[:_WHISPER_MOST])
