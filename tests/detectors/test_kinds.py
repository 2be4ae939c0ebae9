"""How scams and their tactics are called."""

from __future__ import annotations

import pytest

from detectors.detector import ScamDetector, ScamModel
from detectors.kinds import TACTICS, TYPES, scam_type, tactics
from detectors.phrases import PHRASES, Phrase
from tests.detectors.speech import BOOKING, ROBOCALL, conversation

BY_NAME = {phrase.name: phrase for phrase in PHRASES}


def heard(*names: str, weight: float = 0.5) -> list[tuple[Phrase, float]]:
    return [(BY_NAME[name], weight) for name in names]


def test_every_phrase_leads_to_a_known_kind_and_tactic() -> None:
    for phrase in PHRASES:
        if phrase.scam_type:
            assert scam_type({phrase.scam_type: 1.0}) in TYPES, phrase.name
        assert set(tactics([(phrase, 0.5)], ())) <= TACTICS, phrase.name


@pytest.mark.parametrize(
    ("points", "kind"),
    [
        ({}, "other"),
        ({"utility": 2.0}, "other"),
        ({"government": 1.0, "refund": 0.5}, "government_tax"),
        ({"impersonation": 0.4, "robocall": 3.0}, "bank_impersonation"),
        ({"loan": 1.0, "warranty": 1.0}, "robocall"),
    ],
)
def test_the_kind_with_most_points_is_named_and_a_topic_beats_the_medium(
    points: dict[str, float], kind: str
) -> None:
    assert scam_type(points) == kind


@pytest.mark.parametrize(
    ("phrase", "tactic"),
    [
        ("gift_card_payment", "gift_card"),
        ("crypto", "crypto"),
        ("safe_account", "wire"),
        ("one_time_code", "one_time_code"),
        ("asks_password", "credential_request"),
        ("remote_tool", "remote_access"),
        ("do_not_tell", "secrecy"),
        ("do_not_hang_up", "isolation"),
        ("must_act", "urgency"),
        ("arrest_warrant", "threat"),
        ("tax_office", "authority"),
        ("favour_done", "reciprocity"),
    ],
)
def test_a_phrase_shows_its_tactic(phrase: str, tactic: str) -> None:
    assert tactics(heard(phrase), ()) == (tactic,)


def test_lures_and_harmless_contexts_show_none() -> None:
    assert tactics(heard("prize", "press_to_act"), ()) == ()
    assert tactics(heard("one_time_code", weight=0.05), ()) == ()


def test_the_strongest_tactic_comes_first() -> None:
    mixed = [(BY_NAME["hurry"], 0.15), (BY_NAME["arrest_warrant"], 0.75)]
    assert tactics(mixed, ["refuses_callback", "monologue"]) == ("threat", "urgency", "isolation")


def test_an_assessment_names_kind_and_tactics_only_when_something_is_odd(model: ScamModel) -> None:
    odd = ScamDetector(model).feed(conversation(*ROBOCALL))
    assert odd.scam_type == "government_tax"
    assert {"threat", "authority"} <= set(odd.tactics)
    calm = ScamDetector(model).feed(conversation(*BOOKING))
    assert (calm.scam_type, calm.tactics) == ("", ())
