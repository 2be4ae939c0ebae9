"""Live calls, shown to people."""
