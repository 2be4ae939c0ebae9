"""The journal of a call: every event with its time, and what the core answered.

A file is five bytes of magic and one zlib stream of msgpack values, each behind its length
(four bytes, big-endian): a `Header`, then one `Entry` per event. The stream is flushed at sync
points, so a journal cut short by a crash reads up to the last of them. Audio is optional:
without it the loudness of each frame and the length of each piece of speech remain, and the
call still replays exactly.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import msgspec

from voice_server.call import commands as c
from voice_server.call import events as e
from voice_server.call.policy import Policy
from voice_server.errors import JournalError
from voice_server.ports import CallFacts

MAGIC = b"VSJ1\n"
_SYNC_BYTES = 64 * 1024
_READ_BYTES = 256 * 1024
_FAST = 1  # zlib level: mu-law hardly shrinks, so spend little on it
_SILENCE = b"\xff"

Essence = tuple[Any, ...]  # a command as stored: its tag and what identifies it


class Header(msgspec.Struct, frozen=True, array_like=True):
    """What a call began with."""

    facts: CallFacts
    policy: Policy
    media: bool  # whether audio is in the journal


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """One event: ms since the one before, the event, and the commands it led to.

    A frame that was merely passed on to the transcriber has no essences.
    """

    after_ms: int
    event: e.Event
    commands: tuple[Essence, ...] = ()


_encoder = msgspec.msgpack.Encoder()
_header_decoder = msgspec.msgpack.Decoder(Header)
_entry_decoder = msgspec.msgpack.Decoder(Entry)
_T = TypeVar("_T")


def _frame(into: bytearray, value: object) -> None:
    encoded = _encoder.encode(value)
    into += len(encoded).to_bytes(4, "big")
    into += encoded


def _crc(value: object) -> int:
    return zlib.crc32(_encoder.encode(value))


def essence(command: c.Command) -> Essence:
    """What identifies a command, without its bulk: checksums stand for audio-sized parts."""
    match command:
        case c.Transcribe():
            return (1,)
        case c.Play(mulaw=mulaw):
            return (7, len(mulaw))
        case c.Think(turn=turn, history=history):
            return (3, turn, len(history), _crc(history))
        case c.Publish(state=state):
            return (16, state.sequence, _crc(state))
        case c.RecordRisk(assessment=assessment, segments=segments, final=final):
            return (13, final, assessment.severity.value, _crc((assessment, segments)))
        case _:
            decoded: list[Any] = msgspec.msgpack.decode(_encoder.encode(command))
            return tuple(decoded)


def essences(event: e.Event, commands: Sequence[c.Command]) -> tuple[Essence, ...]:
    """The essences of an event's commands, in the form of `Entry.commands`."""
    if type(event) is e.AudioHeard and len(commands) == 1:
        return ()
    return tuple(essence(command) for command in commands)


def _without_audio(event: e.Event) -> e.Event:
    if type(event) is e.AudioHeard:
        return e.AudioHeard(b"", event.loudness, event.media_ms)
    if type(event) is e.SpeechReady:
        return e.SpeechReady(event.turn, _SILENCE * len(event.mulaw), event.text)
    if type(event) is e.InterjectionReady:
        return e.InterjectionReady(event.text, _SILENCE * len(event.mulaw))
    return event


class JournalWriter:
    """Writes one journal. `append` costs some µs; the disk is touched once per 64 KiB or line."""

    def __init__(self, path: Path, header: Header) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._media = header.media
        self._file: BinaryIO = path.open("xb")
        path.chmod(0o600)
        self._zlib = zlib.compressobj(_FAST)
        self._file.write(MAGIC)
        self._pending = bytearray()
        _frame(self._pending, header)
        self._now = 0

    @property
    def name(self) -> str:
        """Where the journal lies."""
        return str(self.path)

    def append(self, now: int, event: e.Event, commands: Sequence[c.Command]) -> None:
        """Note an event and its commands; a line of the transcript makes a sync point."""
        kept = event if self._media else _without_audio(event)
        entry = Entry(now - self._now, kept, essences(event, commands))
        self._now = now
        _frame(self._pending, entry)
        if len(self._pending) >= _SYNC_BYTES or any(type(m) is c.Record for m in commands):
            self._sync()

    def _sync(self) -> None:
        self._file.write(self._zlib.compress(self._pending))
        self._file.write(self._zlib.flush(zlib.Z_SYNC_FLUSH))
        self._file.flush()
        self._pending.clear()

    def close(self) -> None:
        """Finish the file; a second close does nothing."""
        if self._file.closed:
            return
        try:
            self._sync()
            self._file.write(self._zlib.flush(zlib.Z_FINISH))
        finally:
            self._file.close()


class Journal:
    """A journal opened for reading: `header`, then iterate over the entries once.

    `cut_short` tells, after the iteration, that the file has no end: the server was killed,
    or the call still runs. Raises `JournalError` for anything that is not a journal.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.cut_short = False
        self._frames = self._read()
        first = next(self._frames, None)
        if first is None:
            raise JournalError(f"{path}: an empty journal; the call left nothing to replay")
        self.header = self._decode(_header_decoder, first)

    def __iter__(self) -> Iterator[Entry]:
        for frame in self._frames:
            yield self._decode(_entry_decoder, frame)

    def _decode(self, decoder: msgspec.msgpack.Decoder[_T], frame: bytes) -> _T:
        try:
            return decoder.decode(frame)
        except msgspec.MsgspecError as error:
            raise JournalError(f"{self.path}: written by another version ({error})") from None

    def _read(self) -> Iterator[bytes]:
        inflate = zlib.decompressobj()
        waiting = b""
        with self.path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise JournalError(f"{self.path}: not a journal of this server's version")
            while packed := file.read(_READ_BYTES):
                try:
                    waiting += inflate.decompress(packed)
                except zlib.error:
                    raise JournalError(f"{self.path}: damaged; restore it from a copy") from None
                done = 0
                while len(waiting) - done >= 4:
                    end = done + 4 + int.from_bytes(waiting[done : done + 4], "big")
                    if end > len(waiting):
                        break
                    yield waiting[done + 4 : end]
                    done = end
                waiting = waiting[done:]
        self.cut_short = not inflate.eof or bool(waiting)
