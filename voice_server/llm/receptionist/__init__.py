"""The receptionist that needs no language model: slot filling, read-back, hand-over."""

from __future__ import annotations

from voice_server.llm.receptionist.desk import Receptionist

__all__ = ["Receptionist"]
