"""What a caller wants besides answering: yes and no, goodbye, a human, questions."""

from __future__ import annotations

import re
from enum import StrEnum

from voice_server.llm.receptionist.lexicon import ALSO_ENGLISH, FOREIGN_WORDS


class Intent(StrEnum):
    """Something a caller does with words that fills no slot."""

    YES = "yes"
    NO = "no"
    GOODBYE = "goodbye"
    HUMAN = "human"
    SKIP = "skip"
    REPEAT = "repeat"
    WAIT = "wait"
    CHANGE = "change"
    CANCEL = "cancel"  # an order that exists
    LOOK_UP = "look_up"
    NEVER_MIND = "never_mind"
    MESSAGE = "message"
    WRONG_NUMBER = "wrong_number"
    PRICE = "price"
    HOURS = "hours"
    WHO = "who"
    ROBOT = "robot"
    QUESTION = "question"  # any other question
    OFF_TOPIC = "off_topic"  # money, accounts, offers: nothing a booking line does
    KEYPAD = "keypad"  # "I'll type it"
    THIS_NUMBER = "this_number"  # "the one I'm calling from"
    OTHER_NUMBER = "other_number"
    GREETING = "greeting"
    THANKS = "thanks"
    FOREIGN = "foreign"


_PATTERNS: dict[Intent, str] = {
    Intent.YES: r"yes|yeah|yea|yep|yup|yas|yah|ya|correct|right|sure|absolutely|exactly|"
    r"of course|definitely|indeed|affirmative|go ahead|please do|sounds (?:good|right|great)|"
    r"(?:that'?s|it'?s|all|is|looks) (?:fine|good|perfect|great)|ok|okay|perfect|"
    r"uh huh|mm+ ?hmm?|that works|you got it|i do|it is|that is",
    Intent.NO: r"no|nope|nah|not (?:right|correct|quite|really|that|exactly)|wrong|incorrect|"
    r"negative|isn'?t (?:right|correct)|that'?s not|it'?s not|no way|neither|not at all|"
    r"don'?t|do not",
    Intent.GOODBYE: r"good[ -]?bye|bye|bye[ -]bye|see you|have a (?:good|nice|great|lovely) \w+|"
    r"that'?s all|that is all|that'?s it(?: for)?|nothing else|hang up|talk to you later|"
    r"take care|i'?m done|have to go|gotta go",
    Intent.HUMAN: r"(?:a |an |real |actual |live |another |your ){0,4}(?:human|person|operator|"
    r"representative|manager|supervisor|colleague|agent|someone real|somebody real|real "
    r"people|receptionist|dispatcher)(?: being)?|"
    r"(?:speak|talk|spoke) (?:to|with) (?:someone|somebody|anyone|anybody|a man|a woman|"
    r"your boss|the boss|the owner|the office|customer service)|"
    r"(?:put|pass) me (?:through|over)|transfer me|connect me|customer service",
    Intent.SKIP: r"skip(?: (?:it|that|this))?|rather not|don'?t want to (?:say|give|tell|share)|"
    r"do not want to (?:say|give|tell|share)|prefer not|none of your business|"
    r"i(?: do not|'?d not| don'?t) (?:have (?:one|a phone|a number|an address|that)|know)|"
    r"dunno|no idea|not sure|next question|won'?t (?:say|give|tell)|doesn'?t matter|"
    r"can'?t (?:say|give|tell)|later please",
    Intent.REPEAT: r"(?:say|repeat|tell me) (?:that|it|again|this)(?: again)?|repeat|come again|"
    r"pardon(?: me)?|what (?:did you say|was that|was the question)|say again|once more|"
    r"didn'?t (?:hear|catch|get|understand) (?:you|that|it)|can'?t (?:hear|understand) you|"
    r"excuse me what|huh|what do you mean",
    Intent.WAIT: r"hold on|hang on|one (?:second|sec|moment|minute)|just a (?:second|sec|moment|"
    r"minute)|a (?:second|moment) please|give me a (?:second|sec|moment|minute)|wait|"
    r"let me (?:check|see|think|look)",
    Intent.CHANGE: r"change|correct (?:the|my|that|it)|fix (?:the|my)|edit|"
    r"(?:name|number|address|time|day|date|phone|problem) (?:is|was|'s) (?:wrong|incorrect|"
    r"not (?:right|correct))|wrong (?:name|address|time|day|date)|different (?:time|day|"
    r"address|name)|misspelled|spelled wrong|start over|got (?:my|the) \w+ wrong",
    Intent.CANCEL: r"cancel(?:l?ed|l?ing)?(?: (?:my|the|an|that|this) (?:\w+ )?(?:order|"
    r"appointment|booking|visit|job|service))?|call (?:it|that|the \w+) off",
    Intent.LOOK_UP: r"(?:check|status|look up|find|ask|asking|calling|know|question|update)"
    r"(?: \w+){0,4} (?:my|an|the|existing) (?:\w+ )?(?:order|appointment|booking|visit)|"
    r"(?:where is|when is|what about|what'?s with) (?:my|the) (?:\w+ )?(?:order|appointment|"
    r"booking|technician|plumber|electrician|cleaner)|order status|existing (?:order|booking|"
    r"appointment)|already have (?:an|a) (?:order|appointment|booking)",
    Intent.NEVER_MIND: r"never ?mind|forget (?:it|about it)|changed my mind|don'?t need "
    r"(?:it|this|anything|anyone|anybody)(?: any ?more)?|leave it|no longer need|"
    r"not interested",
    Intent.MESSAGE: r"(?:leave|take|pass on|give him|give her|give them) a message|"
    r"(?:call|phone|ring) me back|call ?back",
    Intent.WRONG_NUMBER: r"wrong (?:number|person|company)|misdial(?:l?ed)?|dialed wrong|"
    r"(?:meant|trying|wanted) to (?:call|reach|dial) (?:someone|somebody|another|a different|"
    r"my (?:mom|mum|dad|wife|husband|son|daughter|friend|doctor|bank)|the (?:bank|pizza\w*))|"
    r"isn'?t this|is this not|is this the (?:pizza|bank|doctor|dentist|school|library)",
    Intent.PRICE: r"how much|what (?:does|do|will|would|is) (?:it|this|that|you|the|your)?\s*"
    r"(?:cost|price|charge|charges|fee|fees|rate|rates)|cost\w*|prices?|pricing|"
    r"(?:hourly|your) rates?|expensive|estimate|quote|call ?out (?:fee|charge)|"
    r"free of charge|do you charge",
    Intent.HOURS: r"(?:opening|business|office|working) hours|what time do you (?:open|close)|"
    r"when (?:do|are) you (?:open|close|closed)|are you open|how late",
    Intent.WHO: r"who (?:is this|am i (?:speaking|talking)|are you|is that|is speaking)|"
    r"what company|which company|what'?s your name|what is your name|where are you (?:located|"
    r"based)",
    Intent.ROBOT: r"(?:are you|is this|am i talking to|you'?re|you are|sound like) (?:a |an |"
    r"some |the )?(?:real )?(?:robot|machine|bot|computer|recording|ai|a i|automated|"
    r"real person|human|voice ?mail|answering machine)",
    Intent.KEYPAD: r"(?:i'?ll|i will|let me|can i|could i|i can|i'?d rather|rather) "
    r"(?:just )?(?:type|key|enter|press|punch|dial)(?: it| them| that)?(?: in)?|"
    r"keypad|key pad|on the keys|"
    r"type it",
    Intent.THIS_NUMBER: r"(?:this|same|that) (?:number|one|phone)|(?:number|one|phone) (?:that )?"
    r"(?:i'?m|i am|you see|i called|i call)(?: calling)?(?: you)?(?: from| on)?|"
    r"calling (?:you )?from|caller id|use this",
    Intent.OTHER_NUMBER: r"(?:another|different|other|new|my cell|my mobile|my home|my work|"
    r"my office|my husband'?s|my wife'?s)(?: phone| cell)?(?: number| phone| one)|"
    r"a better number",
    Intent.GREETING: r"hello|hi|hey|good (?:morning|afternoon|evening|day)|anybody there|"
    r"anyone there",
    Intent.THANKS: r"thanks?|thank you|thank you so much|cheers|much appreciated",
    Intent.OFF_TOPIC: r"gift cards?|refund (?:department|team)|microsoft|"
    r"(?:extended|car'?s?|vehicle|auto|factory) (?:\w+ )?warrant(?:y|ies)|irs|"
    r"social security|bank account|credit card|debit card|card number|routing number|"
    r"account number|bitcoin|crypto\w*|wire transfer|western union|amazon|paypal|"
    r"computer (?:has|virus|support)|virus(?:es)?|hack(?:ed|er|ers)|remote access|"
    r"any ?desk|team ?viewer|passwords?|pin code|verification code|one time (?:code|passcode)|"
    r"security code|date of birth|lottery|prize|you(?:'?ve| have) (?:won|been selected)|"
    r"investment|interest rates?|student loans?|lower your|business loan|medicare|"
    r"solar panels?|google (?:listing|business)|press (?:one|two|nine|[129])|"
    r"arrest|warrant|lawsuit|legal action|charity|donat\w+|survey|vote|campaign|"
    r"business owner|seo|last (?:attempt|chance)|final notice",
}
_TABLE = {
    intent: re.compile(rf"(?<![\w'])(?:{pattern})(?![\w'])", re.IGNORECASE)
    for intent, pattern in _PATTERNS.items()
}
_FILLED_NO = re.compile(
    r"\b(?:no problem|no worries|don'?t worry|no thanks? to|know what|not a problem|"
    r"no hot water|no power|no water|no heat|no light\w*|no idea|don'?t (?:know|have|need|want|"
    r"think|understand|mind)|do not (?:know|have|need|want))\b",
    re.IGNORECASE,
)
_FILLED_YES = re.compile(
    r"\b(?:right (?:now|away|here|there)|all right so|not (?:right|correct|okay|ok|sure|exactly)|"
    r"isn'?t (?:right|correct)|correct (?:the|my|that|it)|"
    r"(?:not|never) (?:quite )?right|right hand|right side|right next)\b",
    re.IGNORECASE,
)
_QUESTION = re.compile(
    r"^(?:(?:and|so|but|uh|um|well|okay|ok)\W+)*(?:what|when|where|why|how|who|which|can you|"
    r"could you|do you|does|are you|is there|is it|will you|would you|did you)\b",
    re.IGNORECASE,
)
_LETTERS = re.compile(r"[^\W\d_]+")


