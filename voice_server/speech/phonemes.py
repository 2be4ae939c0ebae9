"""Plain words to the phonemes that the voice was trained on, by a lexicon of 180,000 words.

The lexicon writes diphthongs as capitals; the voice wants the symbols of espeak's en-us.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TypeAlias

import msgspec

from voice_server.speech.guess import guess

Entry: TypeAlias = str | dict[str, str | None]
Words: TypeAlias = Mapping[str, Entry]

_TOKEN = re.compile(r"[A-Za-z]+(?:'[A-Za-z]+)*'?|[.,?!;:]")
_SYMBOLS = (
    *(("A", "eɪ"), ("I", "aɪ"), ("O", "oʊ"), ("W", "aʊ"), ("Y", "ɔɪ"), ("ʤ", "dʒ"), ("ʧ", "tʃ")),
    *(("ᵊ", "ə"), ("ɜɹ", "ɜː"), ("əɹ", "ɚ"), ("u", "uː"), ("ɔ", "ɔː"), ("ɑ", "ɑː")),
    *(("ɔːɪ", "ɔɪ"), ("ˈi", "ˈiː"), ("ˌi", "ˌiː")),
)
_VOWEL_SOUNDS = "aeiouæɑɐəɚɛɜɪɔʊʌᵻAIOWYᵊ"
_STRESS = "ˈˌ"
# Words whose sound depends on how they are used, or that the lexicon stresses too much for
# running speech; symbols as in the lexicon.
_EXCEPTIONS = {
    "an": "ɐn", "of": "ʌv", "okay": "ˌOkˈA", "ok": "ˌOkˈA", "hvac": "ˈAʧ vˈæk", "hi": "hˈI",
    "wifi": "wˈIfˌI", "voicemail": "vˈYsmˌAl", "plumber's": "plˈʌməɹz", "oclock": "əklˈɑk",
    "o'clock": "əklˈɑk", "miz": "mˈɪz", "ma'am": "mˈæm", "online": "ˌɑnlˈIn", "yeah": "jˈɛə",
}  # fmt: skip
_SPELLED = frozenset({"AC", "ID", "IT", "OH", "PM", "TV", "US", "USA", "IP", "AI", "ER", "IRS"})
_LETTERS = {
    "A": "ˈA", "B": "bˈi", "C": "sˈi", "D": "dˈi", "E": "ˈi", "F": "ˈɛf", "G": "ʤˈi",
    "H": "ˈAʧ", "I": "ˈI", "J": "ʤˈA", "K": "kˈA", "L": "ˈɛl", "M": "ˈɛm", "N": "ˈɛn",
    "O": "ˈO", "P": "pˈi", "Q": "kjˈu", "R": "ˈɑɹ", "S": "ˈɛs", "T": "tˈi", "U": "jˈu",
    "V": "vˈi", "W": "dˈʌbᵊlju", "X": "ˈɛks", "Y": "wˈI", "Z": "zˈi",
}  # fmt: skip
_CLITICS = {"'ll": "əl", "'ve": "əv", "'re": "əɹ", "'d": "d", "n't": "ənt", "'m": "m"}
_ENDINGS = (
    ("ingly", "ɪŋli"), ("ing", "ɪŋ"), ("ings", "ɪŋz"), ("ers", "əɹz"), ("er", "əɹ"),
    ("est", "əst"), ("ly", "li"), ("ness", "nəs"), ("ment", "mᵊnt"), ("ments", "mᵊnts"),
    ("less", "ləs"), ("ful", "fᵊl"), ("able", "əbᵊl"), ("y", "i"),
)  # fmt: skip
_PREFIXES = {"o'": "O", "mc": "mək", "un": "ˌʌn", "re": "ɹˌi", "non": "nˌɑn", "pre": "pɹˌi"}
_SHORTEST_STEM = 3
_SHORTEST_PART = 3


class Lexicon:
    """Pronounces any text that `spoken` has made plain. Immutable, so thread-safe."""

    __slots__ = ("_gold", "_silver")

    def __init__(self, gold: Words, silver: Words) -> None:
        self._gold = gold
        self._silver = silver

    @classmethod
    def load(cls, gold: Path, silver: Path) -> Lexicon:
        """Read the two JSON files of the lexicon: 0.1 s."""
        decode = msgspec.json.Decoder(dict[str, Entry]).decode
        return cls(decode(gold.read_bytes()), decode(silver.read_bytes()))

    def phonemes(self, text: str) -> str:
        """The sounds of plain words, a space between words; punctuation stays."""
        tokens = _TOKEN.findall(text)
        sounds: list[str] = []
        for place, token in enumerate(tokens):
            following = tokens[place + 1] if place + 1 < len(tokens) else "."
            if token in ".,?!;:":
                if sounds and sounds[-1] not in ".,?!;:":
                    sounds.append(token)
                continue
            before = tokens[place - 1] if place else "."
            sounds.append(self._in_context(token, before, following))
        return _joined(to_espeak(sound) for sound in sounds if sound)

    def word(self, word: str, *, ends_phrase: bool = False) -> str:
        """The sounds of one word in the lexicon's symbols.

        Unknown words are guessed; what is no word at all is spelled.
        """
        if word.isupper() and 1 < len(word) <= 5 and self._is_initials(word):
            return _spell(word)
        lower = word.lower()
        return (
            self._known(word, ends_phrase=ends_phrase)
            or self._inflected(lower)
            or self._compound(lower)
            or self._prefixed(lower)
            or guess(lower.replace("'", ""))
            or _spell(word)
        )

    def _in_context(self, token: str, before: str, following: str) -> str:
        """A few words sound by their neighbours."""
        lower = token.lower()
        if len(token) == 1 and token.isupper() and not _is_article(token, before, following):
            return _LETTERS[token]
        if lower == "a":
            return "ɐ"
        if lower in ("the", "to"):
            start = self.word(following).lstrip(_STRESS)[:1] if following.isalpha() else ""
            if lower == "the":
                return "ði" if start in _VOWEL_SOUNDS and start else "ðə"
            return "tu" if not start or start in _VOWEL_SOUNDS else "tə"
        return self.word(token, ends_phrase=following in ".,?!;:")

    def _known(self, word: str, *, ends_phrase: bool = False) -> str | None:
        if exception := _EXCEPTIONS.get(word.lower()):
            return exception
        for form in (word, word.lower(), word.capitalize()):
            for words in (self._gold, self._silver):
                if sound := _choose(words.get(form), ends_phrase=ends_phrase):
                    return sound
        return names().get(word.lower())

    def _is_initials(self, word: str) -> bool:
        """Capitals are initials unless the lexicon has them, or they just shout a word."""
        if word in _SPELLED:
            return True
        if word in self._gold:
            return False
        return len(word) <= 3 or self._known(word.lower()) is None

    def _inflected(self, word: str) -> str | None:
        for clitic, sound in _CLITICS.items():
            if word.endswith(clitic) and (stem := self._stem(word[: -len(clitic)])):
                return stem + sound
        if word.endswith("'"):  # the drivers' entrance
            return self._known(word[:-1]) or self._inflected(word[:-1])
        for ending, add in (("'s", plural), ("es", plural), ("s", plural), ("ed", past)):
            if word.endswith(ending) and (stem := self._stem(word[: -len(ending)])):
                return add(stem)
        for ending, sound in _ENDINGS:
            if word.endswith(ending) and (stem := self._stem(word[: -len(ending)])):
                return stem + sound
        return None

    def _stem(self, stem: str) -> str | None:
        """The sounds of a stem, its spelling before the ending restored."""
        if len(stem) < _SHORTEST_STEM:
            return None
        spellings = [stem, f"{stem}e"]
        if stem.endswith("i"):
            spellings.append(f"{stem[:-1]}y")  # tries
        if stem[-1] == stem[-2]:
            spellings.append(stem[:-1])  # running
        return next((sound for s in spellings if (sound := self._known(s))), None)

    def _compound(self, word: str) -> str | None:
        """Two known words written as one, the longest first part that works."""
        for cut in range(len(word) - _SHORTEST_PART, _SHORTEST_PART - 1, -1):
            head, tail = self._known(word[:cut]), self._known(word[cut:])
            if head and tail:
                return head + tail.replace("ˈ", "ˌ")
        return None

    def _prefixed(self, word: str) -> str | None:
        """O'Connor, McGregor, reinstalled: what comes after the prefix is known."""
        for prefix, sound in _PREFIXES.items():
            rest = word.removeprefix(prefix)
            if rest != word and (known := self._known(rest) or self._inflected(rest)):
                return sound + known
        return None


