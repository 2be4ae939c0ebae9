"""How many segments a text message is billed as."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_server.llm.sms import segments


@pytest.mark.parametrize(
    ("body", "count"),
    [
        ("", 1),
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("€" * 80, 1),  # counts twice
        ("€" * 81, 2),
        ("ё" * 70, 1),
        ("ё" * 71, 2),
        ("ё" * 134, 2),
        ("ё" * 135, 3),
        ("😀" * 35, 1),  # two units each
        ("😀" * 36, 2),
        ("“" + "a" * 69, 1),
        ("“" + "a" * 70, 2),
    ],
)
def test_segments(body, count):
    assert segments(body) == count


@given(st.text(max_size=500), st.text(max_size=100))
def test_more_text_never_takes_fewer_segments(body, more):
    assert segments(body) <= segments(body + more)
