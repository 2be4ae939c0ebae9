"""The numbers the detectors work at, and why.

Chosen on conversations of sources that were left out of the training of the classifier that
read them (`voice-server train scam` prints the table), never on the development set, whose
sources the shipped weights know. The aim: at most 2 % of the benign calls of any left-out
source ever at HIGH, none at CRITICAL, and robocalls at HIGH within 15 s.
"""

from __future__ import annotations

from models.scam.manifest import Bands, Fusion

FUSION = Fusion(
    bias=-2.1,
    # A left-out benign source reaches a margin of 3 in 1 % of its calls, a left-out scam
    # source has its median near 1: the classifier may move a call by 1.8, to MEDIUM at most.
    classifier_slope=0.8,
    classifier_offset=0.7,
    classifier_limit=1.8,
    # Robocalls of campaigns never seen lie below 0 for the classifier; it must not overrule
    # the phrases.
    classifier_floor=0.4,
    pattern_slope=1.6,
    pattern_limit=5.5,
    keyword_slope=0.5,
    keyword_limit=1.0,
    behaviour_slope=1.0,
    behaviour_limit=1.5,
)
BANDS = Bands(low=0.15, medium=0.35, high=0.6, critical=0.9, margin=0.08)
