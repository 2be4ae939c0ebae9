"""The pure core of a phone call: events in, commands out."""
