"""onnxruntime, kept quiet.

From 1.32 on its wheels write events with a device id into the user's cache and upload them to
their maker. Only this variable, and only before the library is loaded, stops that; the
function `disable_telemetry_events` comes too late. A variable that is set already is respected.
"""

from __future__ import annotations

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime

__all__ = ["onnxruntime"]
