"""Several engines for one part of a call: deadlines, hedging, fallback."""
