"""How many SMS segments a text takes, which is what the carrier bills.

GSM 03.38: 160 septets in one message, 153 in each of several; characters of the extension table
take two. A single character outside both tables turns the whole text into UCS-2, with 70 and
67 units.
"""

from __future__ import annotations

from typing import Final

_BASIC: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED: Final = frozenset("\f^{}\\[~]|€")


def segments(text: str) -> int:
    """Segments of a message body; an empty one takes one."""
    if all(character in _BASIC or character in _EXTENDED for character in text):
        widths, alone, joined = [2 if c in _EXTENDED else 1 for c in text], 160, 153
    else:
        widths, alone, joined = [2 if ord(c) > 0xFFFF else 1 for c in text], 70, 67
    if sum(widths) <= alone:
        return 1
    count, room = 1, joined
    for width in widths:  # a character of two units is never torn apart
        if width > room:
            count, room = count + 1, joined
        room -= width
    return count
