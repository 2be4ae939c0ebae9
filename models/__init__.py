"""Trained artefacts and where to find them."""
