"""Booking and dispatch of orders."""

from __future__ import annotations

from voice_server.orders.toolbox import ARGUMENTS, OrderToolbox

__all__ = ["ARGUMENTS", "OrderToolbox"]
