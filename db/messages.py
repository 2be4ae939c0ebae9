"""Keeps messages that callers leave, as events of their calls."""

from __future__ import annotations

from hashlib import sha256

import msgspec

from db.pool import Pool

_KIND = "message"


class NewMessage(msgspec.Struct, frozen=True):
    """A message to be kept. `key` makes keeping it twice the same as keeping it once."""

    key: str
    call_id: str
    text: str
    name: str = ""
    phone: str = ""
    order_id: str = ""


class PostgresMessages:
    """The messages of callers."""

    __slots__ = ("_pool",)

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def keep(self, message: NewMessage) -> bool:
        """Keep a message; False when the call is not stored (yet). Raises `StoreUnavailable`."""
        data = msgspec.json.encode(
            {
                "text": message.text.replace("\x00", ""),
                "name": message.name.replace("\x00", ""),
                "phone": message.phone.replace("\x00", ""),
                "order_id": message.order_id.replace("\x00", ""),
            }
        ).decode()
        async with self._pool.server() as connection:
            known = await connection.fetchval(
                "SELECT EXISTS (SELECT FROM call_sessions WHERE id = $1)", message.call_id
            )
            if known:
                await connection.execute(
                    """
                    INSERT INTO call_events (call_id, sequence, kind, data)
                    VALUES ($1, $2, $3, $4::jsonb) ON CONFLICT DO NOTHING
                    """,
                    message.call_id,
                    _sequence(message.key),
                    _KIND,
                    data,
                )
        return bool(known)


def _sequence(key: str) -> int:
    """A place of its own for every key: the row's primary key, not an order in time."""
    return int.from_bytes(sha256(key.encode()).digest()[:8], "big") >> 1
