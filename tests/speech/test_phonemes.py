from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.weights import WeightsMissing, path
from voice_server.speech.phonemes import Lexicon, past, plural, to_espeak

GOLD = {
    "cat": "kˈæt",
    "dog": "dˈɔɡ",
    "box": "bˈɑks",
    "watch": "wˈɑʧ",
    "stop": "stˈɑp",
    "need": "nˈid",
    "make": "mˈAk",
    "try": "tɹˈI",
    "run": "ɹˈʌn",
    "apple": "ˈæpᵊl",
    "house": "hˈWs",
    "boat": "bˈOt",
    "you": "ju",
    "Ann": "ˈæn",
    "NASA": "nˈæsə",
    "can": {"DEFAULT": "kæn", "None": "kˈæn"},
    "live": {"VERB": "lˈɪv", "ADJ": "lˈIv"},
    "AH": {"DEFAULT": "ˈɑ", "NOUN": None},
}
SILVER = {"plumber": "plˈʌməɹ", "cat": "wrong"}
TOY = Lexicon(GOLD, SILVER)


@pytest.mark.parametrize(
    ("word", "sound"),
    [
        ("cat", "kˈæt"),
        ("Cat", "kˈæt"),
        ("CAT", "sˈi ˈA tˈi"),
        ("WATCH", "wˈɑʧ"),
        ("plumber", "plˈʌməɹ"),
        ("ann", "ˈæn"),
        ("NASA", "nˈæsə"),
        ("TV", "tˈi vˈi"),
        ("HVAC", "ˈAʧ vˈæk"),
        ("live", "lˈɪv"),
        ("AH", "ˈɑ"),
    ],
)
def test_words_are_looked_up_in_every_spelling(word: str, sound: str):
    assert TOY.word(word) == sound


@pytest.mark.parametrize(
    ("word", "sound"),
    [
        ("cats", "kˈæts"),
        ("dogs", "dˈɔɡz"),
        ("dog's", "dˈɔɡz"),
        ("watches", "wˈɑʧᵻz"),
        ("boxes", "bˈɑksᵻz"),
        ("houses", "hˈWsᵻz"),
        ("tries", "tɹˈIz"),
        ("stopped", "stˈɑpt"),
        ("needed", "nˈidᵻd"),
        ("boxed", "bˈɑkst"),
        ("running", "ɹˈʌnɪŋ"),
        ("making", "mˈAkɪŋ"),
        ("runner", "ɹˈʌnəɹ"),
        ("needing", "nˈidɪŋ"),
        ("dog'll", "dˈɔɡəl"),
        ("dogs'", "dˈɔɡz"),
    ],
)
def test_endings_sound_right_after_any_stem(word: str, sound: str):
    assert TOY.word(word) == sound


@pytest.mark.parametrize(
    ("stem", "with_s", "with_ed"),
    [
        ("kˈæt", "kˈæts", "kˈætᵻd"),
        ("dˈɔɡ", "dˈɔɡz", "dˈɔɡd"),
        ("mˈɪs", "mˈɪsᵻz", "mˈɪst"),
        ("plˈA", "plˈAz", "plˈAd"),
        ("wˈɑʧ", "wˈɑʧᵻz", "wˈɑʧt"),
        ("ʤˈʌʤ", "ʤˈʌʤᵻz", "ʤˈʌʤd"),
        ("lˈæf", "lˈæfs", "lˈæft"),
        ("nˈid", "nˈidz", "nˈidᵻd"),
    ],
)
def test_s_and_ed_follow_the_last_sound(stem: str, with_s: str, with_ed: str):
    assert (plural(stem), past(stem)) == (with_s, with_ed)


def test_two_known_words_in_one_are_said_together_the_second_weaker():
    assert TOY.word("houseboat") == "hˈWsbˌOt"
    assert TOY.word("dogwatch") == "dˈɔɡwˌɑʧ"


def test_an_unknown_word_is_spelled():
    assert TOY.word("qzx") == "kjˈu zˈi ˈɛks"


