"""The odd habits of a Realtime Database, as its documentation tells them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_server.testing.lab.firebase_tree import (
    BadData,
    Query,
    etag,
    path_of,
    push_id,
    replaced,
    separate,
    shallow,
    shown,
    stored,
    value_at,
)

keys = st.text(alphabet="abcXYZ019_-", min_size=1, max_size=3)
leaves = st.integers(-5, 5) | st.text(max_size=3) | st.booleans() | st.none()
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3)
)


@pytest.mark.parametrize(
    ("given_value", "kept"),
    [
        (None, None),
        ({}, None),
        ([], None),
        ({"a": None, "b": [], "c": {"d": {}}}, None),
        ({"a": 0, "b": "", "c": False}, {"a": 0, "b": "", "c": False}),
        (["x", None, "y"], {"0": "x", "2": "y"}),
        ({".value": 3, ".priority": 1}, 3),
        ({"a": 1, ".priority": 1}, {"a": 1}),
        ({".sv": "timestamp"}, 99),
        ({".sv": {"increment": 2}}, 7),
    ],
)
def test_what_is_kept_of_a_value(given_value, kept):
    assert stored(given_value, 5, 99) == kept


@pytest.mark.parametrize("old", [None, "text", True, {"a": 1}])
def test_an_increment_of_what_is_no_number_starts_from_nothing(old):
    assert stored({".sv": {"increment": 2}}, old, 0) == 2


@pytest.mark.parametrize("wanted", ["date", 3, {"decrement": 1}, {"increment": "one"}])
def test_a_server_value_that_is_none_is_refused(wanted):
    with pytest.raises(BadData):
        stored({".sv": wanted}, None, 0)


@pytest.mark.parametrize(
    ("tree", "seen"),
    [
        ({"0": "a", "1": "b"}, ["a", "b"]),
        ({"0": "a", "2": "c"}, ["a", None, "c"]),
        ({"0": "a", "9": "j"}, {"0": "a", "9": "j"}),  # too thin for a list
        ({"000001": "a"}, {"000001": "a"}),  # padded numbers are names
        ({"b": 1, "a": {"10": 1, "9": 2}}, {"a": {"9": 2, "10": 1}, "b": 1}),
    ],
)
def test_what_looks_like_a_list_comes_back_as_one(tree, seen):
    assert shown(tree) == seen


@given(values)
def test_what_was_read_can_be_written_back_and_is_the_same(value):
    tree = stored(value, None, 0)
    assert stored(shown(tree), None, 0) == tree
    assert etag(tree) == etag(stored(shown(tree), None, 0))


@given(values, st.lists(keys, min_size=1, max_size=3), values)
def test_a_write_changes_its_place_and_nothing_before_it(before, path, value):
    tree, new = stored(before, None, 0), stored(value, None, 0)
    copy = stored(before, None, 0)
    after = replaced(tree, tuple(path), new)
    assert value_at(after, path) == new
    assert tree == copy
    if isinstance(tree, dict):
        others = {key: child for key, child in tree.items() if key != path[0]}
        kept = after if isinstance(after, dict) else {}
        assert {key: child for key, child in kept.items() if key != path[0]} == others


@pytest.mark.parametrize("path", ["a.b", "a#b", "$a", "[0]", "a\nb", "x" * 769, "/".join("a" * 33)])
def test_paths_with_forbidden_signs_or_without_end_are_refused(path):
    with pytest.raises(BadData):
        path_of(path)


def test_slashes_too_many_do_no_harm():
    assert path_of("//a///b/") == ("a", "b")
    assert path_of("") == ()


def test_one_update_may_not_write_a_place_and_another_below_it():
    separate({("a", "b"): 1, ("a", "c"): 2})
    with pytest.raises(BadData):
        separate({("a", "b"): 1, ("a", "b", "c"): 2})


def test_shallow_shows_keys_alone():
    assert shallow({"b": {"c": 1}, "a": 2}) == {"a": True, "b": True}
    assert shallow("leaf") == "leaf"


@given(st.lists(st.integers(0, 1 << 45), min_size=2, unique=True))
def test_push_ids_sort_as_the_times_do(times):
    by_time = [push_id(at) for at in sorted(times)]
    assert by_time == sorted(by_time)
    assert {len(made) for made in by_time} == {20}


MIXED = {
    "none": {"other": 1},
    "no": {"v": False},
    "yes": {"v": True},
    "small": {"v": -1.5},
    "big": {"v": 7},
    "text": {"v": "a"},
    "deep": {"v": {"w": 1}},
}


@pytest.mark.parametrize(
    ("query", "chosen"),
    [
        (Query("v", first=3), {"none", "no", "yes"}),
        (Query("v", last=2), {"text", "deep"}),
        (Query("v", start_at=-2, end_at=7), {"small", "big"}),
        (Query("v", equal_to="a"), {"text"}),
        (Query("v", equal_to=True), {"yes"}),
        (Query("v/w", equal_to=1), {"deep"}),
        (Query("$key", start_at="small"), {"small", "text", "yes"}),
        (Query("$priority", first=1), {"big"}),
    ],
)
def test_queries_order_nothing_truth_numbers_texts_and_the_rest(query, chosen):
    assert set(query.answer(MIXED)) == chosen


def test_a_query_of_nothing_is_empty_and_of_a_leaf_the_leaf():
    assert Query("v").answer(None) == {}
    assert Query("v").answer(3) == 3
