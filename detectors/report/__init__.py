"""A page that shows what the detector made of many conversations: one file, no network."""

from detectors.report.page import page

__all__ = ["page"]
