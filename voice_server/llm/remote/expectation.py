"""Guesses from the agent's last words what kind of answer they ask for."""

from __future__ import annotations

import re

from voice_server.call.events import Expectation

_LAST = re.compile(r"[^.!?…]*[.!?…\"')\s]*$")
_SPELLING = re.compile(r"\bspell|\bletter by letter\b|\bletters?\b.*\bname\b", re.I)
_ADDRESS = re.compile(
    r"\b(?:street|e-?mail|mailing|home|service|full|your|the) address\b|\baddress\b.*\?"
    r"|\bwhere (?:do you live|should we come|is (?:the house|it|that))\b|\bwhich street\b",
    re.I,
)
_DIGITS = re.compile(
    r"\b(?:phone|telephone|mobile|cell|callback|contact|order|reference|account|confirmation)"
    r"(?: phone)? (?:number|code)\b|\bbest number\b|\bdigits?\b|\bnumber (?:to|we can|can we)\b"
    r"|\bzip code\b|\bpostcode\b|\bpostal code\b|\bkey in\b|\bkeypad\b",
    re.I,
)
_YES_NO = re.compile(
    r"^(?:(?:so|and|okay|ok|great|thanks|thank you|perfect|alright|all right|now|then|just to "
    r"confirm|to confirm)[,:]? )*"
    r"(?:is|are|was|were|do|does|did|can|could|may|shall|should|would|will|have|has|am)\b",
    re.I,
)
_TAIL = re.compile(
    r"\b(?:right|correct|yes or no|is that (?:right|correct|ok(?:ay)?)|okay|ok)\?\W*$", re.I
)
_OPEN = re.compile(
    r"^(?:\w+[,:]? )*?(?:can|could|may|would|will|do|did|have) (?:you|i) (?:please )?(?:also )?"
    r"(?:tell|give|describe|explain|say|repeat|have your|get your|help|do for you)\b",
    re.I,
)
_OR = re.compile(r"\bor\b(?! not\b| no\b)", re.I)


def expected_answer(text: str) -> Expectation:
    """The answer that the last sentence of `text` asks for; `ANYTHING` when in doubt.

    A wrong guess costs little: it only makes the server a bit more or less patient with pauses.
    """
    sentence = _last_sentence(text)
    asks = "?" in sentence
    yes_no = asks and _is_yes_no(sentence)
    if yes_no and _TAIL.search(sentence):
        return Expectation.YES_NO
    if _SPELLING.search(sentence) and not sentence.lower().startswith("is that spelled"):
        return Expectation.SPELLING
    asked_for = asks or re.match(r"(?:please|just|now|then)\b", sentence, re.I)
    if yes_no:
        return Expectation.YES_NO
    if asked_for and _DIGITS.search(sentence):
        return Expectation.DIGITS
    if asked_for and _ADDRESS.search(sentence):
        return Expectation.ADDRESS
    return Expectation.ANYTHING


def _is_yes_no(sentence: str) -> bool:
    if _TAIL.search(sentence):
        return True
    if _OPEN.search(sentence) or _OR.search(sentence):
        return False
    return bool(_YES_NO.search(sentence))


def _last_sentence(text: str) -> str:
    text = text.strip()
    found = _LAST.search(text)
    return found.group().strip() if found else ""
