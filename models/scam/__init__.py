"""The scam model: the artefact, its input contract, and how it is made."""