@cache
def names() -> Mapping[str, str]:
    """Names that the lexicon lacks: the commonest of the United States, in lower case."""
    lines = (files(__package__) / "names.txt").read_text(encoding="utf-8").splitlines()
    return {name.lower(): sound for name, sound in (line.split() for line in lines)}


def plural(stem: str) -> str:
    """The stem with -s: hissing, voiceless or voiced after its last sound."""
    last = stem[-1]
    if last in "szʃʒʧʤ":
        return f"{stem}ᵻz"
    return f"{stem}s" if last in "ptkfθ" else f"{stem}z"


def past(stem: str) -> str:
    """The stem with -ed, by its last sound."""
    last = stem[-1]
    if last in "tdɾ":
        return f"{stem}ᵻd"
    return f"{stem}t" if last in "pkfθsʃʧ" else f"{stem}d"


def to_espeak(sound: str) -> str:
    """Lexicon symbols to the voice's."""
    for ours, theirs in _SYMBOLS:
        sound = sound.replace(ours, theirs)
    return sound


def _choose(entry: Entry | None, *, ends_phrase: bool) -> str | None:
    """One of several pronunciations; "None" is the one with nothing after it."""
    if entry is None or isinstance(entry, str):
        return entry
    if ends_phrase and (final := entry.get("None")):
        return final
    return entry.get("DEFAULT") or next((sound for sound in entry.values() if sound), None)


def _is_article(token: str, before: str, following: str) -> bool:
    """ "A plumber" begins with an article, "A B C" and "apartment A" hold the letter."""
    is_word = following.isalpha() and len(following) > 1
    return token == "A" and is_word and not (len(before) == 1 and before.isupper())


def _spell(word: str) -> str:
    return " ".join(_LETTERS[letter] for letter in word.upper() if letter in _LETTERS)


def _joined(sounds: Iterator[str]) -> str:
    """Words apart, punctuation close to the word before it."""
    return re.sub(r" ([.,?!;:])", r"\1", " ".join(sounds))
