"""Postgres: knows nothing of calls or HTTP."""
