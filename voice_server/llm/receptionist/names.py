"""People's names, said or spelled."""

from __future__ import annotations

import re

from voice_server.llm.receptionist.lexicon import NOT_NAMES, PARTICLES, SPELL_FILLERS

_PREFIX = re.compile(
    r"\b(?P<cue>(?:my|the|his|her|our|full|last|first)?\s*name(?:'s| is| was| will be| of)|"
    r"name(?= [A-Z])|this is|this here is|i am|i'm|im|call me|you(?:'re| are) (?:speaking|talking) "
    r"(?:to|with)|speaking with|it's for|it is for|put it under|under the name(?: of)?|"
    r"it's under|here is|here's|it's|it is|"
    r"(?:the )?name)[,:]?\s+(?:actually |really |uh |um |mr\.? |mrs\.? |ms\.? |miss |doctor |"
    r"dr\.? )*",
    re.IGNORECASE,
)
_WEAK = re.compile(
    r"^(?:it's|it is|here is|here's|i am|i'm|im|this is|name|the name)$", re.IGNORECASE
)
_TITLE = re.compile(r"^(?:mr|mrs|ms|miss|mister|missus|doctor|dr)\.?\s+", re.IGNORECASE)
_TOKEN = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_AFTER = re.compile(r"\s*(?:[^\W\d_]+(?:['’-][^\W\d_]+)*)")
_MAX_WORDS = 4
_NATO = {
    "alpha": "a", "alfa": "a", "bravo": "b", "charlie": "c", "delta": "d", "echo": "e",
    "foxtrot": "f", "golf": "g", "hotel": "h", "india": "i", "juliet": "j", "juliett": "j",
    "kilo": "k", "lima": "l", "mike": "m", "november": "n", "oscar": "o", "papa": "p",
    "quebec": "q", "romeo": "r", "sierra": "s", "tango": "t", "uniform": "u", "victor": "v",
    "whiskey": "w", "whisky": "w", "xray": "x", "yankee": "y", "zulu": "z",
}  # fmt: skip
_LETTER_NAMES = {
    "ay": "a", "bee": "b", "be": "b", "cee": "c", "see": "c", "sea": "c", "dee": "d", "ee": "e",
    "ef": "f",
    "eff": "f", "gee": "g", "jee": "g", "aitch": "h", "eye": "i", "jay": "j", "kay": "k",
    "okay": "k", "el": "l", "ell": "l", "em": "m", "en": "n", "oh": "o", "pee": "p", "pea": "p",
    "cue": "q", "queue": "q", "are": "r", "ar": "r", "ess": "s", "tee": "t", "tea": "t",
    "you": "u", "yoo": "u", "vee": "v", "ex": "x", "why": "y", "wye": "y", "zee": "z", "zed": "z",
}  # fmt: skip
_LIKE = re.compile(r"\b([a-z])[\s,]+(?:as in|like in|like|for|is for)[\s,]+[a-z]+", re.IGNORECASE)


def introduced_name(text: str, *, asked: bool = False) -> str:
    """The name after words like "my name is", "" when nobody is introduced.

    "This is" and "it's" introduce many things: a lower-case word after them is a name only
    when a name was asked for.
    """
    for match in _PREFIX.finditer(text):
        weak = not asked and bool(_WEAK.match(match.group("cue").strip()))
        name = _name_at(text[match.end() :], weak=weak)
        if name:
            return name
    trailing = re.search(r"((?:[A-Z][\w'’-]+\s){1,2}[A-Z][\w'’-]+) (?:here|speaking)\b", text)
    return trailing.group(1) if trailing and plausible_name(trailing.group(1)) else ""


def bare_name(text: str) -> str:
    """The answer to "what's your name?", "" when it is no name."""
    rest = re.sub(r"^\W*(?:(?:yes|yeah|sure|okay|ok|uh|um|well|oh|so|hi|hello|of course|"
                  r"certainly|no)\b\W*)+", "", text, flags=re.IGNORECASE)  # fmt: skip
    rest = re.sub(
        r"\W*\b(?:please|thanks|thank you|speaking|here)\W*$", "", rest, flags=re.IGNORECASE
    )
    rest = _TITLE.sub("", rest.strip())
    words = _TOKEN.findall(rest)
    if not 1 <= len(words) <= _MAX_WORDS or re.search(r"\d", rest):
        return ""
    name = " ".join(words)
    return tidy(name) if plausible_name(name) else ""


def plausible_name(name: str) -> bool:
    """Words that may be a name: none of the common words of the language."""
    words = name.lower().replace("’", "'").split()
    return bool(words) and all(word not in NOT_NAMES for word in words) and len(name) > 1


def _name_at(rest: str, *, weak: bool) -> str:
    """The name that a text begins with; weak cues ("it's") need a capital letter."""
    words: list[str] = []
    cased = rest[:1].isupper() and not rest.isupper()
    position = 0
    while len(words) < _MAX_WORDS - 1:
        match = _AFTER.match(rest, position)
        if not match:
            break
        word = match.group().strip()
        low = word.lower().replace("’", "'")
        if low in NOT_NAMES or (cased and not word[0].isupper() and low not in PARTICLES):
            break
        words.append(word)
        position = match.end()
    while words and words[-1].lower() in PARTICLES and len(words) > 1:
        words.pop()
    if not words or (weak and not cased):
        return ""
    if weak and re.match(
        r"\s+(?:street|st|road|avenue|drive|lane)\b", rest[position:], re.IGNORECASE
    ):
        return ""
    return tidy(" ".join(words))


def tidy(name: str) -> str:
    """Capitals where a transcript has none; mixed case is left as it came."""
    if name.islower() or name.isupper():
        return " ".join(_capital(word) for word in name.split())
    return name


def _capital(word: str) -> str:
    return "-".join(part[:1].upper() + part[1:].lower() for part in word.split("-"))


def spelled_name(text: str) -> str:
    """A name given letter by letter: "M A R Y", "M as in Mike", NATO words; "" if none."""
    words = _LIKE.sub(r"\1", text.lower().replace("’", "'"))
    words = re.sub(r"\b(?:new word|space|next word|last name|surname|second word)\b", "|", words)
    words = re.sub(r"double[\s-]+(?:you|u)\b(?![\s,-]*[a-z]\b\s*$)", "w", words)
    parts: list[str] = [""]
    repeat = strange = 0
    for token in re.findall(r"\||[a-z']+", words):
        letter = _letter(token)
        if token == "|":
            parts.append("")
        elif token in {"double", "triple"}:
            repeat = 1 if token == "double" else 2
        elif letter:
            parts[-1] += letter * (repeat + 1)
            repeat = 0
        elif token not in SPELL_FILLERS:
            strange += 1
    spelled = [part for part in parts if part]
    letters = sum(len(part) for part in spelled)
    if letters < 2 or strange > max(2, letters // 2):
        return ""
    return " ".join(part.capitalize() for part in spelled)


def _letter(token: str) -> str:
    if len(token) == 1 and token.isalpha():
        return token
    return _NATO.get(token) or _LETTER_NAMES.get(token, "")


def spells(text: str) -> bool:
    """The text holds at least three single letters in a row: somebody is spelling."""
    return bool(re.search(r"(?:\b[A-Za-z]\b[\s.,-]*){3,}", text))