def find_intents(text: str) -> frozenset[Intent]:
    """Everything the words may mean; the dialogue weighs them by what was asked."""
    found = {intent for intent, pattern in _TABLE.items() if pattern.search(text)}
    if Intent.YES in found and not _TABLE[Intent.YES].search(_FILLED_YES.sub(" ", text)):
        found.discard(Intent.YES)
    if Intent.NO in found and not _TABLE[Intent.NO].search(_FILLED_NO.sub(" ", text)):
        found.discard(Intent.NO)
    if re.fullmatch(r"\W*(?:know|now)\W*", text, re.IGNORECASE):
        found.add(Intent.NO)  # how the recogniser often writes a short "no"
    if text.rstrip().endswith("?") or _QUESTION.search(text):
        found.add(Intent.QUESTION)
    if sounds_foreign(text):
        found.add(Intent.FOREIGN)
    return frozenset(found)


def count_off_topic(text: str) -> int:
    """How many different things the text speaks of that no booking line deals with."""
    return len({match.group().lower() for match in _TABLE[Intent.OFF_TOPIC].finditer(text)})


def sounds_foreign(text: str) -> bool:
    """Mostly words of another language, or of another script."""
    words = [word.lower() for word in _LETTERS.findall(text)]
    if not words:
        return False
    if sum(ord(word[0]) > 0x24F for word in words) * 2 > len(words):
        return True
    plain = [_without_accents(word) for word in words]
    known = [word for word in plain if word in FOREIGN_WORDS]
    surely = [word for word in known if word not in ALSO_ENGLISH]
    return len(words) >= 2 and bool(surely) and len(known) * 2 >= len(words)


def _without_accents(word: str) -> str:
    return word.translate(str.maketrans("áàâãäéèêëíìîïóòôõöúùûüñç", "aaaaaeeeeiiiiooooouuuunc"))
