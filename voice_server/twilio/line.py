"""The way to the caller's ear: a purgeable queue in front of one sender.

Speech comes faster than it can be played. What has gone to Twilio can only be taken back by
a `clear`, so at most `lead_s` of it is there at any time; the rest waits here, where dropping
it is free. A lead of seconds outlasts any hiccup of ours, and Twilio's own connection has
been seen to break on long unpaced bursts (its error 31924).
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from enum import Enum
from typing import Final, TypeAlias

from starlette.types import Send

from voice_server.twilio.wire import FrameWriter

LEAD_S: Final = 4.0
BYTES_PER_S: Final = 8_000
PIECE: Final = 1_600  # bytes in one frame: 200 ms, so a clear never waits behind a long write
MAX_WAITING: Final = 300 * BYTES_PER_S
MAX_ITEMS: Final = 20_000


class _Order(Enum):
    CLEAR = "clear"


_Item: TypeAlias = bytes | str | _Order  # audio, a mark's name, or an order


class StreamLine:
    """One media stream towards the caller; a `ports.PhoneLine`.

    `play`, `mark` and `clear` never wait. When more than five minutes of speech pile up the
    line closes itself: dropping audio would make the marks behind it lie. `take` yields the frames
    in order; it is told the time and does no I/O.
    """

    __slots__ = ("_closed", "_frames", "_items", "_lead_s", "_played_at", "_waiting", "_wake",
                 "ready_at", "sent_bytes")  # fmt: skip

    def __init__(self, stream_sid: str, *, lead_s: float = LEAD_S) -> None:
        self._frames = FrameWriter(stream_sid)
        self._lead_s = lead_s
        self._items: deque[_Item] = deque()
        self._waiting = 0  # bytes of audio in _items
        self._played_at = 0.0  # when Twilio will have played all it was sent
        self._wake = asyncio.Event()
        self._closed = False
        self.ready_at = math.inf  # when `take` has something again; infinity = nothing waits
        self.sent_bytes = 0

    def play(self, mulaw: bytes) -> None:
        """Queue audio."""
        if self._closed:
            return
        self._waiting += len(mulaw)
        for start in range(0, len(mulaw), PIECE):
            self._append_audio(mulaw[start : start + PIECE])
        self._changed()

    def mark(self, name: str) -> None:
        """Queue a mark."""
        if self._closed:
            return
        self._items.append(name)
        self._changed()

    def clear(self) -> None:
        """Drop what waits here and have Twilio drop what waits there.

        Marks that waited here never come back; those Twilio has come back at once.
        """
        if self._closed:
            return
        self._items.clear()
        self._waiting = 0
        self._items.append(_Order.CLEAR)
        self._changed()

    def close(self) -> None:
        """The stream is over: forget everything, take nothing more, end `pump`."""
        self._closed = True
        self._items.clear()
        self._waiting = 0
        self._wake.set()

    def take(self, now: float) -> str | None:
        """The next frame to send at `now` (s), or None until `ready_at` or a new order."""
        item = self._items[0] if self._items else None
        self.ready_at = math.inf
        if item is None:
            return None
        if isinstance(item, bytes):
            self._played_at = max(self._played_at, now)
            if self._played_at - now >= self._lead_s:
                self.ready_at = self._played_at - self._lead_s + PIECE / BYTES_PER_S
                return None
            return self._take_audio(item)
        self._items.popleft()
        if isinstance(item, str):
            return self._frames.mark(item)
        self._played_at = now
        return self._frames.clear

    async def pump(self, send: Send) -> None:
        """Send for as long as the stream lives; returns once it is closed.

        Raises OSError when the socket is gone.
        """
        time = asyncio.get_running_loop().time
        while not self._closed:
            frame = self.take(time())
            if frame is None:
                await self._rest(self.ready_at - time())
            else:
                await send({"type": "websocket.send", "text": frame})

    async def _rest(self, delay_s: float) -> None:
        self._wake.clear()
        try:
            async with asyncio.timeout(None if delay_s == math.inf else delay_s):
                await self._wake.wait()
        except TimeoutError:
            pass  # time for the next piece

    def _append_audio(self, piece: bytes) -> None:
        last = self._items[-1] if self._items else None
        if isinstance(last, bytes) and len(last) + len(piece) <= PIECE:
            self._items[-1] = last + piece  # a voice may deliver in crumbs
        else:
            self._items.append(piece)

    def _take_audio(self, piece: bytes) -> str:
        self._items.popleft()
        self._waiting -= len(piece)
        self._played_at += len(piece) / BYTES_PER_S
        self.sent_bytes += len(piece)
        return self._frames.media(piece)

    def _changed(self) -> None:
        if self._waiting > MAX_WAITING or len(self._items) > MAX_ITEMS:
            self.close()
        self._wake.set()
