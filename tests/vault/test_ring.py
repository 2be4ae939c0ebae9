"""Seals: what opens, what does not, and what a leaked table or log would tell."""

from __future__ import annotations

import base64
import copy
import pickle
import traceback
from uuid import UUID

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import SecretStr

from tests.vault.rings import entry, ring
from voice_server.provider_settings import Provider
from voice_server.vault import KeyRing, RingUnreadable, SealBroken

ANNA = "aaaaaaaa-0000-4000-8000-000000000001"
BERT = "bbbbbbbb-0000-4000-8000-000000000002"
KEY = SecretStr("sk-VERY-secret-material-42")
OPENAI = Provider.OPENAI

tenants = st.uuids().map(str)
providers = st.sampled_from(list(Provider))
keys = st.text(min_size=1, max_size=600).filter(lambda text: text.isprintable()).map(SecretStr)


@given(keys, tenants, providers)
def test_what_is_sealed_opens_for_its_tenant_and_provider(
    key: SecretStr, tenant: str, provider: Provider
) -> None:
    one = ring("new", "old")
    assert one.open(one.seal(key, tenant, provider), tenant, provider) == key


@given(keys, st.tuples(tenants, providers), st.tuples(tenants, providers))
def test_a_row_that_was_moved_does_not_open(
    key: SecretStr, home: tuple[str, Provider], other: tuple[str, Provider]
) -> None:
    assume(home != other)
    one = ring("new")
    with pytest.raises(SealBroken, match="another tenant or provider"):
        one.open(one.seal(key, *home), *other)


@given(st.data())
def test_a_seal_with_one_bit_changed_does_not_open(data: st.DataObject) -> None:
    one = ring("new")
    head, _, encoded = one.seal(KEY, ANNA, OPENAI).rpartition(":")
    raw = bytearray(base64.b64decode(encoded))
    bit = data.draw(st.integers(0, 8 * len(raw) - 1))
    raw[bit // 8] ^= 1 << bit % 8
    with pytest.raises(SealBroken):
        one.open(f"{head}:{base64.b64encode(raw).decode()}", ANNA, OPENAI)


@pytest.mark.parametrize(
    "sealed",
    [
        "",
        "v1",
        "v1:new",
        "v1:new:",
        "v1:new:AAAA",
        "v1:new:%%%",
        "v2:new:AAAA",
        "sealed",
        "v1::AA==",
    ],
)
def test_what_is_no_seal_does_not_open(sealed: str) -> None:
    with pytest.raises(SealBroken):
        ring("new").open(sealed, ANNA, OPENAI)


@given(st.text(max_size=200))
def test_opening_any_text_raises_nothing_else(sealed: str) -> None:
    with pytest.raises(SealBroken):
        ring("new").open(sealed, ANNA, OPENAI)


def test_a_seal_cannot_be_relabelled_to_another_master_key() -> None:
    both = ring("new", "old")
    sealed = ring("old").seal(KEY, ANNA, OPENAI)
    with pytest.raises(SealBroken):
        both.open(sealed.replace(":old:", ":new:"), ANNA, OPENAI)


def test_the_tenants_id_may_be_written_in_any_form() -> None:
    one = ring("new")
    sealed = one.seal(KEY, ANNA.upper(), OPENAI)
    assert one.open(sealed, f"{{{ANNA}}}", OPENAI) == KEY
    assert one.fingerprint(KEY, ANNA.upper(), OPENAI) == one.fingerprint(KEY, ANNA, OPENAI)


def test_old_master_keys_open_and_the_newest_seals() -> None:
    old, both = ring("old"), ring("new", "old")
    before = old.seal(KEY, ANNA, OPENAI)
    assert both.open(before, ANNA, OPENAI) == KEY
    assert not both.is_current(before)

    after = both.seal(KEY, ANNA, OPENAI)
    assert both.newest == "new"
    assert both.is_current(after)
    with pytest.raises(SealBroken, match="sealed under new, which is not in"):
        old.open(after, ANNA, OPENAI)


def test_sealing_twice_gives_two_texts() -> None:
    one = ring("new")
    assert one.seal(KEY, ANNA, OPENAI) != one.seal(KEY, ANNA, OPENAI)


def test_a_fingerprint_knows_its_key_again_also_under_an_old_master_key() -> None:
    before = ring("old").fingerprint(KEY, ANNA, OPENAI)
    both = ring("new", "old")
    assert both.is_same(before, KEY, ANNA, OPENAI)
    assert not both.is_same(before, SecretStr("sk-another-key-0001"), ANNA, OPENAI)
    assert not ring("new").is_same(before, KEY, ANNA, OPENAI)
    assert not both.is_same("hash", KEY, ANNA, OPENAI)
    assert not both.is_same("old:\u00e9", KEY, ANNA, OPENAI)


@given(keys, st.lists(st.tuples(tenants, providers), min_size=2, max_size=5, unique=True))
def test_the_same_key_elsewhere_has_another_fingerprint(
    key: SecretStr, places: list[tuple[str, Provider]]
) -> None:
    one = ring("new")
    prints = {one.fingerprint(key, *place) for place in places}
    assert len(prints) == len(places)


def test_a_fingerprint_cannot_be_made_without_the_master_key() -> None:
    mine = ring("new").fingerprint(KEY, ANNA, OPENAI)
    theirs = KeyRing.parse(SecretStr(f"new:{base64.b64encode(b'x' * 32).decode()}"))
    assert theirs.fingerprint(KEY, ANNA, OPENAI) != mine


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "key 1 has no id"),
        ("justbase64", "key 1 has no id"),
        (":AAAA", "key 1 has no id"),
        (f"{entry('a')},", "key 2 has no id"),
        (f"{entry('a')},b c:AAAA", "key 2 has no id"),
        ("a:%%%%", "key 1 is not base64"),
        ("a:AAAA", "key 1 has 3 bytes, wanted 32"),
        (f"{entry('a')},{entry('a')}", "two keys have the same id"),
    ],
)
def test_a_malformed_ring_says_which_key_and_what_to_do_and_quotes_nothing(
    text: str, problem: str
) -> None:
    with pytest.raises(RingUnreadable, match=problem) as error:
        KeyRing.parse(SecretStr(text))
    for part in ("justbase64", "%%%%", entry("a").partition(":")[2]):
        assert part not in str(error.value)


