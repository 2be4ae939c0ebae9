"""Long runs and measurements of the server; no part of what is installed."""
