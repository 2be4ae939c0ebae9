"""Scam detection: knows nothing of calls, sockets or SQL."""
