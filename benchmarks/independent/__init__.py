"""A server that is not ours holds a call against `voice-server lab`."""
