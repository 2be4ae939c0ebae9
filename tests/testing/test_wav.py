from __future__ import annotations

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_server.testing import wav
from voice_server.testing.wav import WavError


@given(st.lists(st.binary(max_size=400), min_size=1, max_size=3))
def test_what_is_written_is_read_back_with_short_channels_filled_up(tmp_path_factory, channels):
    path = tmp_path_factory.mktemp("wav") / "x.wav"
    wav.write(path, *channels)
    length = max(map(len, channels))
    assert wav.read(path).channels == tuple(each.ljust(length, b"\xff") for each in channels)


def test_the_header_says_mu_law_at_8000_hz(tmp_path):
    path = tmp_path / "x.wav"
    wav.write(path, b"\x00" * 8000, b"\x01" * 8000)
    content = path.read_bytes()
    assert content[:4] == b"RIFF"
    assert struct.unpack_from("<I", content, 4)[0] == len(content) - 8
    assert struct.unpack_from("<HHIIHHH", content, 20) == (7, 2, 8000, 16000, 2, 8, 0)
    assert wav.read(path).duration_ms == 1000


def chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + b"\x00" * (len(body) % 2)


def riff(*chunks: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", 4 + sum(map(len, chunks))) + b"WAVE" + b"".join(chunks)


def fmt(encoding=7, channels=1, rate=8000, bits=8) -> bytes:
    return chunk(b"fmt ", struct.pack("<HHIIHH", encoding, channels, rate, rate, 1, bits))


def test_other_chunks_are_skipped(tmp_path):
    path = tmp_path / "x.wav"
    path.write_bytes(riff(fmt(), chunk(b"LIST", b"odd"), chunk(b"data", b"abc")))
    assert wav.read(path).channels == (b"abc",)


def test_a_file_cut_short_yields_what_is_there(tmp_path):
    path = tmp_path / "x.wav"
    path.write_bytes(riff(fmt(channels=2), chunk(b"data", b"abababab"))[:-3])
    assert wav.read(path).channels == (b"aa", b"bb")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "not a WAV"),
        (b"ID3 something", "not a WAV"),
        (riff(fmt(encoding=1, bits=16), chunk(b"data", b"ab")), "format 1, 1 channels, 8000 Hz"),
        (riff(fmt(rate=16000), chunk(b"data", b"ab")), "16000 Hz"),
        (riff(fmt(channels=0), chunk(b"data", b"ab")), "0 channels"),
        (riff(chunk(b"fmt ", b"short"), chunk(b"data", b"ab")), "cut short"),
        (riff(fmt()), "no data chunk"),
        (riff(chunk(b"data", b"ab")), "no fmt chunk"),
    ],
)
def test_anything_else_is_refused_with_the_reason(tmp_path, content, complaint):
    path = tmp_path / "x.wav"
    path.write_bytes(content)
    with pytest.raises(WavError, match=complaint):
        wav.read(path)


@given(st.binary(max_size=200))
def test_garbage_never_raises_anything_else(tmp_path_factory, garbage):
    path = tmp_path_factory.mktemp("wav") / "x.wav"
    path.write_bytes(b"RIFF\x00\x00\x00\x00WAVE" + garbage)
    with suppress(WavError):
        wav.read(path)
