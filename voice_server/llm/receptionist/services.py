"""Which trade a caller needs, and whether somebody is in danger."""

from __future__ import annotations

import re

# Strong words name the trade (3), plain ones hint at it (1). Spellings that the small
# speech recogniser produces ("plumer", "kitchen sync") are listed beside the right ones.
_STRONG = {
    "plumbing": r"plumb\w*|plum(?:er|mer|ing)s?|sinks?|kitchen sync|toilets?|drains?|"
    r"drainage|faucets?|forcet|pipes?|(?:tap|taps)\b(?! in)|water heater|hot water|sewage|"
    r"sewer|bath ?tub|shower ?head|showers?|burst|flush\w*|leak\w*|leek(?:s|ing)?|"
    r"garbage disposal|boiler|radiators?|septic",
    "electrical": r"electric\w*|outlets?|sockets?|breakers?|fuses?|fuse box|wiring|rewir\w*|"
    r"wires?|light ?switch\w*|circuit\w*|sparks?|sparking|chandelier|ceiling fan|"
    r"power (?:is|went|has|keeps|cut|out)\b|no power|lost power|blackout",
    "cleaning": r"clean\w*|maids?|housekeep\w*|house ?keeper|carpet clean\w*|vacuum\w*|"
    r"dusting|janitor\w*|mop(?:ping|ped)?",
    "maintenance": r"maintenance|maintain\w*|inspection|inspect(?:ed)?|tune ?up|check ?up|"
    r"gutters?|lawn|mow(?:ing|ed)?|hedges?|annual service|serviced|filters?",
    "repairs": r"repair\w*|fix(?:ed|ing)?|broken|broke|handyman|handy man|fridge|refrigerator|"
    r"washing machine|washer|dryer|dish ?washer|oven|stove|furnace|air con\w*|a c unit|"
    r"thermostat|roof|fence|drywall|dry wall|door ?handle|garage door|window pane|locks?\b|"
    r"cracked|appliance\w*",
}
_PLAIN = {
    "plumbing": r"water|dripping|drips?|clog\w*|blocked|overflow\w*|bathroom|flood\w*",
    "electrical": r"power|lights?|lamps?|plugs?|flicker\w*|shock|volt\w*",
    "cleaning": r"dirty|stains?|tidy\w*|windows? wash\w*|spotless|move ?out",
    "maintenance": r"garden\w*|yard|pool|check(?:ed)? over|seasonal|yearly",
    "repairs": r"doors?|windows?|walls?|heater|heating|doesn'?t work|does not work|"
    r"not working|stopped working|won'?t (?:open|close|start|turn on|work)|stuck|hinge",
}
_TABLE = [
    (service, weight, re.compile(rf"\b(?:{pattern})(?=\W|$)", re.IGNORECASE))
    for table, weight in ((_STRONG, 3), (_PLAIN, 1))
    for service, pattern in table.items()
]
_OTHER = re.compile(
    r"\b(?:something else|other|another thing|none of (?:those|these|that|them)|neither|"
    r"different)\b",
    re.IGNORECASE,
)
# A trade named beats the object it is about: "clean the drains" is still plumbing only when
# nobody says "cleaning"; so general trades lose ties against special ones in this order.
_RANK = ("plumbing", "electrical", "cleaning", "maintenance", "repairs")

_EMERGENCIES = (
    ("gas", r"gas leak\w*|gas leek|smell(?:s|ing)? (?:of )?(?:the )?gas|smelling gas|"
            r"leaking gas|gas is leaking|carbon monoxide|smell like gas|smells like gas"),
    ("fire", r"(?:on|caught|catching) fire|there'?s (?:a )?fire|there is (?:a )?fire|flames?|"
             r"smoke (?:is )?coming|smoking (?:outlet|socket|panel)|burning smell|"
             r"smell(?:s|ing)? (?:of )?(?:burning|smoke)|house is burning"),
    ("sparks", r"sparks?|sparking|electric(?:al)? shocks?|got shocked|live wires?|arcing"),
    ("flood", r"flood(?:s|ed|ing)?\b|pipe (?:has |just |is )?burst\w*|burst(?:ed)? pipes?|"
              r"water (?:is )?(?:everywhere|pouring|gushing|spraying|coming through)|"
              r"gushing|ceiling (?:is )?(?:coming down|collapsing)"),
    ("injury", r"(?:someone|somebody|he|she|my \w+) (?:is|has|was|got|'s) (?:badly )?"
               r"(?:hurt|injured|unconscious|bleeding|electrocuted|collapsed)|"
               r"not breathing|heart attack"),
)  # fmt: skip
EMERGENCY_SERVICE = {"gas": "plumbing", "flood": "plumbing", "sparks": "electrical"}
_EMERGENCY_TABLE = [
    (kind, re.compile(rf"\b(?:{pattern})", re.IGNORECASE)) for kind, pattern in _EMERGENCIES
]
_NEGATED = re.compile(r"\b(?:no|not|isn'?t|without|never|don'?t|any)\b[\w\s]{0,14}$", re.IGNORECASE)
_URGENT = re.compile(r"\b(?:emergency|urgent(?:ly)?|it'?s an emergency)\b", re.IGNORECASE)
_NOT_URGENT = re.compile(r"\b(?:not|no|isn'?t|nothing)\b[\w\s]{0,10}$", re.IGNORECASE)


def find_service(text: str) -> str:
    """The `service_type` a text speaks of, "" when it names none."""
    scores: dict[str, int] = {}
    for service, weight, pattern in _TABLE:
        hits = len(pattern.findall(text))
        if hits:
            scores[service] = scores.get(service, 0) + weight * hits
    if not scores:
        return ""
    return max(scores, key=lambda service: (scores[service], -_RANK.index(service)))


def names_other(text: str) -> bool:
    """The caller says that the offered trades do not fit."""
    return bool(_OTHER.search(text))


def find_emergency(text: str) -> str:
    """Kind of danger a text tells of: gas, fire, sparks, flood, injury, or ""."""
    for kind, pattern in _EMERGENCY_TABLE:
        match = pattern.search(text)
        if match and not _NEGATED.search(text, 0, match.start()):
            return kind
    return ""


def is_urgent(text: str) -> bool:
    """The caller calls it urgent."""
    match = _URGENT.search(text)
    return bool(match and not _NOT_URGENT.search(text, 0, match.start()))
