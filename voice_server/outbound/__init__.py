"""Calls that we place: each at most once, and none without an end."""

from voice_server.outbound.dialler import Dialler, DialOrder, DialStep
from voice_server.outbound.office import OutboundOffice

__all__ = ["DialOrder", "DialStep", "Dialler", "OutboundOffice"]
