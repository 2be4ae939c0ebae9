"""Ears and voices: voice activity, speech to text, text to speech."""