@pytest.mark.parametrize(
    ("text", "sounds"),
    [
        ("the cat", "ðə kˈæt"),
        ("the apple", "ði ˈæpəl"),
        ("to you", "tə juː"),
        ("to apple", "tuː ˈæpəl"),
        ("a cat", "ɐ kˈæt"),
        ("A cat", "ɐ kˈæt"),
        ("A, B", "ˈeɪ, bˈiː"),
        ("B A cat", "bˈiː ˈeɪ kˈæt"),
        ("cat A", "kˈæt ˈeɪ"),
        ("can you?", "kæn juː?"),
        ("you can.", "juː kˈæn."),
        ("cat , dog!?", "kˈæt, dˈɔːɡ!"),
        (". , cat", "kˈæt"),
        ("cat 12 dog", "kˈæt dˈɔːɡ"),
        ("", ""),
        ("?!", ""),
    ],
)
def test_words_in_context(text: str, sounds: str):
    assert TOY.phonemes(text) == sounds


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("wˈɔɾəɹ", "wˈɔːɾɚ"),
        ("θˈɜɹɾi", "θˈɜːɾi"),
        ("sˈi", "sˈiː"),
        ("hˈæpi", "hˈæpi"),
        ("ju", "juː"),
        ("kˈɑɹ", "kˈɑːɹ"),
        ("fɔɹ", "fɔːɹ"),
        ("bˈY", "bˈɔɪ"),
        ("ʤˈAl", "dʒˈeɪl"),
        ("hˈWs", "hˈaʊs"),
        ("θˈWzᵊnd", "θˈaʊzənd"),
    ],
)
def test_the_lexicons_symbols_become_the_voices(ours: str, theirs: str):
    assert to_espeak(ours) == theirs


@given(st.text(max_size=60))
def test_any_text_has_a_pronunciation_or_none_but_no_error(text: str):
    assert "  " not in TOY.phonemes(text)


@pytest.fixture(scope="module")
def english() -> Lexicon:
    try:
        return Lexicon.load(path("lexicon_gold"), path("lexicon_silver"))
    except WeightsMissing as missing:
        pytest.skip(str(missing))


@pytest.mark.weights
@pytest.mark.parametrize(
    ("text", "sounds"),
    [
        ("Hello, how can I help you?", "həlˈoʊ, hˌaʊ kæn ˈaɪ hˈɛlp juː?"),
        ("The kitchen sink is clogged.", "ðə kˈɪtʃən sˈɪŋk ɪz klˈɑːɡd."),
        ("Your appointment", "jʊɹ əpˈɔɪntmənt"),
        ("emailed", "ˈiːmˌeɪld"),
        ("downspouts", "dˈaʊnspˌaʊts"),
    ],
)
def test_english_sounds_as_it_should(english: Lexicon, text: str, sounds: str):
    assert english.phonemes(text) == sounds


@pytest.mark.weights
@pytest.mark.parametrize(
    "word",
    [
        *("plumbing", "electrician", "dishwasher", "appointments", "Springfield", "rescheduled"),
        *("thermostat", "landlord's", "Saturdays", "reinstalled", "unclogging", "leaks"),
        *("Rodriguez", "Nguyen", "O'Connor", "couldn't", "you'd", "voicemail", "wifi", "yeah"),
    ],
)
def test_words_of_the_trade_are_not_spelled_out(english: Lexicon, word: str):
    assert " " not in english.word(word)


@pytest.mark.weights
def test_every_sound_of_the_lexicon_is_known_to_the_voice(english: Lexicon):
    known = json.loads(path("piper_joe_config").read_text())["phoneme_id_map"]
    sounds = {
        symbol
        for name in ("lexicon_gold", "lexicon_silver")
        for entry in json.loads(path(name).read_text()).values()
        for sound in (entry.values() if isinstance(entry, dict) else [entry])
        for symbol in to_espeak(sound or "")
    }

    assert sounds <= known.keys()
