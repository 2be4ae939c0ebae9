"""The bands of risk, what was believed of the detectors before any data, and why.

`voice-server train scam` fits how evidence becomes risk to conversations that the classifier did
not learn from, starting from `PRIOR`; the manifest carries the result. The bands were set by hand
on the same left-out conversations: HIGH so that no left-out source has more than 1.5 % of honest
calls that ever reach it, and no left-out topic of our own twins more than 5 %; MEDIUM so that it is
about one in nine of those twins; CRITICAL so that none is. They are high because honest calls to
support desks open as calls to false ones do.

How kinds and tactics are told was set by hand too, on left-out clusters of scams: kinds so that
most are right, tactics so that three in five of those named are there.
"""

from __future__ import annotations

from models.scam.manifest import Bands, Fusion

PRIOR = Fusion(
    bias=-1.0,
    calm_first=1.0,
    calm_later=1.0,
    odd_first=1.0,
    odd_later=1.0,
    # The classifier's margins saturate on callers it never heard: beyond this they say no more.
    sure_first=0.0,
    sure_later=0.0,
    phrases_first=2.0,
    phrases_later=2.0,
    more_phrases_first=2.0,
    more_phrases_later=2.0,
    keywords=0.8,
    behaviour=0.8,
    opening=0.0,
    # Nothing is known of a call in which nobody has spoken: calm until some words were heard.
    silence=-3.0,
    answered=0.0,
    # In half an hour of chatting every phrase is said by chance.
    length=-0.5,
)
PHRASE_WEIGHT = 1.0  # log odds of a kind for each point of its phrases
TACTIC_ODDS = 0.3  # log odds from which a head's word is taken for a tactic
BANDS = Bands(low=0.5, medium=0.85, high=0.97, critical=0.999, margin=0.5)