def test_blanks_around_entries_do_no_harm() -> None:
    spaced = KeyRing.parse(SecretStr(f" {entry('new')} , {entry('old')} "))
    assert spaced.open(ring("old").seal(KEY, ANNA, OPENAI), ANNA, OPENAI) == KEY


def test_no_repr_holds_key_material() -> None:
    one = ring("new", "old")
    for text in (repr(one), str(one), f"{one}", repr(one._newest), repr([one])):
        for name in ("new", "old"):
            assert entry(name).partition(":")[2] not in text
    assert repr(one) == "KeyRing(new, old)"
    assert repr(one._newest) == "_Master(new)"


def test_no_traceback_holds_the_key() -> None:
    one = ring("new")
    sealed = one.seal(KEY, ANNA, OPENAI)
    try:
        one.open(sealed, BERT, OPENAI)
    except SealBroken as error:
        text = "".join(
            traceback.TracebackException.from_exception(error, capture_locals=True).format()
        )
    assert "sk-VERY" not in text
    assert entry("new").partition(":")[2] not in text


def test_a_seal_tells_only_which_master_key_made_it() -> None:
    sealed = ring("new").seal(KEY, ANNA, OPENAI)
    version, master, encoded = sealed.split(":")
    assert (version, master) == ("v1", "new")
    raw = base64.b64decode(encoded)
    assert len(raw) == 12 + len(KEY.get_secret_value()) + 16
    assert UUID(ANNA).bytes not in raw


def test_a_ring_does_not_travel() -> None:
    with pytest.raises((TypeError, pickle.PicklingError)):
        pickle.dumps(ring("new"))
    assert copy.copy(KEY) == KEY
