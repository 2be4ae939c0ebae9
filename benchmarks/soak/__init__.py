"""Many short calls through one real server, and what must be left of them afterwards."""
