"""How the weight of evidence is fitted to conversations that the classifier did not learn from."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from detectors.fusion import Evidence, fuse
from detectors.fusion_fit import calibrated, fit_fusion
from detectors.left_out import Heard, Moment
from models.scam.manifest import Fusion
from models.scam.operating_points import PRIOR

SIGNED = {"bias", "opening", "silence", "answered", "length"}


def call(
    number: int, *, scam: bool, margin: float = 0.0, pattern: float = 0.0, **more: object
) -> Heard:
    """A call of four moments whose evidence grows."""
    moments = [
        Moment(
            part * 5.0,
            (Evidence(margin * part / 4, pattern * part / 4, 0.0, 0.0, 12 * part, 1.0, 10 * part),),
        )
        for part in range(1, 5)
    ]
    known = {"source": "made", "origin": "made", "cluster": f"{number}", **more}
    return Heard(id=f"{number}", scam=scam, moments=tuple(moments), **known)  # type: ignore[arg-type]


def risk(fusion: Fusion, **evidence: float) -> float:
    whole = msgspec.structs.replace(Evidence(0.0, 0.0, 0.0, 0.0, 48, 1.0, 40), **evidence)
    return fuse(whole, fusion).risk


@pytest.fixture(scope="module")
def told_by_margin() -> list[Heard]:
    """Scams have higher margins; phrases say nothing, they are as frequent in either."""
    rng = np.random.default_rng(1)
    return [
        call(
            n,
            scam=n % 2 == 0,
            margin=rng.normal(1.5 if n % 2 == 0 else -0.5),
            pattern=rng.exponential(),
        )
        for n in range(300)
    ]


def test_what_tells_scams_apart_weighs_more_than_what_does_not(
    told_by_margin: list[Heard],
) -> None:
    fusion = fit_fusion(told_by_margin, PRIOR)
    assert fusion.odd_later > PRIOR.odd_later
    assert fusion.phrases_later < PRIOR.phrases_later
    assert risk(fusion, margin=2.5) > risk(fusion, margin=-1.0)


def test_no_evidence_speaks_against_a_scam(told_by_margin: list[Heard]) -> None:
    upside_down = [msgspec.structs.replace(each, scam=not each.scam) for each in told_by_margin]
    fitted = msgspec.structs.asdict(fit_fusion(upside_down, PRIOR))
    assert all(slope >= 0 for name, slope in fitted.items() if name not in SIGNED)


def test_the_same_conversations_give_the_same_weights(told_by_margin: list[Heard]) -> None:
    assert fit_fusion(told_by_margin, PRIOR) == fit_fusion(told_by_margin, PRIOR)


def test_the_last_risks_are_shares_of_scams(told_by_margin: list[Heard]) -> None:
    fusion = fit_fusion(told_by_margin, PRIOR)
    risks = [fuse(each.moments[-1].parties[0], fusion).risk for each in told_by_margin]
    assert np.mean(risks) == pytest.approx(0.5, abs=0.01)


def test_calibration_keeps_the_order_of_risks(told_by_margin: list[Heard]) -> None:
    moved = calibrated(told_by_margin, PRIOR)
    parties = [each.moments[-1].parties[0] for each in told_by_margin]
    before, after = ([fuse(party, fusion).risk for party in parties] for fusion in (PRIOR, moved))
    assert np.array_equal(np.argsort(before), np.argsort(after))


def test_many_copies_of_a_campaign_weigh_as_one(told_by_margin: list[Heard]) -> None:
    loud = call(1_000, scam=False, margin=6.0)
    once = fit_fusion([*told_by_margin, loud], PRIOR)
    copies = [msgspec.structs.replace(loud, id=f"copy {n}") for n in range(9)]
    often = fit_fusion([*told_by_margin, loud, *copies], PRIOR)
    assert often.odd_later == pytest.approx(once.odd_later, rel=0.25)


def test_the_victim_of_a_scam_is_no_scammer() -> None:
    scammer = Evidence(2.0, 3.0, 0.0, 0.0, 60, 1.0, 60)
    victim = Evidence(-1.0, 0.0, 0.0, 0.0, 60, 1.0, 60)
    honest = [call(n, scam=False, margin=-1.0) for n in range(20)]

    def scam(number: int, *parties: Evidence) -> Heard:
        return Heard(f"s{number}", "made", "made", f"s{number}", True, (Moment(20.0, parties),))

    alone = fit_fusion([*honest, *(scam(n, scammer) for n in range(20))], PRIOR)
    both = fit_fusion([*honest, *(scam(n, victim, scammer) for n in range(20))], PRIOR)
    assert msgspec.structs.astuple(both) == pytest.approx(msgspec.structs.astuple(alone), rel=1e-3)


def test_one_label_alone_is_refused() -> None:
    with pytest.raises(ValueError, match="scam and benign"):
        fit_fusion([call(1, scam=True, margin=1.0)], PRIOR)


def test_a_call_in_which_nobody_spoke_teaches_nothing(told_by_margin: list[Heard]) -> None:
    silent = Heard("silent", "made", "made", "silent", True, ())
    assert fit_fusion([*told_by_margin, silent], PRIOR) == fit_fusion(told_by_margin, PRIOR)
