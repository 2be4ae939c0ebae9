"""Counts the bytes on their way between sockets of one process.

A loop in virtual time may only jump when the kernel holds nothing for it. `select` shows what
has arrived, not what is about to; the difference between what one end sent and the other end
read does.
"""

from __future__ import annotations

import socket
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

_Address: TypeAlias = tuple[str, int]


class _End:
    """One end of a connection. `inbound` bytes were sent to it and not read by it yet."""

    __slots__ = ("_said_goodbye", "_stuck", "_traffic", "closed", "inbound", "ours", "peer")

    def __init__(self, traffic: Traffic) -> None:
        self._traffic = traffic
        self._said_goodbye = False
        self._stuck = False
        self.peer = self
        self.inbound = 0
        self.ours = False
        self.closed = False

    def expect(self, size: int) -> None:
        if self.ours and not self.closed and not self._stuck:
            if not self.inbound:
                self._traffic.waiting.add(self)
            self.inbound += size
            self._traffic.in_flight += size

    def read(self, size: int) -> None:
        self._stuck = False
        taken = min(size, self.inbound) if size else self.inbound
        self.inbound -= taken
        self._traffic.in_flight -= taken
        if not self.inbound:
            self._traffic.waiting.discard(self)

    def give_up(self) -> None:
        """Stop waiting for this end until it reads again: it has paused reading."""
        self.read(0)
        self._stuck = True

    def say_goodbye(self) -> None:
        """The end of the stream is on its way to the peer; it counts as one byte."""
        if not self._said_goodbye:
            self._said_goodbye = True
            self.peer.expect(1)

    def close(self) -> None:
        self.say_goodbye()
        self.read(0)
        self.closed = True


class Traffic:
    """All connections of a loop. `in_flight` is what was sent and not read, in bytes."""

    def __init__(self) -> None:
        self.in_flight = 0
        self.waiting: set[_End] = set()
        self._listening: set[int] = set()
        self._absent: dict[tuple[_Address, _Address], _End] = {}

    def listen(self, address: Any) -> None:
        """Know a listening socket by its address: connections to it have both ends here."""
        if isinstance(address, tuple):
            self._listening.add(address[1])

    def watch(self, sock: socket.socket) -> None:
        """Count what goes through a connected socket from here on; not IP: ignored."""
        if sock.family not in (socket.AF_INET, socket.AF_INET6):
            return
        try:
            here, there = _plain(sock.getsockname()), _plain(sock.getpeername())
        except OSError:
            return  # gone already; the transport will find out
        end = self._absent.pop((here, there), None)
        if end is None:
            end = self._pair((here, there))
        else:
            end.read(1)  # the connection itself has arrived
        end.ours = True
        sock.__class__ = _CountedSocket
        _ENDS[sock] = (self, end, (there, here))

    def _pair(self, key: tuple[_Address, _Address]) -> _End:
        here, there = key
        end, peer = _End(self), _End(self)
        end.peer, peer.peer = peer, end
        self._absent[(there, here)] = peer
        if there[1] in self._listening:
            peer.ours = True
            peer.expect(1)
        return end

    def forget(self, end: _End, peer_key: tuple[_Address, _Address]) -> None:
        """An end was closed. A peer of ours that was not accepted yet still gets its bytes."""
        end.close()
        if self._absent.get(peer_key) is end.peer and not end.peer.ours:
            del self._absent[peer_key]

    def give_up(self) -> None:
        """Nothing arrived although it had time: the readers have paused."""
        for end in list(self.waiting):
            end.give_up()


_ENDS: WeakKeyDictionary[socket.socket, tuple[Traffic, _End, tuple[_Address, _Address]]] = (
    WeakKeyDictionary()
)


def _plain(address: Any) -> _Address:
    return str(address[0]).removeprefix("::ffff:"), int(address[1])


class _CountedSocket(socket.socket):
    """A socket that reports to `Traffic`; takes the place of a socket's class in mid-life."""

    __slots__ = ()

    def send(self, *args: Any) -> int:
        size = super().send(*args)
        _ENDS[self][1].peer.expect(size)
        return size

    def sendmsg(self, *args: Any) -> int:
        size = super().sendmsg(*args)
        _ENDS[self][1].peer.expect(size)
        return size

    def recv(self, *args: Any) -> bytes:
        try:
            data = super().recv(*args)
        except OSError as error:
            self._failed(error)
            raise
        _ENDS[self][1].read(len(data))
        return data

    def recv_into(self, *args: Any) -> int:
        try:
            size = super().recv_into(*args)
        except OSError as error:
            self._failed(error)
            raise
        _ENDS[self][1].read(size)
        return size

    def shutdown(self, how: int) -> None:
        super().shutdown(how)
        if how != socket.SHUT_RD:
            _ENDS[self][1].say_goodbye()

    def close(self) -> None:
        super().close()
        traffic, end, peer_key = _ENDS[self]
        if not end.closed:
            traffic.forget(end, peer_key)

    def _failed(self, error: OSError) -> None:
        if not isinstance(error, BlockingIOError | InterruptedError):
            _ENDS[self][1].read(0)
