from __future__ import annotations

from collections import Counter

import pytest

from benchmarks.soak.population import plans


def kinds(calls: int, seed: int = 1, *, rush: int = 0) -> Counter[str]:
    return Counter(plan.kind for plan in plans(calls, seed, rush=rush))


def test_each_hundred_holds_every_kind_in_its_share() -> None:
    one = kinds(100)
    assert one.total() == 100
    assert kinds(300) == Counter({kind: 3 * share for kind, share in one.items()})


@pytest.mark.parametrize("seed", range(5))
def test_the_dice_change_the_order_but_not_the_shares(seed: int) -> None:
    assert kinds(100, seed) == kinds(100)


def test_the_same_seed_makes_the_same_calls() -> None:
    first, second = (list(plans(200, 7)) for _ in range(2))
    assert [(p.kind, p.options) for p in first] == [(p.kind, p.options) for p in second]


def test_a_soak_begins_with_a_rush_of_talkers() -> None:
    first = [plan.kind for plan in plans(40, 1, rush=10)][:10]
    assert set(first) == {"book_plumbing", "ask_for_human", "wrong_number"}
    assert sum(1 for _ in plans(40, 1, rush=10)) == 40
    assert sum(1 for _ in plans(4, 1, rush=10)) == 4
