"""Phrases and keywords: what they find, what they leave alone, and where they point."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.assessment import Segment
from detectors.keywords import KEYWORDS
from detectors.patterns import (
    CARRIED_WORDS,
    EXCERPT_CHARS,
    Utterance,
    evidence,
    find_combinations,
    find_keywords,
    find_phrases,
    points,
    sum_within_tactics,
    tells_of_a_call,
)
from detectors.phrases import COMBINATIONS, PHRASES, Tactic

SCAMMING = [
    ("Your Social Security number has been suspended.", "ssn_suspended"),
    ("your social security number is going to be suspended", "ssn_suspended"),
    ("used your social security number for fraudulent activities", "ssn_crime"),
    ("a legal enforcement action was filed", "legal_enforcement"),
    ("there is a warrant for your arrest", "arrest_warrant"),
    ("You will be arrested!", "arrest_warrant"),
    ("appear before a magistrate judge", "federal_crime"),
    ("seized by Customs and Border Protection", "contraband"),
    ("you owe money to the I.R.S. in back taxes", "tax_debt"),
    ("there is only a small registration fee", "registration_fee"),
    ("I'm doing you a favour here", "favour_done"),
    ("This is the Internal Revenue Service", "tax_office"),
    ("my badge number is 4471", "badge_number"),
    ("this is officer Smith speaking", "claims_officer"),
    ("you are eligible for a government grant", "grant_money"),
    ("we noticed some suspicious activity", "suspicious_activity"),
    ("your bank account has been compromised", "account_in_danger"),
    ("I'm from the fraud department", "security_department"),
    ("move your savings to a safe account", "safe_account"),
    ("you have to wire the money now", "transfer_now"),
    ("an order was placed on your Amazon account", "order_placed"),
    ("the amount of $499 has been charged", "card_charged"),
    ("if you did not authorize it", "if_not_authorized"),
    ("a pre-authorised purchase", "preauthorized_purchase"),
    ("I refunded too much money", "overpaid_refund"),
    ("let me process your refund", "refund_offer"),
    ("read me the six digit code", "one_time_code"),
    ("please share the O T P", "one_time_code"),
    ("the code you just received", "code_just_sent"),
    ("confirm your social security number", "asks_ssn"),
    ("provide your credit card number", "asks_card"),
    ("tell me your password", "asks_password"),
    ("your computer is infected with a virus", "computer_infected"),
    ("open TeamViewer", "remote_tool"),
    ("Any Desk", "remote_tool"),
    ("I will connect to your computer", "remote_access"),
    ("press the Windows key and R", "keyboard_walk"),
    ("please download this app", "install_this"),
    ("Microsoft technical support", "big_brand_support"),
    ("your antivirus has expired", "protection_renewal"),
    ("press 1 to speak with an agent", "press_to_act"),
    ("PRESS ONE to cancel", "press_to_act"),
    ("press nine to be removed from the list", "press_to_opt_out"),
    ("this is the final notice", "final_notice"),
    ("an automated message", "recorded_message"),
    ("we've been trying to reach you", "tried_to_reach_you"),
    ("your car's extended warranty", "vehicle_warranty"),
    ("lower your interest rate", "lower_rates"),
    ("student loan forgiveness", "loan_offer"),
    ("you now qualify for it", "preapproved"),
    ("your electricity will be disconnected", "utility_cutoff"),
    ("a limited time offer", "discount_offer"),
    ("a new Medicare card", "medicare_offer"),
    ("your Google business listing", "listing_offer"),
    ("you have won a cruise", "you_have_won"),
    ("the Publishers Clearing House sweepstakes", "prize"),
    ("pay the processing fee", "fee_before_prize"),
    ("your parcel was seized", "parcel_held"),
    ("a redelivery fee is due", "parcel_fee"),
    ("your grandson is in jail", "relative_in_trouble"),
    ("work from home", "lucrative_job"),
    ("guaranteed monthly returns", "sure_profit"),
    ("buy Google Play gift cards", "gift_card_payment"),
    ("in iTunes cards", "gift_card"),
    ("pay in Bitcoin", "crypto"),
    ("go to Western Union", "wire_money"),
    ("use Zelle", "app_payment"),
    ("withdraw the cash", "cash_courier"),
    ("do not tell anyone", "do_not_tell"),
    ("keep this strictly confidential", "keep_secret"),
    ("don't hang up", "do_not_hang_up"),
    ("don t hang up", "do_not_hang_up"),
    ("stay on the line", "stay_on_line"),
    ("this needs immediate attention", "must_act"),
]
EVERYDAY = [
    "my sink is leaking and i need a plumber at 12 oak street",
    "my phone number is five five five one two three four",
    "i was looking at the circuit breaker and it keeps tripping",
    "i would like a large latte with oat milk",
    "can you come on tuesday at nine",
    "the water is shut off and the valve is stuck",
    "do you take credit cards",
    "what does it cost per hour",
    "my name is robert and i would like to check my balance",
    "please transfer one hundred dollars to my checking account",
    "i have to order a new debit card i lost mine",
    "the heater was installed three years ago",
    "could you leave the invoice in the mailbox",
    "i won't be at home before six",
    "we paid about two hundred thousand won for the trip",
]


def said(text: str, number: int = 0) -> Segment:
    return Segment(number, "caller", text, 0, 1_000)


def names(text: str, **context: bool) -> set[str]:
    return {match.phrase.name for match in find_phrases(Utterance(said(text)), **context)}


def strength(text: str) -> float:
    utterance = Utterance(said(text))
    found = find_phrases(utterance, reported=tells_of_a_call(utterance))
    return sum_within_tactics((match.phrase.tactic, match.finding.weight) for match in found)


@pytest.mark.parametrize(("text", "name"), SCAMMING)
def test_a_scam_phrase_is_found_however_it_is_written(text: str, name: str) -> None:
    assert name in names(text)
    assert name in names(text.upper())
    assert name in names(re.sub(r"[.,!$-]", " ", text))


@pytest.mark.parametrize("text", EVERYDAY)
def test_everyday_talk_finds_next_to_nothing(text: str) -> None:
    assert strength(text) <= 0.2


@pytest.mark.parametrize(
    ("honest", "scam"),
    [
        ("my credit card was charged twice", "your credit card has been charged twice"),
        ("we will never ask you to give your password", "you have to give me your password"),
        ("my computer has a virus", "your computer has a virus"),
        ("press 1 for sales", "press 1 to speak with an officer about your arrest warrant"),
        ("someone called me and told me to buy gift cards", "now go and buy gift cards"),
        ("please do not share your verification code", "please share your verification code"),
        ("she said do not tell anyone i think it was a scam", "do not tell anyone"),
    ],
)
def test_an_honest_look_alike_weighs_less_than_half(honest: str, scam: str) -> None:
    assert strength(honest) <= 0.5 * strength(scam)


def test_offsets_point_at_the_words_in_the_original_text() -> None:
    text = "Well -- your SOCIAL   Security number, ma’am, has been SUSPENDED!"
    (match,) = [
        m for m in find_phrases(Utterance(said(text, 7))) if m.phrase.name == "ssn_suspended"
    ]
    finding = match.finding
    assert (
        text[finding.start : finding.end] == "SOCIAL   Security number, ma’am, has been SUSPENDED"
    )
    assert finding.excerpt == text[finding.start : finding.end]
    assert (finding.segment, finding.detector) == (7, "pattern")


def test_a_phrase_cut_in_two_by_the_recogniser_is_found_in_the_second_part() -> None:
    first = Utterance(said("so please do not", 0))
    second = Utterance(said("hang up the phone", 1), first.tail())
    assert not find_phrases(first)
    (match,) = [m for m in find_phrases(second) if m.phrase.name == "do_not_hang_up"]
    assert (match.finding.start, match.finding.end) == (0, len("hang up"))


def test_a_phrase_of_the_previous_utterance_is_not_found_again() -> None:
    first = Utterance(said("do not hang up"))
    assert not find_phrases(Utterance(said("yes hello"), first.tail()))


def test_only_a_few_words_are_carried_along() -> None:
    assert len(Utterance(said("word " * 50)).tail()) == CARRIED_WORDS


def test_a_long_excerpt_is_cut() -> None:
    finding = evidence(said("x" * 500), "behaviour", "monologue", 0.1, 0, 500)
    assert len(finding.excerpt) == EXCERPT_CHARS


def test_keywords_are_reported_once_with_their_place() -> None:
    text = "The Warrant, the warrant and a virus"
    found = list(find_keywords(Utterance(said(text))))
    assert [(f.name, f.excerpt) for f in found] == [("warrant", "Warrant"), ("virus", "virus")]


def test_further_phrases_of_a_tactic_count_less_and_never_negative() -> None:
    alone = sum_within_tactics([(Tactic.THREAT, 0.5)])
    both = sum_within_tactics([(Tactic.THREAT, 0.5), (Tactic.THREAT, 0.5)])
    apart = sum_within_tactics([(Tactic.THREAT, 0.5), (Tactic.LURE, 0.5)])
    assert alone == pytest.approx(points(0.5))
    assert both == pytest.approx(1.5 * alone)
    assert apart == pytest.approx(2 * alone)


def test_points_of_certainty_are_finite() -> None:
    assert points(1.0) == points(0.99) < 5
    assert points(0.0) == 0.0


@pytest.mark.parametrize("combination", COMBINATIONS, ids=lambda each: each.name)
def test_a_combination_needs_both_of_its_tactics(combination) -> None:
    first, second = min(combination.first), min(combination.second)
    assert combination in list(find_combinations([(first, 0.5), (second, 0.5)]))
    assert combination not in list(find_combinations([(first, 0.5)]))
    assert combination not in list(find_combinations([(first, 0.5), (second, 0.05)]))


def test_the_tables_are_in_order() -> None:
    assert len({phrase.name for phrase in PHRASES}) == len(PHRASES)
    assert all(0 < phrase.weight < 0.95 for phrase in PHRASES)
    assert all(re.fullmatch(r"[a-z0-9_]+", phrase.name) for phrase in PHRASES)
    assert all(0 < weight <= 0.25 and word.isalpha() for word, weight in KEYWORDS.items())


def test_every_phrase_of_the_table_has_an_example() -> None:
    shown = {name for _, name in SCAMMING}
    rest = {phrase.name for phrase in PHRASES} - shown
    assert rest == {"social_security", "legal_threat", "personal_details", "press_number", "hurry"}
    assert "social_security" in names("the federal reserve")
    assert "legal_threat" in names("we will seize your property")
    assert "personal_details" in names("verify your identity")
    assert "press_number" in names("kindly press two")
    assert "hurry" in names("within the next 30 minutes")


@given(st.text(max_size=300), st.text(max_size=60))
def test_any_text_is_read_and_every_finding_lies_inside_it(text: str, before: str) -> None:
    utterance = Utterance(said(text), Utterance(said(before)).tail())
    found = [match.finding for match in find_phrases(utterance)] + list(find_keywords(utterance))
    for finding in found:
        assert 0 <= finding.start < finding.end <= len(text)
        assert len(finding.excerpt) <= EXCERPT_CHARS


@given(st.sampled_from([text for text, _ in SCAMMING]), st.text(max_size=80))
def test_words_around_a_phrase_keep_its_offsets_true(phrase: str, around: str) -> None:
    text = f"{around} {phrase} {around}"
    for match in find_phrases(Utterance(said(text))):
        finding = match.finding
        assert finding.excerpt.removesuffix("…") in text[finding.start : finding.end]
