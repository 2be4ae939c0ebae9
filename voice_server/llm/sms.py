"""How many segments a text message is billed as."""

from __future__ import annotations

# The GSM 03.38 alphabet; the second string's characters count twice.
_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = frozenset("^{}\\[~]|€\f")


def segments(body: str) -> int:
    """Segments of a message: 160 (then 153) GSM characters each, 70 (then 67) of any other."""
    if all(letter in _BASIC or letter in _EXTENDED for letter in body):
        length = len(body) + sum(letter in _EXTENDED for letter in body)
        single, joined = 160, 153
    else:
        length = len(body.encode("utf-16-be")) // 2
        single, joined = 70, 67
    return 1 if length <= single else -(-length // joined)
