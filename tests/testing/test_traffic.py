from __future__ import annotations

import socket

import pytest

from voice_server.testing.traffic import Traffic


class Wire:
    """A listener and a connection to it, all in this process."""

    def __init__(self, *, known: bool = True) -> None:
        self.traffic = Traffic()
        self.listener = socket.create_server(("127.0.0.1", 0))
        if known:
            self.traffic.listen(self.listener.getsockname())
        self.client = socket.create_connection(self.listener.getsockname())
        self.traffic.watch(self.client)

    def accept(self) -> socket.socket:
        self.server, _ = self.listener.accept()
        self.traffic.watch(self.server)
        return self.server

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        for each in (self.client, self.listener, getattr(self, "server", self.client)):
            each.close()


def test_a_connection_is_on_its_way_until_it_is_accepted():
    with Wire() as wire:
        assert wire.traffic.in_flight == 1
        wire.accept()
        assert wire.traffic.in_flight == 0


def test_bytes_are_on_their_way_until_they_are_read():
    with Wire() as wire:
        server = wire.accept()
        wire.client.send(b"hello")
        server.send(b"you")
        assert wire.traffic.in_flight == 8
        assert server.recv(2) == b"he"
        assert wire.client.recv_into(bytearray(10)) == 3
        assert wire.traffic.in_flight == 3
        assert server.recv(10) == b"llo"
        assert wire.traffic.in_flight == 0


def test_bytes_sent_before_the_accept_count():
    with Wire() as wire:
        wire.client.sendmsg([b"ab", b"c"])
        assert wire.traffic.in_flight == 4
        assert wire.accept().recv(10) == b"abc"
        assert wire.traffic.in_flight == 0


@pytest.mark.parametrize("end", [lambda s: s.shutdown(socket.SHUT_WR), lambda s: s.close()])
def test_the_end_of_a_stream_is_on_its_way_until_it_is_seen(end):
    with Wire() as wire:
        server = wire.accept()
        wire.client.send(b"bye")
        end(wire.client)
        assert wire.traffic.in_flight == 4
        assert server.recv(10) == b"bye"
        assert wire.traffic.in_flight == 1
        assert server.recv(10) == b""
        assert wire.traffic.in_flight == 0


def test_what_a_closed_end_will_never_read_does_not_count():
    with Wire() as wire:
        server = wire.accept()
        wire.client.send(b"unread")
        server.close()
        assert wire.traffic.in_flight == 1  # its goodbye to the client
        with pytest.raises(ConnectionResetError):
            wire.client.recv(10)
        assert wire.traffic.in_flight == 0
        wire.client.close()
        assert wire.traffic.in_flight == 0


def test_nothing_to_read_yet_changes_nothing():
    with Wire() as wire:
        wire.accept()
        wire.client.setblocking(False)
        wire.server.send(b"x")
        assert wire.client.recv(1) == b"x"
        with pytest.raises(BlockingIOError):
            wire.client.recv(1)
        assert wire.traffic.in_flight == 0


def test_a_reader_who_pauses_is_given_up_until_it_reads_again():
    with Wire() as wire:
        server = wire.accept()
        wire.client.send(b"abc")
        wire.traffic.give_up()
        assert wire.traffic.in_flight == 0
        wire.client.send(b"def")
        assert wire.traffic.in_flight == 0
        assert server.recv(10) == b"abcdef"
        wire.client.send(b"g")
        assert wire.traffic.in_flight == 1


def test_bytes_to_a_stranger_do_not_count():
    with Wire(known=False) as wire:
        wire.client.send(b"hello")
        assert wire.traffic.in_flight == 0


def test_a_client_that_is_known_late_is_counted_from_then_on():
    traffic = Traffic()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
        traffic.watch(server)
        server.send(b"early")
        assert traffic.in_flight == 0
        traffic.watch(client)
        server.send(b"late")
        assert traffic.in_flight == 4
        assert client.recv(20) == b"earlylate"
        assert traffic.in_flight == 0
        client.close()
        server.close()


def test_sockets_without_a_peer_or_an_address_are_left_alone():
    traffic = Traffic()
    ours, theirs = socket.socketpair()
    lonely = socket.socket()
    for each in (ours, lonely):
        traffic.watch(each)
        assert type(each) is socket.socket
    traffic.listen("/a/unix/path")
    for each in (ours, theirs, lonely):
        each.close()
    assert traffic.in_flight == 0
