from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_server.twilio.desk import CarrierStatus, StatusChange
from voice_server.twilio.status import Stale, StatusBook


def told(book: StatusBook, status: str, sequence: int | None = None, **more: str) -> object:
    fields = {"CallStatus": status, **more}
    if sequence is not None:
        fields["SequenceNumber"] = str(sequence)
    found = book.enter("CA1", fields)
    return found.status.value if isinstance(found, StatusChange) else found


LIFE = [("initiated", 0), ("ringing", 1), ("in-progress", 2), ("completed", 3)]


@pytest.mark.parametrize("order", list(itertools.permutations(LIFE)))
def test_in_whatever_order_they_come_statuses_only_move_forward_and_reach_the_end(order):
    book = StatusBook()
    news = [status for status, number in order if told(book, status, number) == status]
    ranks = [[name for name, _ in LIFE].index(status) for status in news]
    assert ranks == sorted(ranks)
    assert news[-1] == "completed"


def test_a_repeated_callback_is_news_once():
    book = StatusBook()
    assert told(book, "ringing", 1) == "ringing"
    assert told(book, "ringing", 1) is Stale.REPEATED
    assert told(book, "completed", 2) == "completed"
    assert told(book, "completed", 2) is Stale.REPEATED


def test_a_callback_overtaken_by_a_later_one_is_dropped():
    book = StatusBook()
    told(book, "in-progress", 2)
    assert told(book, "ringing", 1) is Stale.OVERTAKEN


def test_a_further_status_with_an_older_number_is_dropped():
    book = StatusBook()
    told(book, "ringing", 5)
    assert told(book, "in-progress", 4) is Stale.OVERTAKEN


@pytest.mark.parametrize("final", ["completed", "busy", "failed", "no-answer", "canceled"])
@pytest.mark.parametrize("later", ["queued", "in-progress", "completed", "failed"])
def test_a_final_status_stays(final, later):
    book = StatusBook()
    assert told(book, final, 1) == final
    assert told(book, later, 9) in {Stale.AFTER_THE_END, Stale.REPEATED}


def test_a_final_status_counts_even_if_its_number_is_old_or_missing():
    book = StatusBook()
    told(book, "in-progress", 7)
    assert told(book, "completed", 3) == "completed"
    other = StatusBook()
    told(other, "in-progress", 7)
    assert told(other, "completed") == "completed"


def test_without_numbers_the_statuses_themselves_give_the_order():
    book = StatusBook()
    assert told(book, "ringing") == "ringing"
    assert told(book, "initiated") is Stale.OVERTAKEN
    assert told(book, "in-progress") == "in-progress"


@pytest.mark.parametrize("status", ["", "answered", "COMPLETED", "in progress"])
def test_a_word_twilio_does_not_document_changes_nothing(status):
    assert told(StatusBook(), status, 1) is Stale.UNKNOWN_STATUS


@pytest.mark.parametrize(
    ("said", "seconds"), [("42", 42), ("0", 0), ("", -1), ("-3", -1), ("4.5", -1), ("9" * 40, -1)]
)
def test_the_duration_is_whole_seconds_or_unknown(said, seconds):
    change = StatusBook().enter("CA1", {"CallStatus": "completed", "CallDuration": said})
    assert change == StatusChange("CA1", CarrierStatus.COMPLETED, seconds)


def test_calls_do_not_see_each_other():
    book = StatusBook()
    told(book, "completed", 3)
    assert isinstance(book.enter("CA2", {"CallStatus": "ringing"}), StatusChange)


def test_the_call_longest_unheard_of_makes_room():
    book = StatusBook(capacity=2)
    for sid, status in [("A", "ringing"), ("B", "ringing"), ("A", "in-progress"), ("C", "ringing")]:
        assert isinstance(book.enter(sid, {"CallStatus": status}), StatusChange)
    assert book.enter("A", {"CallStatus": "ringing"}) is Stale.OVERTAKEN
    assert isinstance(book.enter("B", {"CallStatus": "initiated"}), StatusChange)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([*(status.value for status in CarrierStatus), "junk", ""]),
            st.sampled_from(["", "0", "1", "2", "3", "-1", "x", "²"]),
        )
    )
)
def test_no_mix_of_callbacks_moves_a_call_back_or_past_its_end(callbacks):
    book, seen = StatusBook(), []
    for status, number in callbacks:
        found = book.enter("CA1", {"CallStatus": status, "SequenceNumber": number})
        if isinstance(found, StatusChange):
            seen.append(found.status)
    order = list(CarrierStatus)
    assert [order.index(status) for status in seen] == sorted({order.index(one) for one in seen})
    assert not any(status.is_final for status in seen[:-1])
