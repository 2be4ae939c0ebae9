"""Finds what keeps a server from its work, and says how to mend it."""

from voice_server.doctor.check import Check, State
from voice_server.doctor.examination import examine

__all__ = ["Check", "State", "examine"]
