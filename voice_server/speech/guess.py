"""How an unknown word is probably said, by letter groups; for names and new words.

Good enough to be recognised by the name's owner; the lexicon and the table of names go first.
"""

from __future__ import annotations

import re

_VOWELS = "aeiouy"
_SILENT = ""
# The longest group that fits counts. `^` stands for the beginning, `$` for the end of the word.
_GROUPS = {
    "^kn": "n", "^wr": "ɹ", "^ps": "s", "^x": "z", "^mc": "mək", "^mac": "mæk", "^gn": "n",
    "^y": "j", "^sch": "ʃ", "^cz": "ʧ", "^sz": "s", "^zh": "ʒ", "^qi": "ʧi", "^xi": "ʃi",
    "^pf": "f", "^rh": "ɹ",
    "tch": "ʧ", "sch": "sk", "ch": "ʧ", "ck": "k", "ph": "f", "sh": "ʃ", "th": "θ", "wh": "w",
    "gh": _SILENT, "ght": "t", "ng": "ŋ", "ng$": "ŋ", "nge": "nʤ", "nk": "ŋk", "qu": "kw",
    "dge": "ʤ", "dg": "ʤ", "cz": "ʧ", "sz": "ʃ", "tz": "ts", "zh": "ʒ", "kh": "k", "mb$": "m",
    "tion": "ʃən", "sion": "ʒən", "ture": "ʧəɹ", "cious": "ʃəs", "tial": "ʃəl",
    "cia": "ʃə", "ski$": "ski", "sky$": "ski", "wski$": "fski", "czyk$": "ʧɪk", "zyk$": "zɪk",
    "berg$": "bəɹɡ", "burg$": "bəɹɡ", "stein$": "stIn", "mann$": "mən", "man$": "mən",
    "son$": "sən", "sen$": "sən", "ton$": "tən", "ville$": "vɪl", "ham$": "əm", "ford$": "fəɹd",
    "ez$": "ɛz", "as$": "əs", "os$": "Os", "ia$": "iə", "io$": "iO", "a$": "ə", "o$": "O",
    "i$": "i", "y$": "i", "ey$": "i", "ie$": "i", "ee": "i", "ea": "i", "oo": "u", "ou": "W",
    "ow": "O", "ow$": "O", "oa": "O", "oe$": "O", "oi": "Y", "oy": "Y", "ai": "A", "ay": "A",
    "au": "ɔ", "aw": "ɔ", "ei": "I", "eu": "ju", "ew": "u", "ie": "i", "ue$": "u", "ui": "u",
    "uy": "I", "igh": "I", "eigh": "A", "augh": "ɔ", "ough": "O", "aa": "ɑ", "uh": "u",
    "ah": "ɑ", "ar": "ɑɹ", "er": "əɹ", "ir": "ɜɹ", "ur": "ɜɹ", "or": "ɔɹ", "yr": "ɜɹ",
    "er$": "əɹ", "or$": "əɹ", "air": "ɛɹ", "are$": "ɛɹ", "ear": "ɪɹ", "eer": "ɪɹ", "ore$": "ɔɹ",
    "le$": "əl", "el$": "əl", "al$": "əl", "ol$": "ɔl", "ll": "l", "es$": "z", "e$": _SILENT,
    "ce": "sɛ", "ci": "sɪ", "cy": "si", "ce$": "s", "ge$": "ʤ", "gi": "ʤɪ", "gy$": "ʤi",
    "a": "æ", "b": "b", "c": "k", "d": "d", "e": "ɛ", "f": "f", "g": "ɡ", "h": "h", "i": "ɪ",
    "j": "ʤ", "k": "k", "l": "l", "m": "m", "n": "n", "o": "ɑ", "p": "p", "q": "k", "r": "ɹ",
    "s": "s", "t": "t", "u": "ʌ", "v": "v", "w": "w", "x": "ks", "y": "i", "z": "z",
}  # fmt: skip
_LONG = {"a": "A", "e": "i", "i": "I", "o": "O", "u": "u", "y": "I"}
_LONGEST = max(map(len, _GROUPS))
_SOUND_VOWELS = "AIOWYaeiouæɑɐəɚɛɜɪɔʊʌᵻ"
_WEAK = "əᵻ"
_MOST_CONSONANTS = 5  # "Knightsbridge" has five in a row; more is no word


def guess(word: str) -> str | None:
    """The probable sound of a word in the lexicon's symbols; None when it is no word.

    Initials, codes and keyboard noise have no vowel or too many consonants: spell those.
    """
    word = word.lower()
    if len(word) < 2 or not any(letter in _VOWELS for letter in word):
        return None
    if re.search(rf"[^{_VOWELS}]{{{_MOST_CONSONANTS + 1}}}", word):
        return None
    sound = ""
    at = 0
    while at < len(word):
        taken, added = _group(word, at)
        sound += added
        at += taken
    return _stressed(re.sub(r"([bdfɡklmnpɹstvz])\1", r"\1", sound))


def _group(word: str, at: int) -> tuple[int, str]:
    """How many letters at this place make which sound."""
    letter = word[at]
    if letter in _LONG and re.match(rf"{letter}[^{_VOWELS}wxr]e(s|d)?$", word[at:]):
        return 1, _LONG[letter]  # a silent e makes the vowel before it long
    for length in range(min(_LONGEST, len(word) - at), 0, -1):
        letters = word[at : at + length]
        forms = [f"^{letters}"] if at == 0 else []
        if at + length == len(word) and at > 0:
            forms.append(f"{letters}$")
        for form in (*forms, letters):
            if form in _GROUPS:
                return length, _GROUPS[form]
    return 1, ""


def _stressed(sound: str) -> str:
    """With the main stress before the first full vowel, or the last but one of three or more."""
    vowels = [place for place, symbol in enumerate(sound) if symbol in _SOUND_VOWELS]
    if not vowels:
        return sound
    full = [place for place in vowels if sound[place] not in _WEAK] or vowels
    place = full[-2] if len(full) >= 3 else full[0]
    return f"{sound[:place]}ˈ{sound[place:]}"
