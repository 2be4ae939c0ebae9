"""Scam detection: knows nothing of calls, sockets or SQL."""

from detectors.assessment import Assessment, Finding, Prediction, Segment, Severity
from detectors.detector import ScamDetector, ScamModel

__all__ = [
    "Assessment",
    "Finding",
    "Prediction",
    "ScamDetector",
    "ScamModel",
    "Segment",
    "Severity",
]
