"""Twilio: webhooks, TwiML, signatures and the media stream wire."""
