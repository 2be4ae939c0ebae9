"""The tools a conversation can ask for, by name.

`end_call` and `transfer_call` are moves of the call itself: the core carries them out once the
words before them have been heard. The others run through the `Toolbox` port.
"""

from __future__ import annotations

from voice_server.call import BOOK_ORDER, END_CALL, TRANSFER_CALL

LOOK_UP_ORDER = "look_up_order"
CANCEL_ORDER = "cancel_order"
TAKE_MESSAGE = "take_message"
SEND_SMS = "send_sms"
SEARCH_WEB = "search_web"

__all__ = [
    "BOOK_ORDER",
    "CANCEL_ORDER",
    "END_CALL",
    "LOOK_UP_ORDER",
    "SEARCH_WEB",
    "SEND_SMS",
    "TAKE_MESSAGE",
    "TRANSFER_CALL",
]
