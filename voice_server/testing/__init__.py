"""The phone network in a box, and the pytest plugin."""
