"""Journals: what is written is read again, and nothing else is ever taken for one."""

from __future__ import annotations

import contextlib
import random
import signal
import stat
import subprocess
import sys
import textwrap
import zlib
from itertools import count
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detectors.assessment import Segment
from tests.runtime.fakes import CALM, FACTS, LOUD
from tests.runtime.strategies import EVENT_KINDS, EVENTS, of_type
from voice_server.call import Policy
from voice_server.call import commands as c
from voice_server.call import events as e
from voice_server.call.outcome import SILENCE
from voice_server.errors import JournalError
from voice_server.runtime.journal import (
    MAGIC,
    Entry,
    Header,
    Journal,
    JournalWriter,
    essence,
    essences,
)

HEADER = Header(FACTS, Policy(), media=True)
LINE = c.Record("caller", "My tap leaks.", "", 100, 900)
_numbers = count()


def write(folder: Path, *entries: tuple[int, e.Event, tuple[c.Command, ...]], media=True) -> Path:
    path = folder / f"{next(_numbers)}.journal"
    writer = JournalWriter(path, Header(FACTS, Policy(), media))
    for now, event, commands in entries:
        writer.append(now, event, commands)
    writer.close()
    return path


def small(folder: Path) -> Path:
    """A short journal with a bit of everything."""
    return write(
        folder,
        (0, e.MediaStarted(), ()),
        (20, e.AudioHeard(LOUD, 40, 20), (c.Transcribe(LOUD),)),
        (40, e.FinalTranscript("My tap leaks.", 1), (LINE,)),
        (60, e.SpeechReady(1, LOUD, "Hello."), (c.Play(LOUD), c.PlaceMark("m1"))),
        (80, e.MediaStopped(e.StopCause.CALLER_HUNG_UP), (c.HangUp(SILENCE),)),
    )


@pytest.mark.parametrize("kind", EVENT_KINDS, ids=lambda kind: kind.__name__)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_every_kind_of_event_comes_back_as_it_was(tmp_path, kind, data):
    event = data.draw(of_type(kind))
    [entry] = Journal(write(tmp_path, (7, event, ())))
    assert entry.event == event
    assert type(entry.event) is kind


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=st.lists(st.tuples(st.integers(0, 90_000), EVENTS), max_size=30), media=st.booleans())
def test_a_journal_holds_the_events_in_order_with_their_times(tmp_path, events, media):
    now, entries = 0, []
    for after, event in events:
        now += after
        entries.append((now, event, ()))
    journal = Journal(write(tmp_path, *entries, media=media))
    read = list(journal)
    assert [entry.after_ms for entry in read] == [after for after, _ in events]
    assert [type(entry.event) for entry in read] == [type(event) for _, event in events]
    if media:
        assert [entry.event for entry in read] == [event for _, event in events]
    assert not journal.cut_short


def test_without_media_only_the_measures_of_audio_remain(tmp_path):
    journal = Journal(
        write(
            tmp_path,
            (0, e.AudioHeard(LOUD, 40, 20), ()),
            (5, e.SpeechReady(1, LOUD, "Hi."), ()),
            media=False,
        )
    )
    heard, spoken = (entry.event for entry in journal)
    assert heard == e.AudioHeard(b"", 40, 20)
    assert spoken == e.SpeechReady(1, b"\xff" * len(LOUD), "Hi.")
    assert not journal.header.media
    assert LOUD[:16] not in zlib.decompress(journal.path.read_bytes()[len(MAGIC) :])


def test_the_header_says_what_the_call_began_with(tmp_path):
    header = Journal(small(tmp_path)).header
    assert header == HEADER


@pytest.mark.parametrize(("media", "most"), [(False, 40_000), (True, 620_000)])
def test_a_minute_of_call_takes_a_bounded_number_of_bytes(tmp_path, media, most, capsys):
    noise = random.Random(1)
    entries: list[tuple[int, e.Event, tuple[c.Command, ...]]] = []
    for frame in range(3_000):
        mulaw = noise.randbytes(160)
        heard = e.AudioHeard(mulaw, noise.randrange(40), frame * 20)
        entries.append((frame * 20, heard, (c.Transcribe(mulaw),)))
        if frame % 8 in (1, 3, 4, 6, 7):
            entries.append((frame * 20 + 12, e.VoiceScored(noise.randrange(100)), ()))
    size = write(tmp_path, *entries, media=media).stat().st_size
    with capsys.disabled():
        sys.stdout.write(f"\n  {size / 1000:.0f} kB a minute, media {'on' if media else 'off'}\n")
    assert size < most


def test_a_journal_is_its_owners_alone(tmp_path):
    path = small(tmp_path / "a" / "b")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_journal_is_never_written_over(tmp_path):
    path = small(tmp_path)
    with pytest.raises(FileExistsError):
        JournalWriter(path, HEADER)
    assert len(list(Journal(path))) == 5


def test_a_line_of_the_transcript_is_on_disk_at_once(tmp_path):
    path = tmp_path / "live.journal"
    writer = JournalWriter(path, HEADER)
    writer.append(0, e.MediaStarted(), ())
    assert path.stat().st_size <= len(MAGIC)
    writer.append(20, e.FinalTranscript("My tap leaks.", 1), (LINE,))
    journal = Journal(path)
    assert len(list(journal)) == 2
    assert journal.cut_short
    writer.append(40, e.DigitPressed("1"), ())
    assert len(list(Journal(path))) == 2
    writer.close()
    journal = Journal(path)
    assert len(list(journal)) == 3
    assert not journal.cut_short


def test_much_audio_reaches_the_disk_without_a_line(tmp_path):
    path = tmp_path / "live.journal"
    writer = JournalWriter(path, HEADER)
    for now in range(0, 20_000, 20):
        writer.append(now, e.AudioHeard(LOUD, 40, now), (c.Transcribe(LOUD),))
    assert len(list(Journal(path))) > 500
    writer.close()


def test_closing_twice_changes_nothing(tmp_path):
    path = tmp_path / "a.journal"
    writer = JournalWriter(path, HEADER)
    assert writer.name == str(path)
    writer.close()
    before = path.read_bytes()
    writer.close()
    assert path.read_bytes() == before


# Damage


def read_all(path: Path) -> tuple[list[Entry], bool]:
    journal = Journal(path)
    return list(journal), journal.cut_short


def test_cut_at_any_byte_a_journal_is_short_or_none_but_never_a_crash(tmp_path):
    whole = small(tmp_path)
    data, entries = whole.read_bytes(), list(Journal(whole))
    path = tmp_path / "cut.journal"
    longest = 0
    for size in range(len(data)):
        path.write_bytes(data[:size])
        try:
            read, cut_short = read_all(path)
        except JournalError:
            continue
        assert cut_short
        assert read == entries[: len(read)]
        longest = max(longest, len(read))
    assert longest == len(entries)


def test_a_flipped_bit_anywhere_is_never_a_crash(tmp_path):
    data = small(tmp_path).read_bytes()
    path = tmp_path / "bad.journal"
    for place in range(len(data)):
        bad = bytearray(data)
        bad[place] ^= 1 << place % 8
        path.write_bytes(bad)
        with contextlib.suppress(JournalError):
            read_all(path)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=300), magic=st.booleans(), packed=st.booleans())
def test_any_other_bytes_are_refused(tmp_path, data, magic, packed):
    path = tmp_path / "odd.journal"
    path.write_bytes((MAGIC if magic else b"") + (zlib.compress(data) if packed else data))
    with pytest.raises(JournalError):
        read_all(path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not a journal"),
        (b"VSJ", "not a journal"),
        (b"VSJ2\n" + b"x" * 50, "not a journal"),
        (b"RIFF....WAVEfmt ", "not a journal"),
        (MAGIC, "empty"),
        (MAGIC + zlib.compress(b""), "empty"),
        (MAGIC + b"\x00garbage", "damaged"),
        (MAGIC + zlib.compress(b"\0\0\0\1\xc0"), "another version"),
    ],
    ids=["empty", "half magic", "newer", "a wav", "magic alone", "no header", "noise", "header"],
)
def test_what_is_no_journal_is_named(tmp_path, content, says):
    path = tmp_path / "x.journal"
    path.write_bytes(content)
    with pytest.raises(JournalError, match=says):
        Journal(path)


def test_an_event_of_a_later_version_is_named_as_such(tmp_path):
    frames = bytearray()
    for value in (HEADER, [0, [99, "new"], []]):
        encoded = msgspec.msgpack.encode(value)
        frames += len(encoded).to_bytes(4, "big") + encoded
    path = tmp_path / "x.journal"
    path.write_bytes(MAGIC + zlib.compress(bytes(frames)))
    journal = Journal(path)
    with pytest.raises(JournalError, match="another version"):
        list(journal)


def test_a_killed_server_leaves_a_journal_up_to_its_last_line(tmp_path):
    path = tmp_path / "killed.journal"
    writing = textwrap.dedent(
        f"""
        import os, signal
        from pathlib import Path
        from tests.runtime.test_journal import HEADER, LINE, LOUD
        from voice_server.call import events as e
        from voice_server.runtime.journal import JournalWriter
        writer = JournalWriter(Path({str(path)!r}), HEADER)
        for now in range(1000):
            writer.append(now, e.AudioHeard(LOUD, 40, now), (LINE,) if now == 100 else ())
            if now == 150:
                os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", writing], cwd=root, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    read, cut_short = read_all(path)
    assert cut_short
    assert len(read) == 101


# Essences


def test_a_frame_that_is_only_passed_on_has_no_essence():
    frame = e.AudioHeard(LOUD, 40, 0)
    assert essences(frame, (c.Transcribe(LOUD),)) == ()
    assert essences(frame, (c.Transcribe(LOUD), c.Commit(1))) == ((1,), (2, 1))


def test_audio_is_not_in_an_essence():
    assert essence(c.Play(LOUD)) == (7, 160)
    assert essence(c.Transcribe(LOUD)) == (1,)


@pytest.mark.parametrize(
    ("command", "other"),
    [
        (LINE, c.Record("caller", "My tap leaks!", "", 100, 900)),
        (c.Think(1, ()), c.Think(2, ())),
        (c.Say(1, "Hello."), c.Say(1, "Hello!")),
        (c.HangUp(SILENCE), c.StopPlaying()),
        (c.PlaceMark("m1"), c.PlaceMark("m2")),
        (c.Book("a", 1, 2), c.Book("a", 1, 3)),
        (
            c.RecordRisk(CALM, (Segment(0, "caller", "Hi.", 0, 1),), final=False),
            c.RecordRisk(CALM, (Segment(0, "caller", "Ho.", 0, 1),), final=False),
        ),
    ],
)
def test_commands_that_differ_have_essences_that_differ(command, other):
    assert essence(command) != essence(other)
    assert essence(command) == essence(command)
